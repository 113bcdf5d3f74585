"""Carries out the plan of an indexing run: read, decode, encode, write, remove. Each stage works ahead of the next."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Protocol, TypeVar

from image_embeddings.calibration.likeness import COHORT, FEWEST_PHOTOS, Calibration, calibrate
from image_embeddings.documents import ImageDocument
from image_embeddings.encoders import Encoder
from image_embeddings.errors import ImageNotFoundError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.heartbeat import Heartbeat
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.part import PhotoReader, make_documents
from image_embeddings.indexing.plan import Plan
from image_embeddings.indexing.records import DocumentToWrite, StoredPhoto
from image_embeddings.indexing.report import Fact, IndexOptions, IndexReport, RunCounts
from image_embeddings.indexing.writer import Writer, describe_photos, remove_photos
from image_embeddings.photos.decoders import Decoders, indexing_decoders
from image_embeddings.photos.photo import PhotoBytes
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.skipped import Skipped

RECALIBRATED_AFTER = 0.2  # share of the photos that came or went

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Protocol):
    """Shows the progress of a run; tqdm's bar fits."""

    def update(self, n: float | None = 1, /) -> bool | None:
        """Show that `n` more photos are done."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Show a remark, such as how many photos were skipped."""


def run(
    plan: Plan,
    *,
    index: ImageIndex,
    encoder: Encoder,
    thumbnails: Thumbnails,
    progress: Progress,
    options: IndexOptions,
    metadata: MetadataChanges | None = None,
    stopped: Callable[[], bool] = lambda: False,
    decoders: Decoders | None = None,
    check_lock: Callable[[], object] = lambda: None,
) -> IndexReport:
    """Carry out a plan; return what became of every file.

    A photo that cannot be read is skipped, and removed from the index if its content is the reason. Documents are made
    from one read of one file each, so a failure never touches another photo's data. A photo whose bytes are indexed
    already, by another name or with another time, takes its embedding from there. The rows of `metadata` go into the
    documents. All is written into the index that stands behind the name at the beginning. Once `stopped` returns true,
    the run finishes what is under way, and removes nothing. Without `decoders`, as many processes decode
    as `options` has threads that read.

    `check_lock` is called before what is written. It raises IndexBusyError if another run writes into the index.

    Raises:
        ElasticsearchError: it could not be written to, for PATIENCE_SECONDS; what was written before stays.
        DataDirError: a thumbnail cannot be written.
        ModelError: the encoder fails.
    """
    begun = time.monotonic()
    metadata = metadata or MetadataChanges()
    counts = RunCounts(
        found=plan.found,
        unchanged=len(plan.unchanged),
        skipped=plan.skipped,
        passed=plan.passed,
        indexed_hashes=plan.indexed_hashes,
    )
    state = replace(patiently(index.state), corpus=plan.source.address)
    index = index.at(state.backing_index)
    patiently(index.add_missing_fields)
    if plan.to_encode:  # to encode photos for an index that takes none would be in vain
        patiently(index.documents.check_writable)
    heartbeat = Heartbeat(index, state=state, counts=counts, check_lock=check_lock)
    patiently(heartbeat.beat)
    kept: set[str] = set()  # photos that were read, and of which nothing is written
    documents = _documents(
        plan,
        index=index,
        encoder=encoder,
        thumbnails=thumbnails,
        options=options,
        metadata=metadata,
        decoding=state.model.decoding,
        note=_noter(counts, progress, kept=kept),
        progress=progress,
        stopped=stopped,
        decoders=decoders or indexing_decoders(options.thread_count),
    )
    counts.add_all(Writer(index, before_write=heartbeat.beat, options=options).write_all(documents))
    was_stopped = stopped()
    if not was_stopped:
        patiently(check_lock)
        rows = metadata.select(plan.unchanged | kept)
        counts.add_all(describe_photos(index, rows, chunk_size=options.chunk_size))
        counts.add_all(remove_photos(index, _removals(plan, counts.skipped), chunk_size=options.chunk_size))
        unread = {item.image_id for item in counts.skipped if not item.unusable}
        for content_hash in plan.obsolete_hashes(read=counts.read_hashes, skipped=unread):
            thumbnails.remove(content_hash)
    patiently(index.refresh)
    if was_stopped:
        heartbeat.beat(stopped=True)
    else:
        state = replace(state, calibration=update_calibration(index))
        patiently(heartbeat.end, state, complete=not plan.changed & counts.skipped_ids)
    return counts.report(seconds=time.monotonic() - begun, stopped=was_stopped)


