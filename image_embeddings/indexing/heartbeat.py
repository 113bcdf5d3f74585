"""The heartbeat of an indexing run: how far it is, noted in the index itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from image_embeddings.documents import FORMAT, JSON
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.indexing.report import RunCounts

NOTE_SECONDS = 10
Clock = Callable[[], float]  # seconds since any moment


class NoteTimes:
    """When a run notes how far it is: at most every NOTE_SECONDS, because each note changes the state of the cluster.

    Several threads may use the object. One of them notes, and the others do not wait for it.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._next = float("-inf")

    def call_if_due(self, note: Callable[[], object], *, now: bool = False) -> bool:
        """Call `note`, unless that was done just now, or another thread does it. Return whether it was called.

        If `now`, it is called in any case. If it raises, the next call tries again.
        """
        if not self._lock.acquire(blocking=now):
            return False
        try:
            if not now and self._clock() < self._next:
                return False
            note()
            self._next = self._clock() + NOTE_SECONDS
            return True
        finally:
            self._lock.release()


class Heartbeat:
    """Notes in the index's `_meta` how far the run is, so that the web app can show "still indexing"."""

    def __init__(
        self,
        index: ImageIndex,
        *,
        state: IndexState,
        counts: RunCounts,
        check_lock: Callable[[], object] = lambda: None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Note the progress of `counts`; `check_lock` raises IndexBusyError if another run writes into the index."""
        self._index, self._state, self._counts, self._check_lock = index, state, counts, check_lock
        self._times = NoteTimes(clock)

    def beat(self, *, stopped: bool = False) -> None:
        """Note how far the run is, unless that was just done, or how far it was when the user stopped it.

        Raises:
            IndexMissingError: the index was replaced meanwhile. What is written now would make another one.
            IndexBusyError: another run has taken the lock of the index over.
        """
        self._check_lock()
        if not self._times.call_if_due(partial(self._note, stopped=stopped), now=stopped):
            self._index.check_exists()

    def _note(self, *, stopped: bool) -> None:
        report = self._counts.report()
        self._index.note_progress(self._state, progress_note(report.indexed, of=report.found, stopped=stopped))

    def end(self, state: IndexState, *, complete: bool) -> None:
        """Note that the run is over, and `state`; if `complete`, all documents hold what this version stores."""
        self._index.note_progress(replace(state, oldest_format=FORMAT) if complete else state, None)


class SharedHeartbeat:
    """Does the same for runs that share the work: one of them notes something every NOTE_SECONDS, and not each of them.

    There may be hundreds of them.
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
        self._times = NoteTimes()

    def beat(self, *, stopped: bool = False) -> None:
        """Note how far the runs are, unless one of them has just done so.

        Raises: as in Heartbeat.
        """
        self._check_lock()
        self._times.call_if_due(partial(self._note_unless_another_has, stopped=stopped), now=stopped)

    def _note_unless_another_has(self, *, stopped: bool) -> None:
        noted = self._index.state().indexing or {}
        if stopped or time.time() - noted.get("updated", 0) >= NOTE_SECONDS:
            self._note(stopped=stopped)

    def end_part(self) -> None:
        """Note how far the runs are, now that this one has done its part: nobody else may say so for hours."""
        self._note(stopped=False)

    def _note(self, *, stopped: bool) -> None:
        done = min(self._index.count(), self._found)
        self._index.note_progress(self._state, progress_note(done, of=self._found, stopped=stopped))


def progress_note(done: int, *, of: int, stopped: bool) -> JSON:
    """Return what `IndexState.indexing` is while a run is under way, or after the user has stopped it."""
    return {"done": done, "total": of, "updated": int(time.time()), "stopped": stopped}
