"""From a folder of photos to an index that holds exactly them: walk, read, encode, write."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.corpus import Photo, PhotoFile, Skipped, try_read, walk
from image_embeddings.documents import Embedding, FileState, ImageDocument
from image_embeddings.encoders import Encoder
from image_embeddings.errors import CorpusError
from image_embeddings.index import ImageIndex, IndexState, Rejected
from image_embeddings.thumbnails import Thumbnails

FREE_TO_DELETE = 500  # an index of so few photos is made anew in a minute: no questions asked
WRITE_SECONDS = 5.0  # after which what has been encoded is written, however little

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """How an indexing run goes about its work."""

    batch_size: int = 32  # images per encode call
    chunk_size: int = 500  # documents per bulk request
    thread_count: int = 4  # threads that read and decode
    max_pixels: int = 200_000_000
    with_location: bool = True  # store where a photo was taken


@dataclass(kw_only=True)
class IndexReport:
    """What an indexing run did."""

    found: int = 0  # photos in the folder
    encoded: int = 0  # new or changed ones, now in the index
    unchanged: int = 0
    deleted: int = 0  # gone from the folder, and now from the index
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0


class Progress(Protocol):
    """What the pipeline tells of its progress; tqdm's bar fits."""

    def update(self, n: float | None = 1, /) -> bool | None:
        """`n` more photos are done."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The work that makes the index match the folder."""

    folder: Path
    to_encode: list[PhotoFile]
    to_delete: list[str]
    changed: frozenset[str]  # image_ids to encode of which an older version is indexed
    report: IndexReport


def plan(
    folder: Path,
    *,
    indexed: dict[str, FileState],
    corpus_before: Path | None = None,
    prune: bool = False,
    leave_out: Path | None = None,
) -> Plan:
    """What is new or changed in `folder` against `indexed` (by size and time), and what is gone from it.

    A file that is there but cannot be indexed any more counts as gone; one in a folder that cannot be opened does not.

    Raises:
        CorpusError: `folder` is not a folder, or cannot be read, or has no photos; or, without `prune`, most of the
            index would go, and it is a large one or one of another folder (`corpus_before`).
    """
    report = IndexReport()
    to_encode = []
    gone = dict(indexed)
    for file in walk(folder, skip=report.skipped.append, leave_out=leave_out):
        report.found += 1
        before = gone.pop(file.image_id, None)
        if before and (before.bytes, before.mtime_ns) == (file.bytes, file.mtime_ns):
            report.unchanged += 1
        else:
            to_encode.append(file)
    unopened = tuple(f"{skipped.image_id}/" for skipped in report.skipped)
    to_delete = [image_id for image_id in gone if not image_id.startswith(unopened)]
    if not prune:
        _question(folder, report, to_delete=len(to_delete), indexed=len(indexed), corpus_before=corpus_before)
    changed = frozenset(file.image_id for file in to_encode) & indexed.keys()
    return Plan(folder=folder, to_encode=to_encode, to_delete=to_delete, changed=changed, report=report)


def _question(folder: Path, report: IndexReport, *, to_delete: int, indexed: int, corpus_before: Path | None) -> None:
    """Raises where the plan looks like a mistake that would cost an index."""
    if not report.found:
        raise CorpusError(
            f"There are no photos in {folder} (JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF, RAW). Is its drive mounted?"
            + (f" The index keeps its {indexed:,} photos; if they are to go: index --prune." if indexed else "")
        )
    if to_delete <= indexed / 2:
        return
    if corpus_before not in (None, folder, SAMPLE_PHOTOS):
        raise CorpusError(
            f"The index holds the {indexed:,} photos of {corpus_before}, and most of them are not in {folder}. To go "
            f"on with them: index {corpus_before} (make run PHOTOS={corpus_before}). To keep both, choose another "
            "INDEX_NAME for one. To replace them: index --prune."
        )
    if indexed > FREE_TO_DELETE:
        raise CorpusError(
            f"{folder} lacks {to_delete:,} of the {indexed:,} indexed photos. Is it another folder, or a drive that is "
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
) -> IndexReport:
    """Carries out a plan; the report says what became of every file.

    A photo that cannot be read is skipped, and removed from the index if an earlier version of it was there. Documents
    are made from one read of one file each, so a failure never touches another photo's data. All is written into the
    index that stood behind the name at the beginning.
    """
    begun = time.monotonic()
    report = work.report
    state = replace(index.state(), corpus=str(work.folder))
    index = index.at(state.backing_index)
    index.add_missing_fields()
    heartbeat = _Heartbeat(index, state=state, total=report.found)
    documents = _encoded(work.to_encode, encoder, thumbnails, report=report, progress=progress, options=options)
    heartbeat.beat(done=report.unchanged)
    for group in _groups(documents, size=options.chunk_size):
        heartbeat.beat(done=report.unchanged + report.encoded)  # fails if the index was replaced meanwhile
        rejected = list(index.add(group, chunk_size=len(group)))
        report.skipped.extend(_skipped(rejected))
        report.encoded += len(group) - len(rejected)
    heartbeat.beat(done=report.unchanged + report.encoded)
    _delete(work, index=index, options=options)
    index.refresh()
    heartbeat.stop()
    report.seconds = time.monotonic() - begun
    return report


