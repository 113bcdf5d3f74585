"""From a folder of photos to an index that holds exactly them: walk, read, encode, write."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol, TypeVar

from image_embeddings.calibration.everyday_texts import everyday_texts
from image_embeddings.calibration.likeness import COHORT, FEWEST_PHOTOS, Calibration, calibrate
from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.documents import FORMAT, Embedding, FileState, ImageDocument, PhotoMetadata
from image_embeddings.encoders import Encoder
from image_embeddings.errors import CorpusError, ImageError, ImageNotFoundError, ModelError
from image_embeddings.es.documents import Rejected
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.writer import (
    Heartbeat,
    IndexOptions,
    IndexReport,
    Kind,
    Made,
    Writer,
    skipped_of,
    write_patiently,
)
from image_embeddings.photos.photo import PhotoBytes, decode_photo
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources import photo_folder
from image_embeddings.sources.photo_folder import PhotoFile, Skipped, walk

RECALIBRATED_AFTER = 0.2  # share of the photos that came or went
FREE_TO_DELETE = 500  # an index of so few photos is made anew in a minute: no questions asked

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Protocol):
    """What the pipeline tells of its progress; tqdm's bar fits."""

    def update(self, n: float | None = 1, /) -> bool | None:
        """`n` more photos are done."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """What else is to be said, such as how many were skipped."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The work that makes the index match the folder."""

    folder: Path
    to_encode: list[PhotoFile]
    to_delete: dict[str, str]  # image_id -> content hash of what is indexed, and gone from the folder
    changed: frozenset[str]  # image_ids to encode of which an older version is indexed
    unchanged: frozenset[str]  # image_ids of files that are indexed as they are
    hashes: frozenset[str]  # content hashes of the files that are indexed
    replaced: frozenset[str]  # image_ids in the index whose place this one is to take
    report: IndexReport

    def image_ids(self) -> frozenset[str]:
        """The image_ids of all photos in the folder."""
        return self.unchanged.union(file.image_id for file in self.to_encode)

    def dropped(self) -> int:
        """How many photos of `replaced` are not in the index that took its place."""
        skipped = {skipped.image_id for skipped in self.report.skipped}
        return len(self.replaced - (self.image_ids() - skipped))

    def missing(self) -> list[str]:
        """The photos of `replaced` that are there, or in a folder that is, and could not be read or written."""
        skipped = {skipped.image_id for skipped in self.report.skipped if not skipped.unusable}
        folders = tuple(f"{image_id}/" for image_id in skipped)
        return sorted(image_id for image_id in self.replaced if image_id in skipped or image_id.startswith(folders))


@dataclass(frozen=True, kw_only=True)
class Preprocessed:
    """A photo that is ready to be encoded."""

    document: ImageDocument
    pixels: Any  # as the encoder wants them


def plan(
    folder: Path,
    *,
    indexed: dict[str, FileState],
    replaced: Mapping[str, FileState] | None = None,
    corpus_before: Path | None = None,
    prune: bool = False,
    leave_out: Path | None = None,
) -> Plan:
    """What is new or changed in `folder` against `indexed` (by size and time), and what is gone from it.

    `replaced` is what an index holds whose place this one is to take: what is gone from there counts as well.

    A file that is there but cannot be indexed any more counts as gone; one in a folder that cannot be opened does not.

    Raises:
        CorpusError: `folder` is not a folder, or cannot be read, or has no photos; or, without `prune`, most of a large
            index would go; or the index is one of another folder (`corpus_before`), and few of its photos are here.
    """
    report = IndexReport()
    to_encode = []
    unchanged = set()
    gone = dict(indexed)
    held = indexed if replaced is None else replaced
    as_held = 0
    for file in walk(folder, skip=report.skipped.append, leave_out=leave_out):
        report.found += 1
        there = held.get(file.image_id)
        as_held += there is not None and there.bytes == file.bytes  # a copy of the folder has other times
        before = gone.pop(file.image_id, None)
        # What an older version stored of a photo is to be completed.
        if before and before.format == FORMAT and _is_same(file, before):
            report.unchanged += 1
            unchanged.add(file.image_id)
        else:
            to_encode.append(file)
    unopened = tuple(f"{skipped.image_id}/" for skipped in report.skipped)
    to_delete = {key: before.content_hash for key, before in gone.items() if not key.startswith(unopened)}
    found = frozenset(file.image_id for file in to_encode) | unchanged
    if not prune:
        lost = sum(not image_id.startswith(unopened) for image_id in held.keys() - found)
        _question(folder, report, lost=lost, as_held=as_held, held=len(held), corpus_before=corpus_before)
    report.found += sum(not skipped.is_folder for skipped in report.skipped)
    changed = found & indexed.keys() - unchanged
    hashes = frozenset(state.content_hash for state in indexed.values())
    return Plan(
        folder=folder,
        to_encode=to_encode,
        to_delete=to_delete,
        changed=changed,
        unchanged=frozenset(unchanged),
        hashes=hashes,
        replaced=frozenset(replaced or ()),
        report=report,
    )


