"""Writes documents while more are made: in groups, some of them under way, and patient with Elasticsearch."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum

from image_embeddings.documents import FORMAT, Embedding, ImageDocument
from image_embeddings.es.documents import Rejected
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.retries import passes, patiently
from image_embeddings.sources.photo_folder import Skipped

WRITE_SECONDS = 5.0  # after which what has been encoded is written, however little


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """How an indexing run goes about its work."""

    batch_size: int = 32  # images per encode call
    chunk_size: int = 500  # documents per bulk request
    thread_count: int = 4  # threads that read and decode
    bulks_in_flight: int = 2  # bulk requests under way while the next photos are encoded
    max_pixels: int = 200_000_000
    with_location: bool = True  # store where a photo was taken


@dataclass(kw_only=True)
class IndexReport:
    """What an indexing run did."""

    found: int = 0  # photos in the folder, with those that are skipped
    encoded: int = 0  # new or changed ones, now in the index
    reused: int = 0  # renamed, copied or touched ones, now in the index with the embedding that was there
    unchanged: int = 0
    described: int = 0  # unchanged ones, of which more is stored now, or the metadata file says something else
    deleted: int = 0  # gone from the folder, and now from the index
    moved: int = 0  # of those deleted, the ones whose bytes are in the folder by another name
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False  # before its end, by the user
    waiting: str = ""  # why a rebuild has not taken the other index's place, and how to go on

    @property
    def indexed(self) -> int:
        """Photos of the folder that are in the index by now."""
        return self.unchanged + self.encoded + self.reused

    @property
    def left(self) -> int:
        """Photos of the folder that the run has not come to."""
        return self.found - self.indexed - sum(not skipped.is_folder for skipped in self.skipped)

    @property
    def written(self) -> int:
        """Documents that were written or removed."""
        return self.encoded + self.reused + self.described + self.deleted


class Kind(Enum):
    """What is new about a document."""

    ENCODED = "its embedding"
    REUSED = "its name or time: the embedding was in the index already"
    DESCRIBED = "what is stored besides its embedding: an older version stored less"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A document that is ready to be written."""

    document: ImageDocument
    embedding: Embedding
    kind: Kind


class Writer:
    """Writes documents in groups, of which some are under way while the next is gathered.

    A group is `chunk_size` documents, or what WRITE_SECONDS brought.
    """

    def __init__(self, index: ImageIndex, *, heartbeat: Heartbeat, report: IndexReport, options: IndexOptions) -> None:
        self._index, self._heartbeat, self._report, self._options = index, heartbeat, report, options
        self._group: list[Made] = []
        self._group_begun = time.monotonic()
        self._under_way: deque[tuple[list[Made], Future[list[Rejected]]]] = deque()
        self.reused: set[str] = set()  # content hashes of the documents that were written with the embedding of others
        self._pool = ThreadPoolExecutor(options.bulks_in_flight, thread_name_prefix="write")

    def write_all(self, documents: Iterable[Made]) -> None:
        """Writes them as they come, and waits until the last is there.

        Raises:
            ElasticsearchError: one could not be written.
        """
        with self._pool:
            try:
                for made in documents:
                    self._write(made)
                self._send()
                self._settle(most=0)
            except BaseException:
                self._pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _write(self, made: Made) -> None:
        self._group.append(made)
        full = len(self._group) >= self._options.chunk_size
        if full or time.monotonic() - self._group_begun >= WRITE_SECONDS:
            self._settle(most=self._options.bulks_in_flight - 1)
            self._send()

    def _send(self) -> None:
        if self._group:
            self._under_way.append((self._group, self._pool.submit(self._add, self._group)))
        self._group, self._group_begun = [], time.monotonic()

    def _add(self, group: list[Made]) -> list[Rejected]:
        documents = {made.document.image_id: (made.document, made.embedding) for made in group}

        def write(image_ids: list[str]) -> Iterator[Rejected]:
            self._heartbeat.beat()  # fails if the index was replaced meanwhile
            return self._index.documents.add([documents[image_id] for image_id in image_ids], chunk_size=len(image_ids))

        return write_patiently(write, documents)

    def _settle(self, *, most: int) -> None:
        """Waits until no more than so many groups are under way; reports on those that are not any more."""
        while len(self._under_way) > most:
            group, future = self._under_way.popleft()
            rejected = future.result()
            self._report.skipped.extend(skipped_of(rejected))
            refused = {item.image_id for item in rejected}
            written = [made for made in group if made.document.image_id not in refused]
            self.reused.update(made.document.content_hash for made in written if made.kind is Kind.REUSED)
            kinds = Counter(made.kind for made in written)
            self._report.reused += kinds[Kind.REUSED]
            self._report.encoded += kinds[Kind.ENCODED]
            self._report.described += kinds[Kind.DESCRIBED]
            self._report.unchanged += kinds[Kind.DESCRIBED]


def write_patiently(write: Callable[[list[str]], Iterable[Rejected]], image_ids: Iterable[str]) -> list[Rejected]:
    """What Elasticsearch refused for good, of what `write` writes; what it is only too busy for is written again.

    Writing it twice must do no harm.
    """
    waiting = list(image_ids)
    refused: list[Rejected] = []

    def write_waiting() -> None:
        rejected = list(write(waiting))
        refused.extend(item for item in rejected if not passes(item.error))
        busy = [item for item in rejected if passes(item.error)]
        waiting[:] = [item.image_id for item in busy]
        if busy:
            raise busy[0].error

    patiently(write_waiting)
    return refused


def skipped_of(rejected: Iterable[Rejected]) -> Iterator[Skipped]:
    """What Elasticsearch refused, for the report."""
    return (Skipped(image_id=item.image_id, reason=item.reason) for item in rejected)


class Heartbeat:
    """Tells the index's `_meta`, before each writing, how far the run is: the web app says "still indexing"."""

    def __init__(self, index: ImageIndex, *, state: IndexState, report: IndexReport) -> None:
        self._index, self._state, self._report = index, state, report

    def beat(self) -> None:
        """Says where the run is now, or was stopped."""
        done, total, stopped = self._report.indexed, self._report.found, self._report.stopped
        progress = {"done": done, "total": total, "updated": int(time.time()), "stopped": stopped}
        self._index.note_progress(self._state, progress)

    def stop(self, state: IndexState, *, complete: bool) -> None:
        """Says that it is over, with what the index records now; if `complete`, all documents are of this version."""
        self._index.note_progress(replace(state, oldest_format=FORMAT) if complete else state, None)
