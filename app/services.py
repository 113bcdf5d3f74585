"""The one ImageSearch of an app, built on first use. Tests put their own in its place."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import current_app

from image_embeddings import (
    Collections,
    Decoders,
    ImageIndex,
    ImageSearch,
    PhotoSource,
    Settings,
    Thumbnails,
    errors,
    left_out_message,
    node_answers,
    node_moved,
    open_index,
    open_search,
    read_indexing_failure,
    serving_decoders,
    source_of,
    thumbnails_of,
    uses_embedded_node,
)

INDEXING_STALE_AFTER = 180  # seconds without a sign of life from an indexing run
INDEXING_SECONDS = 1.0  # how long it is kept whether an indexing run is in progress, and why the last one failed
PATIENCE_SECONDS = 0.5  # that a request waits for another one that connects, before it checks whether the node is there
NODE_SECONDS = 1.0  # how long the answer is kept whether the embedded node has moved
COLLECTIONS_SECONDS = 60.0  # how long collections are kept, if the number of photos stays the same

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Indexing:
    """An indexing run that has not ended."""

    done: int  # photos that it is through with
    total: int  # photos that it has to do with
    found: int  # photos that searches find already, at most `total`
    alive: bool  # False if it has stopped, or has given no sign of life for INDEXING_STALE_AFTER


class Services:
    """The search, the photos, the thumbnails, the decoders and the collections that the views of one app use."""

    def __init__(
        self,
        settings: Settings,
        *,
        open_search: Callable[[Settings], ImageSearch] = open_search,
        open_index: Callable[[Settings], ImageIndex] = open_index,
        decoders: Decoders | None = None,
        node_answers: Callable[[Settings], bool] = node_answers,
    ) -> None:
        """Take the settings, and for tests other decoders than those that all apps of a process share."""
        self.settings = settings
        self.decoders = decoders or serving_decoders()
        self.thumbnails: Thumbnails = thumbnails_of(settings)
        self.photos: PhotoSource = source_of(settings.image_dir, settings)
        self._open_search = open_search
        self._open_index = open_index
        self._node_answers = node_answers
        self._lock = threading.Lock()
        self._search: ImageSearch | None = None
        self._reconnect = False
        self._connecting_since: float | None = None  # while a thread holds the lock to connect
        self._node_seen = 0.0  # when the app last checked whether the embedded node has moved
        self._collections: tuple[float, Collections] | None = None  # with the time of the request for them
        self._indexing: tuple[float, dict[str, Any] | None] | None = None  # with the time of the request for it
        self._indexing_failure: tuple[float, str] | None = None

    @property
    def search(self) -> ImageSearch:
        """The search. The first use connects it, which may start the embedded node. Others do not wait for a start.

        Raises:
            NodeStartingError: if another thread is just starting the embedded node.
            EmbeddedNodeError: if the embedded node does not start.
        """
        self._take_turn()
        try:
            if self._search is None:
                with self._connecting():
                    self._search = self._open_search(self.settings)
            elif self._reconnect or self._node_moved(self._search.index):
                with self._connecting():
                    self._search.index = self._open_index(self.settings)
            return self._search
        finally:
            self._lock.release()

    @contextmanager
    def _connecting(self) -> Iterator[None]:
        self._connecting_since = time.monotonic()
        self._reconnect = False  # a request that fails from now on may set it again
        is_done = False
        try:
            yield
            is_done = True
        finally:
            self._reconnect = self._reconnect or not is_done
            self._connecting_since = None

    def _take_turn(self) -> None:
        """Take the lock. Wait for a thread that connects to Elasticsearch, which is soon done if Elasticsearch runs.

        Raise NodeStartingError if that thread has to start the embedded node.
        """
        if not uses_embedded_node(self.settings):
            self._lock.acquire()
            return
        since = self._connecting_since
        patience = PATIENCE_SECONDS if since is None else max(0.0, since + PATIENCE_SECONDS - time.monotonic())
        while not self._lock.acquire(timeout=patience):
            if not self._node_answers(self.settings):
                raise errors.NodeStartingError("The embedded Elasticsearch is starting. Try again in a few seconds.")
            patience = PATIENCE_SECONDS

    def _node_moved(self, index: ImageIndex) -> bool:
        """Return whether the embedded node no longer runs at its old address; check once a second at most."""
        if time.monotonic() - self._node_seen < NODE_SECONDS:
            return False
        self._node_seen = time.monotonic()
        return node_moved(self.settings, index)

    def reconnect(self) -> None:
        """Make the next use connect again, with the same model: the embedded node may have moved or stopped."""
        self._reconnect = True

    def indexing(self) -> Indexing | None:
        """Return the indexing run in progress, or None if there is none, or if the index may not be asked for it.

        Raises:
            IndexMissingError: if nothing has been indexed yet.
        """
        kept = self._indexing
        if kept is None or time.monotonic() - kept[0] > INDEXING_SECONDS:
            kept = self._indexing = time.monotonic(), self._read_indexing()
        progress = kept[1]
        if not progress:
            return None
        return Indexing(
            done=progress["done"],
            total=progress["total"],
            found=min(progress.get("found", progress["done"]), progress["total"]),
            alive=not progress.get("stopped") and time.time() - progress["updated"] < INDEXING_STALE_AFTER,
        )

    def indexing_failure(self) -> str:
        """Return why the last indexing run failed, in a sentence or two; empty if it did not."""
        kept = self._indexing_failure
        if kept is None or time.monotonic() - kept[0] > INDEXING_SECONDS:
            kept = self._indexing_failure = time.monotonic(), read_indexing_failure(self.settings)
        return kept[1]

    def _read_indexing(self) -> dict[str, Any] | None:
        index = self.search.index
        try:
            progress = index.state().indexing
        except errors.BlockedError:  # the photos may be searched even so
            return None
        try:
            return {**progress, "found": index.count()} if progress else None
        except (errors.BlockedError, errors.PartialAnswerError):
            return progress

    def collections(self, *, total: int | None = None, needed: bool = True) -> Collections:
        """Return the collections of the index, which may be up to a minute old.

        Give `total` if the present number of photos in the index is known. Collections of another number of photos
        are then read again. If they are not `needed`, and cannot be counted whole at the moment, return those from
        before, or none.
        """
        kept = self._collections
        if kept is None or time.monotonic() - kept[0] > COLLECTIONS_SECONDS or total not in (None, kept[1].total):
            try:
                kept = time.monotonic(), self.search.index.documents.collections(self.settings.collections)
            except errors.PartialAnswerError:
                if needed:
                    raise
                return kept[1] if kept else Collections(by=self.settings.collections, total=total or 0, found=())
            if kept[1].left_out:
                log.warning("Of the examples of collections: %s", left_out_message(kept[1].left_out))
            self._collections = kept
        return kept[1]


def services() -> Services:
    """Return the services of the current app."""
    found: Services = current_app.extensions["services"]
    return found
