"""The one ImageSearch of an app, built on first use; tests put their own in its place."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import current_app

from image_embeddings import (
    Collections,
    ImageIndex,
    ImageSearch,
    Settings,
    Thumbnails,
    node_moved,
    open_index,
    open_search,
    thumbnails_of,
)

INDEXING_STALE_AFTER = 180  # seconds without a word from an indexing run
INDEXING_SECONDS = 1.0  # in which it is not asked again whether one is in progress
NODE_SECONDS = 1.0  # in which it is not looked again whether the embedded node has moved
COLLECTIONS_SECONDS = 60.0  # in which collections are not asked for again, if the number of photos is the same


@dataclass(frozen=True, kw_only=True)
class Indexing:
    """An indexing run that has not ended."""

    done: int
    total: int
    alive: bool  # False: stopped, or nothing heard of it for INDEXING_STALE_AFTER


class Services:
    """What the views work with."""

    def __init__(
        self,
        settings: Settings,
        *,
        open_search: Callable[[Settings], ImageSearch] = open_search,
        open_index: Callable[[Settings], ImageIndex] = open_index,
    ) -> None:
        self.settings = settings
        self.thumbnails: Thumbnails = thumbnails_of(settings)
        self._open_search = open_search
        self._open_index = open_index
        self._lock = threading.Lock()
        self._search: ImageSearch | None = None
        self._reconnect = False
        self._node_seen = 0.0  # when it was last looked whether the embedded node has moved
        self._collections: tuple[float, Collections] | None = None  # and when they were asked for
        self._indexing: tuple[float, dict[str, Any] | None] | None = None  # and when it was asked for

    @property
    def search(self) -> ImageSearch:
        """The search, connected on first use; that may start the embedded node."""
        with self._lock:
            if self._search is None:
                self._search = self._open_search(self.settings)
            elif self._reconnect or self._node_moved(self._search.index):
                self._search.index = self._open_index(self.settings)
            self._reconnect = False
            return self._search

    def _node_moved(self, index: ImageIndex) -> bool:
        """Return whether the embedded node runs no more where it did; looked at once a second."""
        if time.monotonic() - self._node_seen < NODE_SECONDS:
            return False
        self._node_seen = time.monotonic()
        return node_moved(self.settings, index)

    def reconnect(self) -> None:
        """Has the next use connect anew, with the model it has: the embedded node may have moved or stopped."""
        with self._lock:
            self._reconnect = True

    def indexing(self) -> Indexing | None:
        """The indexing run in progress, if any.

        Raises:
            IndexMissingError: nothing has been indexed yet.
        """
        kept = self._indexing
        if kept is None or time.monotonic() - kept[0] > INDEXING_SECONDS:
            kept = self._indexing = time.monotonic(), self.search.index.state().indexing
        progress = kept[1]
        if not progress:
            return None
        return Indexing(
            done=progress["done"],
            total=progress["total"],
            alive=not progress.get("stopped") and time.time() - progress["updated"] < INDEXING_STALE_AFTER,
        )

    def collections(self, *, total: int | None = None) -> Collections:
        """The collections of the index, as they are now or were a minute ago.

        Where the index is known to hold `total` photos now, they are as of then.
        """
        kept = self._collections
        if kept is None or time.monotonic() - kept[0] > COLLECTIONS_SECONDS or total not in (None, kept[1].total):
            kept = time.monotonic(), self.search.index.documents.collections(self.settings.collections)
            self._collections = kept
        return kept[1]


def services() -> Services:
    """The current app's services."""
    found: Services = current_app.extensions["services"]
    return found