def _documents(
    plan: Plan,
    *,
    index: ImageIndex,
    encoder: Encoder,
    thumbnails: Thumbnails,
    options: IndexOptions,
    metadata: MetadataChanges,
    decoding: str,
    note: Callable[[Fact], None],
    progress: Progress,
    stopped: Callable[[], bool],
    decoders: Decoders,
) -> Iterator[DocumentToWrite]:
    """Yield the documents of the photos to encode; threads read, decode and encode them ahead."""
    batches = make_documents(
        takewhile(lambda _: not stopped(), plan.to_encode),
        reader=PhotoReader(
            source=plan.source,
            preprocess=encoder.preprocess,
            thumbnails=thumbnails,
            options=options,
            find_stored=partial(_find_stored, plan=plan, index=index),
            reread=plan.reread,
            decoding=decoding,
            decoders=decoders,
        ),
        encoder=encoder,
        batch_size=options.batch_size,
        note=note,
        map_reads=MapAhead(threads=options.thread_count, waiting=2 * options.thread_count),
        map_encodes=MapAhead(threads=encoder.calls, waiting=encoder.calls + 1),
    )
    for batch in batches:
        progress.update(len(batch))
        for item in batch:
            yield replace(item, document=metadata.merge_into(item.document))


def _noter(counts: RunCounts, progress: Progress, *, kept: set[str]) -> Callable[[Fact], None]:
    """Return a function that counts a photo that is not written, and shows how many files were skipped.

    It adds those that stay as they are to `kept`.
    """

    def show() -> None:
        progress.set_postfix_str(f"{len(counts.skipped)} skipped")

    def note(fact: Fact) -> None:
        counts.add(fact)
        if isinstance(fact, Skipped):
            show()
        else:
            kept.add(fact.image_id)
        progress.update(1)

    if counts.skipped:
        show()
    return note


def _find_stored(photo: PhotoBytes, *, plan: Plan, index: ImageIndex) -> StoredPhoto:
    """Return the stored data of a photo's name and bytes; ask the index only if the plan says that it holds some."""
    older = _get_older(photo.image_id, index) if photo.image_id in plan.changed else None
    copy = patiently(index.documents.copy_of, photo.content_hash) if photo.content_hash in plan.indexed_hashes else None
    if copy and older and older.content_hash == photo.content_hash:
        copy = older, copy[1]  # the document of the copy may have another label
    return StoredPhoto(older=older, same_bytes=copy)


def _get_older(image_id: str, index: ImageIndex) -> ImageDocument | None:
    """Return the document of an older version of a photo, or None if another run has removed it meanwhile."""
    with suppress(ImageNotFoundError):
        return patiently(index.documents.get, image_id)
    return None


def _removals(plan: Plan, skipped: Iterable[Skipped]) -> dict[str, str]:
    """Return what to remove, with its content hash if that is known: files that are gone, or are no photos any more.

    A photo stays as it was indexed before if it only could not be opened, or if Elasticsearch refused it.
    """
    unusable = {item.image_id for item in skipped if item.unusable} & plan.changed
    return plan.to_delete | dict.fromkeys(sorted(unusable), "")


def update_calibration(index: ImageIndex) -> Calibration | None:
    """Return the usual likeness in the index; measure it anew if the index grew or shrank by RECALIBRATED_AFTER.

    What is usual for texts is left to the first search by text, because the everyday texts take seconds to encode.
    Return None if the index holds fewer than FEWEST_PHOTOS photos.
    """
    photos = patiently(index.count)
    before = patiently(index.state).calibration
    if before and abs(photos - before.photos) <= RECALIBRATED_AFTER * before.photos:
        return before
    cohort = patiently(index.documents.sample, COHORT)
    if len(cohort) < FEWEST_PHOTOS:
        return None
    return calibrate(cohort, photos=photos)


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
