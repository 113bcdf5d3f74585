"""A map whose results are computed ahead by threads, and the documents of photos made by it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from image_embeddings.encoders import Encoder
from image_embeddings.indexing.part import PhotoReader, make_documents
from image_embeddings.indexing.records import DocumentToWrite
from image_embeddings.indexing.report import Fact, IndexOptions
from image_embeddings.sources.source import PhotoFile

SMALL_BATCH = 8  # photos, if each call of the encoder has a core of its own: then none is idle for long at the end

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class MapAhead:
    """A map that keeps the order of the items; up to `waiting` results are in work by threads or ready."""

    threads: int
    waiting: int

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Yield the results; if the caller stops taking them, cancel the calls that have not begun."""
        futures: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for item in items:
                    futures.append(pool.submit(function, item))
                    if len(futures) >= self.waiting:
                        yield futures.popleft().result()
                while futures:
                    yield futures.popleft().result()
            finally:
                for future in futures:
                    future.cancel()


def images_per_call(encoder: Encoder, options: IndexOptions) -> int:
    """Return how many images a run gives the encoder at most in one call."""
    return options.batch_size if encoder.calls == 1 else min(options.batch_size, SMALL_BATCH)


def make_documents_ahead(
    files: Iterable[PhotoFile],
    *,
    reader: PhotoReader,
    encoder: Encoder,
    options: IndexOptions,
    note: Callable[[Fact], object],
) -> Iterator[list[DocumentToWrite]]:
    """Yield what `make_documents` does. Threads read, decode and encode photos ahead."""
    threads, calls = options.thread_count, encoder.calls
    return make_documents(
        files,
        reader=reader,
        encoder=encoder,
        batch_size=images_per_call(encoder, options),
        note=note,
        map_reads=MapAhead(threads=threads, waiting=2 * threads),
        map_encodes=MapAhead(threads=calls, waiting=calls + 1),
    )
