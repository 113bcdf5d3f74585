"""The heartbeat of an indexing run: how far it is, noted in the index itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from image_embeddings.documents import FORMAT
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.indexing.report import RunCounts


class Heartbeat:
    """Notes in the index's `_meta` how far the run is, before each write; so the web app can show "still indexing"."""

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

    def beat(self, *, stopped: bool = False) -> None:
        """Note how far the run is, or how far it was when the user stopped it.

        Raises:
            IndexMissingError: the index was replaced meanwhile.
            IndexBusyError: another run has taken the lock of the index over.
        """
        self._check_lock()
        report = self._counts.report()
        progress = {"done": report.indexed, "total": report.found, "updated": int(time.time()), "stopped": stopped}
        self._index.note_progress(self._state, progress)

    def end(self, state: IndexState, *, complete: bool) -> None:
        """Note that the run is over, and `state`; if `complete`, all documents hold what this version stores."""
        self._index.note_progress(replace(state, oldest_format=FORMAT) if complete else state, None)
