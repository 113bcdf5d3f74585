"""The heartbeat of an indexing run: how far it is, noted in the index itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from image_embeddings.documents import FORMAT, JSON
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.indexing.report import RunCounts

NOTE_SECONDS = 10


class Heartbeat:
    """Notes in the index's `_meta` how far the run is, so that the web app can show "still indexing".

    It does so before a write, if the last note is NOTE_SECONDS old: each one changes the state of the cluster.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        state: IndexState,
        counts: RunCounts,
        check_lock: Callable[[], object] = lambda: None,
    ) -> None:
        """Note the progress of `counts`; `check_lock` raises IndexBusyError if another run writes into the index."""
        self._index, self._state, self._counts, self._check_lock = index, state, counts, check_lock
        self._next = 0.0

    def beat(self, *, stopped: bool = False) -> None:
        """Note how far the run is, unless that was just done, or how far it was when the user stopped it.

        Raises:
            IndexMissingError: the index was replaced meanwhile. What is written now would make another one.
            IndexBusyError: another run has taken the lock of the index over.
        """
        self._check_lock()
        if not stopped and time.monotonic() < self._next:
            self._index.check_exists()
            return
        report = self._counts.report()
        self._index.note_progress(self._state, _progress(report.indexed, of=report.found, stopped=stopped))
        self._next = time.monotonic() + NOTE_SECONDS

    def end(self, state: IndexState, *, complete: bool) -> None:
        """Note that the run is over, and `state`; if `complete`, all documents hold what this version stores."""
        self._index.note_progress(replace(state, oldest_format=FORMAT) if complete else state, None)


class SharedHeartbeat:
    """Does the same for runs that share the work: one of them notes something every NOTE_SECONDS, and not each of them.

    A note changes the state of the cluster, so hundreds of runs may not do it before each write.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        state: IndexState,
        found: int,
        check_lock: Callable[[], object] = lambda: None,
    ) -> None:
        """Note how many of the `found` photos of the whole source are in the index; `check_lock` as in Heartbeat."""
        self._index, self._state, self._found, self._check_lock = index, state, found, check_lock
        self._next = 0.0

    def beat(self, *, stopped: bool = False) -> None:
        """Note how far the runs are, unless one of them has just done so.

        Raises: as in Heartbeat.
        """
        self._check_lock()
        if not stopped and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + NOTE_SECONDS
        noted = self._index.state().indexing or {}
        if stopped or time.time() - noted.get("updated", 0) >= NOTE_SECONDS:
            self._note(stopped=stopped)

    def end_part(self) -> None:
        """Note how far the runs are, now that this one has done its part: nobody else may say so for hours."""
        self._note(stopped=False)

    def _note(self, *, stopped: bool) -> None:
        done = min(self._index.count(), self._found)
        self._index.note_progress(self._state, _progress(done, of=self._found, stopped=stopped))


def _progress(done: int, *, of: int, stopped: bool) -> JSON:
    return {"done": done, "total": of, "updated": int(time.time()), "stopped": stopped}