def _is_same(file: PhotoFile, before: FileState | None) -> bool:
    return before is not None and (before.bytes, before.mtime_ns) == (file.bytes, file.mtime_ns)


def _question(
    folder: Path, report: IndexReport, *, lost: int, as_held: int, held: int, corpus_before: Path | None
) -> None:
    """Raises where the plan looks like a mistake that would cost an index, which holds so many photos.

    So many of them are not in the folder (`lost`), or are there as they were (`as_held`).
    """
    if not report.found:
        raise CorpusError(
            f"There are no photos in {folder} (JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF, RAW). Is its drive mounted?"
            + (f" The index keeps its {held:,} photos; if they are to go: index --prune." if held else "")
        )
    # Names alone tell nothing of another folder: every camera has an IMG_0001.JPG.
    if corpus_before not in (None, folder, SAMPLE_PHOTOS) and as_held < held / 2:
        raise CorpusError(
            f"The index holds the {held:,} photos of {corpus_before}, and most of them, by name and size, are not in "
            f"{folder}. To go on with them: index {corpus_before} (make run PHOTOS={corpus_before}). To keep both, "
            "choose another INDEX_NAME for one. To replace them: index --prune."
        )
    if lost > held / 2 and held > FREE_TO_DELETE:
        raise CorpusError(
            f"{folder} lacks {lost:,} of the {held:,} indexed photos. Is it another folder, or a drive that is "
            "not mounted? For another folder choose another INDEX_NAME; if they are to go: index --prune."
        )


