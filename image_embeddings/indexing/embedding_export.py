"""Exports of an index: its documents and embeddings as files, from which an index can be filled again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from image_embeddings.config import Settings
from image_embeddings.embedding_files import clip_retrieval
from image_embeddings.embedding_files import folder as files
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import Row, require_pyarrow
from image_embeddings.errors import IndexEmptyError, SnapshotLostError
from image_embeddings.es.all_documents import read_all
from image_embeddings.es.document_source import left_out_message
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.opening import Notify, open_index, silent
from image_embeddings.es.retries import PATIENCE_SECONDS, patiently
from image_embeddings.file_stores.choice import store_at
from image_embeddings.file_stores.store import FileStore
from image_embeddings.indexing.pipeline import Progress

TRIES = 3  # to read the whole index, if nodes go away


@dataclass(frozen=True, kw_only=True)
class ExportedFiles:
    """The files of an export."""

    documents: int
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """The result of an export."""

    folder: str
    documents: int
    files: int
    bytes: int
    left_out: int  # documents that this program did not write
    seconds: float


def export_parquet(
    settings: Settings,
    folder: Path | str,
    *,
    part_rows: int = files.PART_ROWS,
    progress: Callable[[int], Progress],
    notify: Notify = silent,
) -> ExportReport:
    """Write all documents of the index with their embeddings into Parquet files in `folder`, a path or URL.

    They are those of one moment. If a node of Elasticsearch goes away meanwhile, the export begins again.

    Raises:
        IndexMissingError: there is no index.
        IndexEmptyError: it holds no photos.
        EmbeddingFilesError: the folder holds something else.
        StoreError: it cannot be read or written.
        ElasticsearchError: the index cannot be read as a whole.
    """

    def write(store: FileStore, origin: Origin, reading: Reading) -> ExportedFiles:
        files.begin_export(store, origin)
        for _ in files.write_parts(store, origin, reading.rows(), part_rows=part_rows):
            pass
        reading.check_end()
        export = files.finish_export(store)
        return ExportedFiles(documents=export.rows, files=len(export.parts), bytes=export.bytes)

    return _export(settings, folder, write, progress=progress, notify=notify)


def export_clip_retrieval(
    settings: Settings,
    folder: Path | str,
    *,
    part_rows: int = clip_retrieval.PART_ROWS,
    float32: bool = False,
    progress: Callable[[int], Progress],
    notify: Notify = silent,
) -> ExportReport:
    """Write all documents of the index with their embeddings into files of clip-retrieval's layout in `folder`.

    It is a path or URL. The embeddings are float16 unless `float32` is set.

    Raises: as `export_parquet`.
    """

    def write(store: FileStore, origin: Origin, reading: Reading) -> ExportedFiles:
        clip_retrieval.begin(store, origin)
        pairs = clip_retrieval.write_pairs(
            store, origin, reading.rows(), total=reading.count(), part_rows=part_rows, float32=float32
        )
        parts = list(pairs)
        reading.check_end()
        clip_retrieval.finish(store, origin, parts)
        rows, size = sum(part.rows for part in parts), sum(part.bytes for part in parts)
        return ExportedFiles(documents=rows, files=2 * len(parts), bytes=size)

    return _export(settings, folder, write, progress=progress, notify=notify)


def _export(
    settings: Settings,
    folder: Path | str,
    write: Callable[[FileStore, Origin, Reading], ExportedFiles],
    *,
    progress: Callable[[int], Progress],
    notify: Notify,
) -> ExportReport:
    """Let `write` write the whole index into the folder; begin again if a node went away that it was read from."""
    begun = time.monotonic()
    require_pyarrow()  # before anything is made in the folder
    index = open_index(settings, notify=notify)
    for attempt in range(1, TRIES + 1):
        reading = Reading(index, progress=progress, notify=notify)
        origin = reading.origin()
        store = store_at(folder, settings, patience_seconds=PATIENCE_SECONDS)
        try:
            with store.hold():
                written = write(store, origin, reading)
            break
        except SnapshotLostError as error:
            if attempt == TRIES:
                raise
            notify(f"The export begins again, because a node of Elasticsearch went away ({error.reason}).")
    return ExportReport(
        folder=str(folder),
        documents=written.documents,
        files=written.files,
        bytes=written.bytes,
        left_out=len(reading.left_out),
        seconds=time.monotonic() - begun,
    )


class Reading:
    """Reads a whole index, shows how far it is, and says what is left out."""

    def __init__(self, index: ImageIndex, *, progress: Callable[[int], Progress], notify: Notify) -> None:
        self._index, self._progress, self._notify = index, progress, notify
        self.state: IndexState = patiently(index.state)
        self.left_out: list[str] = []
        self._count = 0

    def origin(self) -> Origin:
        """Return what the files say of the index."""
        if self.state.indexing:
            self._notify(
                "An indexing run of this index is under way or did not end: only what it has written is exported."
            )
        return Origin(model=self.state.model, corpus=self.state.corpus, oldest_format=self.state.oldest_format)

    def count(self) -> int:
        """Return about how many documents there are."""
        return patiently(self._index.count)

    def rows(self) -> Iterator[Row]:
        """Yield all documents with their embeddings."""
        index = self._index.at(self.state.backing_index)
        bar: Progress | None = None
        for page in read_all(index, dims=self.state.model.dims):
            bar = bar or self._progress(page.total)
            self.left_out += page.left_out
            self._count += len(page.rows)
            yield from page.rows
            bar.update(len(page.rows))

    def check_end(self) -> None:
        """Say which documents were left out. Raise IndexEmptyError if there was none to export."""
        if self.left_out:
            self._notify(left_out_message(self.left_out))
        if not self._count:
            raise IndexEmptyError(f"The index '{self._index.name}' holds no photos. Index your photos first.")
