"""Writes to the index and reports the outcome of each photo; waits while Elasticsearch is away or too busy."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from image_embeddings.documents import PhotoMetadata
from image_embeddings.es.documents import Rejected
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.retries import passes, patiently
from image_embeddings.indexing.records import DocumentToWrite
from image_embeddings.indexing.report import Fact, IndexOptions, Outcome, PhotoOutcome
from image_embeddings.sources.skipped import Skipped

WRITE_SECONDS = 5.0  # after which all encoded photos are written, even if they are few


class Writer:
    """Writes documents in groups; some groups are on their way while the next one is gathered.

    A group is `chunk_size` documents, or those that came in WRITE_SECONDS. A writer is used once.
    """

    def __init__(self, index: ImageIndex, *, before_write: Callable[[], object], options: IndexOptions) -> None:
        """Write to `index`; `before_write` is called before each request, by the thread that sends it."""
        self._index, self._before_write, self._options = index, before_write, options
        self._group: list[DocumentToWrite] = []
        self._group_begun = time.monotonic()
        self._under_way: deque[tuple[list[DocumentToWrite], Future[list[Rejected]]]] = deque()
        self._pool = ThreadPoolExecutor(options.bulks_in_flight, thread_name_prefix="write")

    def write_all(self, documents: Iterable[DocumentToWrite]) -> Iterator[Fact]:
        """Write the documents as they come; yield the outcome of each as soon as it is known.

        Raises:
            ElasticsearchError: one could not be written.
        """
        with self._pool:
            try:
                for document in documents:
                    yield from self._write(document)
                self._send()
                yield from self._settle(most=0)
            except BaseException:
                self._pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _write(self, document: DocumentToWrite) -> Iterator[Fact]:
        self._group.append(document)
        is_full = len(self._group) >= self._options.chunk_size
        if is_full or time.monotonic() - self._group_begun >= WRITE_SECONDS:
            yield from self._settle(most=self._options.bulks_in_flight - 1)
            self._send()

    def _send(self) -> None:
        if self._group:
            self._under_way.append((self._group, self._pool.submit(self._add_group, self._group)))
        self._group, self._group_begun = [], time.monotonic()

    def _add_group(self, group: list[DocumentToWrite]) -> list[Rejected]:
        pairs = {item.document.image_id: (item.document, item.embedding) for item in group}

        def write(image_ids: list[str]) -> Iterator[Rejected]:
            self._before_write()
            return self._index.documents.add([pairs[image_id] for image_id in image_ids], chunk_size=len(image_ids))

        return write_patiently(write, pairs)

    def _settle(self, *, most: int) -> Iterator[Fact]:
        """Wait until at most `most` groups are on their way; yield the outcomes of the documents of the others."""
        while len(self._under_way) > most:
            group, future = self._under_way.popleft()
            rejected = future.result()
            yield from as_skipped(rejected)
            refused = {item.image_id for item in rejected}
            for item in group:
                if item.document.image_id not in refused:
                    yield PhotoOutcome(
                        image_id=item.document.image_id,
                        outcome=item.outcome,
                        content_hash=item.document.content_hash,
                        damage=item.damage,
                        sidecar_faults=item.sidecar_faults,
                    )


def describe_photos(index: ImageIndex, metadata: Mapping[str, PhotoMetadata], *, chunk_size: int) -> Iterator[Fact]:
    """Write the data of a metadata file for photos whose files have not changed; yield the photos that this changes.

    Raises:
        ElasticsearchError: one could not be written.
    """
    changed: set[str] = set()

    def write(image_ids: list[str]) -> Iterator[Rejected]:
        rows = {image_id: metadata[image_id] for image_id in image_ids}
        return index.documents.describe(rows, chunk_size=chunk_size, changed=changed.add)

    yield from as_skipped(write_patiently(write, metadata))
    for image_id in changed:
        yield PhotoOutcome(image_id=image_id, outcome=Outcome.DESCRIBED)


def remove_photos(index: ImageIndex, hashes: Mapping[str, str], *, chunk_size: int) -> Iterator[Fact]:
    """Remove documents; `hashes` has the content hash of each image_id, empty if it is not known.

    Raises:
        ElasticsearchError: one could not be removed.
    """
    rejected = write_patiently(partial(index.documents.remove, chunk_size=chunk_size), hashes)
    yield from as_skipped(rejected)
    refused = {item.image_id for item in rejected}
    for image_id, content_hash in hashes.items():
        if image_id not in refused:
            yield PhotoOutcome(image_id=image_id, outcome=Outcome.REMOVED, content_hash=content_hash)


def write_patiently(write: Callable[[list[str]], Iterable[Rejected]], image_ids: Iterable[str]) -> list[Rejected]:
    """Write photos, again while Elasticsearch is only too busy for them; return those that it refuses for good.

    `write` writes the photos of these image_ids and returns those that were rejected. Writing a photo twice does no
    harm.

    Raises:
        ElasticsearchError: it takes no photo at all; the reason is not in the photos.
    """
    waiting = list(image_ids)
    number = len(waiting)
    refused: list[Rejected] = []

    def write_waiting() -> None:
        rejected = list(write(waiting))
        refused.extend(item for item in rejected if not passes(item.error))
        busy = [item for item in rejected if passes(item.error)]
        waiting[:] = [item.image_id for item in busy]
        if busy:
            raise busy[0].error

    patiently(write_waiting)
    _check_some_are_taken(refused, of=number)
    return refused


def _check_some_are_taken(refused: Sequence[Rejected], *, of: int) -> None:
    """Raise the error of the first document if several were refused, all of them and all for the same reason.

    It is then not about the documents, and the same would happen to all others.
    """
    reasons = {(item.error.kind, item.error.reason) for item in refused}
    if len(refused) == of > 1 and len(reasons) == 1:
        raise refused[0].error


def as_skipped(rejected: Iterable[Rejected]) -> Iterator[Skipped]:
    """Return the photos that Elasticsearch refused, as photos that the run skips."""
    return (Skipped(image_id=item.image_id, reason=item.reason) for item in rejected)