def run(
    work: Plan,
    *,
    index: ImageIndex,
    encoder: Encoder,
    thumbnails: Thumbnails,
    progress: Progress,
    options: IndexOptions,
    metadata: Mapping[str, PhotoMetadata] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> IndexReport:
    """Carries out a plan; the report says what became of every file.

    Photos are read, decoded and preprocessed ahead by threads, encoded in batches by others, and written by more. One
    that cannot be read is skipped, and removed from the index if an earlier version of it was there. Documents are made
    from one read of one file each, so a failure never touches another photo's data. One whose bytes are indexed
    already, by another name or with another time, takes its embedding from there. What `metadata` says of a photo, by
    image_id, goes into its document. All is written into the index that stood behind the name at the beginning. Once
    `stopped`, what is under way is finished, and nothing is removed.

    Raises:
        ElasticsearchError: it could not be written to, for PATIENCE_SECONDS; what was written before stays.
    """
    begun = time.monotonic()
    report = work.report
    state = replace(patiently(index.state), corpus=str(work.folder))
    index = index.at(state.backing_index)
    patiently(index.add_missing_fields)
    heartbeat = Heartbeat(index, state=state, report=report)
    patiently(heartbeat.beat)
    metadata = metadata or {}
    read = partial(_read, work=work, index=index, encoder=encoder, thumbnails=thumbnails, options=options)
    files = takewhile(lambda _: not stopped(), work.to_encode)
    results = _ahead(read, files, threads=options.thread_count, waiting=2 * options.thread_count)
    batches = _batches(results, report=report, progress=progress, size=options.batch_size)
    encoded = _ahead(partial(_encoded, encoder=encoder), batches, threads=encoder.calls, waiting=encoder.calls + 1)
    described = (_described(made, metadata) for made in _counted(encoded, progress))
    writer = Writer(index, heartbeat=heartbeat, report=report, options=options)
    writer.write_all(described)
    report.stopped = stopped()
    if not report.stopped:
        _describe_unchanged(work, index=index, metadata=metadata, options=options)
        _delete(work, index=index, reused=writer.reused, options=options)
    patiently(index.refresh)
    if report.stopped:
        heartbeat.beat()
    else:
        complete = not any(skipped.image_id in work.changed for skipped in report.skipped)
        state = replace(state, calibration=calibrated(index, state, encoder))
        patiently(heartbeat.stop, state, complete=complete)
    report.seconds = time.monotonic() - begun
    return report


def calibrated(index: ImageIndex, state: IndexState, encoder: Encoder) -> Calibration | None:
    """What likeness is usual in the index, anew where it has grown or shrunk by more than RECALIBRATED_AFTER."""
    photos = patiently(index.count)
    before = state.calibration
    if before and abs(photos - before.photos) <= RECALIBRATED_AFTER * before.photos:
        return before
    cohort = patiently(index.documents.sample, COHORT)
    if len(cohort) < FEWEST_PHOTOS:
        return None
    try:
        texts = encoder.encode_texts(everyday_texts())
    except ModelError:  # photos can be indexed without a text model
        texts = None
    return calibrate(cohort, texts, photos=photos)


def _delete(work: Plan, *, index: ImageIndex, reused: Container[str], options: IndexOptions) -> None:
    """Removes what is gone, and what changed into something that is no photo any more.

    A photo that could only not be opened, or that Elasticsearch refused, stays as it was indexed before. One whose hash
    is in `reused` is still there, by another name.
    """
    report = work.report
    unusable = {skipped.image_id for skipped in report.skipped if skipped.unusable} & work.changed
    gone = [*work.to_delete, *sorted(unusable)]
    refused = write_patiently(partial(index.documents.remove, chunk_size=options.chunk_size), gone)
    report.skipped.extend(skipped_of(refused))
    report.deleted = len(gone) - len(refused)
    stay = {item.image_id for item in refused}
    report.moved = sum(hash_ in reused for image_id, hash_ in work.to_delete.items() if image_id not in stay)


def _batches(
    results: Iterable[Preprocessed | Made | Skipped], *, report: IndexReport, progress: Progress, size: int
) -> Iterator[list[Preprocessed | Made]]:
    """What was read, in lists of that size, the last one shorter; what is to be skipped goes to the report."""
    batch: list[Preprocessed | Made] = []
    if report.skipped:
        progress.set_postfix_str(f"{len(report.skipped)} skipped")
    for result in results:
        if isinstance(result, Skipped):
            report.skipped.append(result)
            progress.set_postfix_str(f"{len(report.skipped)} skipped")
            progress.update(1)
            continue
        batch.append(result)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _counted(batches: Iterable[list[Made]], progress: Progress) -> Iterator[Made]:
    for batch in batches:
        progress.update(len(batch))
        yield from batch


def _read(
    file: PhotoFile,
    *,
    work: Plan,
    index: ImageIndex,
    encoder: Encoder,
    thumbnails: Thumbnails,
    options: IndexOptions,
) -> Preprocessed | Made | Skipped:
    """The photo in a file, with its thumbnail made; or its document, where the same bytes are indexed already."""
    try:
        found = photo_folder.load(file)
        before = _indexed(file, index) if file.image_id in work.changed else None
        copy = patiently(index.documents.copy_of, found.content_hash) if found.content_hash in work.hashes else None
        if copy:
            document, embedding = copy
            if before and before.content_hash == found.content_hash:
                document = before  # the other one may have another label
            if document.format == FORMAT:
                return _reused(document, embedding, by=found, with_location=options.with_location)
        photo = decode_photo(found, max_pixels=options.max_pixels, with_location=options.with_location)
    except (CorpusError, ImageError) as error:
        return photo_folder.skipped(file, error)
    thumbnails.make(photo.image, content_hash=photo.document.content_hash)
    if copy:
        return _completed(photo.document, document, embedding)
    document = replace(photo.document, label=before.label, extra=before.extra) if before else photo.document
    return Preprocessed(document=document, pixels=encoder.preprocess(photo.image))


def _indexed(file: PhotoFile, index: ImageIndex) -> ImageDocument | None:
    """The document of an older version of a file; None where another run has removed it meanwhile."""
    with suppress(ImageNotFoundError):
        return patiently(index.documents.get, file.image_id)
    return None


def _completed(document: ImageDocument, before: ImageDocument, embedding: Embedding) -> Made:
    """The document of a photo that an older version stored less of, with what a metadata file had said of it."""
    document = replace(document, label=before.label, extra=before.extra, caption=before.caption or document.caption)
    is_as_it_was = (document.image_id, document.mtime_ns) == (before.image_id, before.mtime_ns)
    return Made(document=document, embedding=embedding, kind=Kind.DESCRIBED if is_as_it_was else Kind.REUSED)


def _described(made: Made, metadata: Mapping[str, PhotoMetadata]) -> Made:
    said = metadata.get(made.document.image_id)
    return replace(made, document=said.merged_into(made.document)) if said else made


def _describe_unchanged(
    work: Plan, *, index: ImageIndex, metadata: Mapping[str, PhotoMetadata], options: IndexOptions
) -> None:
    """Writes what the metadata file says of photos whose files have not changed; they are not encoded again."""

    def write(image_ids: list[str]) -> Iterator[Rejected]:
        said = {image_id: metadata[image_id] for image_id in image_ids}
        return index.documents.describe(said, chunk_size=options.chunk_size, changed=changed.add)

    changed: set[str] = set()
    image_ids = sorted(metadata.keys() & work.unchanged)
    refused = write_patiently(write, image_ids)
    work.report.skipped.extend(skipped_of(refused))
    work.report.described += len(changed)


def _reused(document: ImageDocument, embedding: Embedding, *, by: PhotoBytes, with_location: bool) -> Made:
    """The document of another file of the same bytes, as that of this one."""
    location = document.location if with_location else None
    renamed = replace(document, image_id=by.image_id, mtime_ns=by.mtime_ns, location=location)
    return Made(document=renamed, embedding=embedding, kind=Kind.REUSED)


def _encoded(batch: Sequence[Preprocessed | Made], *, encoder: Encoder) -> list[Made]:
    """The batch, with those photos encoded that are not made yet."""
    embeddings = iter(encoder.encode_preprocessed([item.pixels for item in batch if isinstance(item, Preprocessed)]))
    return [
        item if isinstance(item, Made) else Made(document=item.document, embedding=next(embeddings), kind=Kind.ENCODED)
        for item in batch
    ]


def _ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, waiting: int
) -> Iterator[Result]:
    """`map` in order, by threads, with so many results under way or waiting to be taken."""
    futures: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                futures.append(pool.submit(function, item))
                if len(futures) >= waiting:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            for future in futures:
                future.cancel()