def _groups(
    documents: Iterable[tuple[ImageDocument, Embedding]], *, size: int
) -> Iterator[list[tuple[ImageDocument, Embedding]]]:
    """Documents to write at once: `size` of them, or what a few seconds brought, so that little is lost by Ctrl-C."""
    group = []
    begun = time.monotonic()
    for pair in documents:
        group.append(pair)
        if len(group) >= size or time.monotonic() - begun >= WRITE_SECONDS:
            yield group
            group, begun = [], time.monotonic()
    if group:
        yield group


def _delete(work: Plan, *, index: ImageIndex, options: IndexOptions) -> None:
    """Removes what is gone, and what changed into something that is no photo any more.

    A photo that could only not be opened, or that Elasticsearch refused, stays as it was indexed before.
    """
    report = work.report
    unusable = {skipped.image_id for skipped in report.skipped if skipped.unusable} & work.changed
    gone = [*work.to_delete, *sorted(unusable)]
    refused = list(index.remove(gone, chunk_size=options.chunk_size))
    report.skipped.extend(_skipped(refused))
    report.deleted = len(gone) - len(refused)


def _skipped(rejected: Iterable[Rejected]) -> Iterator[Skipped]:
    return (Skipped(image_id=item.image_id, reason=item.reason) for item in rejected)


def _encoded(
    files: Iterable[PhotoFile],
    encoder: Encoder,
    thumbnails: Thumbnails,
    *,
    report: IndexReport,
    progress: Progress,
    options: IndexOptions,
) -> Iterator[tuple[ImageDocument, Embedding]]:
    """Documents with their embeddings, for the files that can be read; the others go to the report."""

    def read(file: PhotoFile) -> Photo | Skipped:
        photo = try_read(file, max_pixels=options.max_pixels, with_location=options.with_location)
        if isinstance(photo, Photo):
            thumbnails.make(photo.image, content_hash=photo.document.content_hash)
        return photo

    photos = _usable(_ahead(read, files, threads=options.thread_count), report=report, progress=progress)
    while batch := list(islice(photos, options.batch_size)):
        embeddings = encoder.encode_images([photo.image for photo in batch])
        progress.update(len(batch))
        yield from zip((photo.document for photo in batch), embeddings, strict=True)


def _usable(photos: Iterable[Photo | Skipped], *, report: IndexReport, progress: Progress) -> Iterator[Photo]:
    for photo in photos:
        if isinstance(photo, Photo):
            yield photo
        else:
            report.skipped.append(photo)
            progress.update(1)


def _ahead(function: Callable[[Item], Result], items: Iterable[Item], *, threads: int) -> Iterator[Result]:
    """`map` in order, with twice as many results under way as there are threads."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Heartbeat:
    """Tells the index's `_meta`, before each writing, how far the run is: the web app says "still indexing"."""

    def __init__(self, index: ImageIndex, *, state: IndexState, total: int) -> None:
        self._index, self._state, self._total = index, state, total

    def beat(self, *, done: int) -> None:
        self._index.note_progress(self._state, {"done": done, "total": self._total, "updated": int(time.time())})

    def stop(self) -> None:
        self._index.note_progress(self._state, None)
