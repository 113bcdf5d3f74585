"""Imports: an index is filled with documents and embeddings of an export, and nothing is encoded."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from image_embeddings.assembly import make_encoder
from image_embeddings.config import Settings
from image_embeddings.embedding_files.folder import Export, Part, open_export
from image_embeddings.encoders import check_same_model
from image_embeddings.errors import EmbeddingFilesError, IndexBusyError, IndexForeignError, ModelMismatchError
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.opening import Notify, open_index, silent, state_of
from image_embeddings.es.retries import PATIENCE_SECONDS, patiently
from image_embeddings.file_stores.choice import store_at
from image_embeddings.indexing.heartbeat import NoteTimes, progress_note
from image_embeddings.indexing.locks import lock_index, lock_machine
from image_embeddings.indexing.pipeline import Progress, update_calibration
from image_embeddings.indexing.records import DocumentToWrite
from image_embeddings.indexing.report import IndexOptions, Outcome
from image_embeddings.indexing.unfinished import GIVE_UP, noted_import
from image_embeddings.indexing.writer import Writer
from image_embeddings.sources.skipped import Skipped


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """The result of an import."""

    documents: int  # in the files
    written: int
    done_before: int  # documents of files that an earlier run has written
    skipped: list[Skipped] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False  # before its end, by the user
    waiting: str = ""  # why a rebuild has not taken the other index's place, and how to go on

    @property
    def left(self) -> int:
        """Documents that the run did not reach."""
        return self.documents - self.written - self.done_before - len(self.skipped)


def import_embeddings(
    settings: Settings,
    folder: Path | str,
    *,
    rebuild: bool = False,
    prune: bool = False,
    options: IndexOptions | None = None,
    progress: Callable[[int], Progress],
    stopped: Callable[[], bool] = lambda: False,
    notify: Notify = silent,
) -> ImportReport:
    """Fill a new index with the embeddings in `folder`, a path or URL.

    Or go on with an import of the same files that did not end.

    With `rebuild` the new index is filled beside the one that answers, and takes its place at the end. It does so only
    if the files have all photos of that one, or with `prune`. Once `stopped` returns true, the run finishes the work in
    hand and ends.

    Raises:
        EmbeddingFilesError: the files are not whole, or lack photos of the index.
        StoreError: they cannot be read.
        ModelMismatchError: they are of another model than IMAGE_MODEL, or than the index whose place they would take.
        IndexForeignError: there is an index already.
        IndexBusyError: another run writes into it, or a rebuild with something else is unfinished.
        ElasticsearchError: it could not be written to; the next run goes on from there.
    """
    export = open_export(store_at(folder, settings, patience_seconds=PATIENCE_SECONDS))
    with lock_machine(settings):
        serving = open_index(settings, notify=notify)
        index = serving.rebuild if rebuild else serving
        with lock_index(settings, serving) as check_lock:
            served, state = state_of(serving), state_of(index)
            if state and _is_unused(index, state):  # it will be made anew, by the settings of this run
                state = None
            if state:
                _check_is_continued(state, export, index=serving, rebuild=rebuild)
            _check_model(settings, export, served if rebuild else None, notify=notify)
            if rebuild and served and not prune:
                _check_holds_all(export, serving)
            state = state or create_index(settings, serving, export, rebuild=rebuild)
            report = fill(
                index,
                state,
                export,
                options=options,
                progress=progress(export.rows),
                stopped=stopped,
                check_lock=check_lock,
            )
            if not rebuild or report.stopped:
                return report
            if report.skipped and not prune:
                return replace(report, waiting=_waiting_text(report, export))
            patiently(serving.finish_rebuild, state.backing_index, replicas=settings.index_replicas, notify=notify)
            return report


def create_index(settings: Settings, serving: ImageIndex, export: Export, *, rebuild: bool) -> IndexState:
    """Return the state of a new, empty index for the embeddings of an export: beside the one that serves, or alone."""
    create = serving.begin_rebuild if rebuild else partial(serving.create, replicas=settings.index_replicas)
    state: IndexState = patiently(
        create,
        model=export.origin.model,
        vector_index_type=settings.vector_index_type,
        shards=settings.index_shards,
        corpus=export.origin.corpus,
    )
    index = serving.at(state.backing_index)
    patiently(_ImportNotes(index, state=state, export=export).beat)
    return state


def fill(
    index: ImageIndex,
    state: IndexState,
    export: Export,
    *,
    options: IndexOptions | None = None,
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
    check_lock: Callable[[], None] = lambda: None,
) -> ImportReport:
    """Write the files of an export that are not written yet into an index in `state`; return what became of them.

    A part is noted as written after all of its documents are. Writing a document twice does no harm. `check_lock` is
    called before each group of writes, and ends the run if it raises.

    Raises: as `import_embeddings`.
    """
    begun = time.monotonic()
    options = options or IndexOptions()
    index = index.at(state.backing_index)
    patiently(index.bring_up_to_date)
    patiently(index.documents.check_writable)
    notes = _ImportNotes(index, state=state, export=export, check_lock=check_lock)
    patiently(notes.beat)
    progress.update(notes.done_before)
    for part in export.parts[notes.parts :]:
        rows = _documents(part, export, progress=progress, stopped=stopped)
        for fact in Writer(index, before_write=notes.beat, options=options).write_all(rows):
            if isinstance(fact, Skipped):
                notes.skipped.append(fact)
            else:
                notes.written += 1
        if stopped():
            break
        notes.parts += 1
        patiently(notes.beat, now=True)
    patiently(index.refresh)
    was_stopped = notes.parts < len(export.parts)
    if was_stopped:
        notes.beat(stopped=True)
    else:
        _check_count(patiently(index.count), export, skipped=len(notes.skipped))
        patiently(notes.end, replace(notes.state, calibration=update_calibration(index)))
    return notes.report(seconds=time.monotonic() - begun, stopped=was_stopped)


def _documents(
    part: Part, export: Export, *, progress: Progress, stopped: Callable[[], bool]
) -> Iterator[DocumentToWrite]:
    for rows in part.read_rows(dims=export.origin.model.dims):
        if stopped():
            return
        for document, embedding in rows:
            yield DocumentToWrite(document=document, embedding=embedding, outcome=Outcome.REUSED)
        progress.update(len(rows))


class _ImportNotes:
    """Notes in the index's `_meta` how far the import is, and of which export: so it can go on, and nothing else can.

    The threads that write call `beat`.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        state: IndexState,
        export: Export,
        check_lock: Callable[[], None] = lambda: None,
    ) -> None:
        self._index, self._export, self._check_lock = index, export, check_lock
        noted = noted_import(state)
        self.parts = noted.get("parts", 0) if noted.get("export_id") == export.origin.export_id else 0
        self.done_before = sum(part.rows for part in export.parts[: self.parts])
        self.state = replace(state, corpus=export.origin.corpus, oldest_format=export.origin.oldest_format)
        self.written = 0
        self.skipped: list[Skipped] = []
        self._times = NoteTimes()

    def beat(self, *, stopped: bool = False, now: bool = False) -> None:
        self._check_lock()
        if not self._times.call_if_due(partial(self._note, stopped=stopped), now=now or stopped):
            self._index.check_exists()

    def _note(self, *, stopped: bool) -> None:
        progress = progress_note(self.done_before + self.written, of=self._export.rows, stopped=stopped)
        whose = {
            "export_id": self._export.origin.export_id,
            "parts": self.parts,
            "folder": self._export.address,
        }
        self._index.note_progress(self.state, {**progress, "import": whose})

    def end(self, state: IndexState) -> None:
        self._index.note_progress(state, None)

    def report(self, *, seconds: float, stopped: bool) -> ImportReport:
        return ImportReport(
            documents=self._export.rows,
            written=self.written,
            done_before=self.done_before,
            skipped=self.skipped,
            seconds=seconds,
            stopped=stopped,
        )


# Checks


def _is_unused(index: ImageIndex, state: IndexState) -> bool:
    """Return whether an index is empty and nothing fills it: an import was killed just after it had made it."""
    if state.indexing:
        return False
    patiently(index.refresh)
    return patiently(index.count) == 0


def _check_is_continued(state: IndexState, export: Export, *, index: ImageIndex, rebuild: bool) -> None:
    """Return if the index is one that an import of the same export began."""
    if noted_import(state).get("export_id") == export.origin.export_id:
        return
    if rebuild:
        raise IndexBusyError(
            f"A rebuild of '{index.name}' with something else than {export.address} was begun and is not finished. "
            f"{GIVE_UP}"
        )
    raise IndexForeignError(
        f"There is an index '{index.name}' already. To put {export.address} in its place: import "
        f"{shlex.quote(export.address)} --rebuild. To keep both, choose another INDEX_NAME."
    )


def _check_model(settings: Settings, export: Export, served: IndexState | None, *, notify: Notify) -> None:
    """Return if the files are of the model that IMAGE_MODEL names, or if it names none, of the index that serves."""
    model = export.origin.model
    if settings.image_model != "auto":
        encoder = make_encoder(settings, None, notify=notify)
        try:
            check_same_model(encoder, model)
        except ModelMismatchError as error:
            raise ModelMismatchError(
                f"The files in {export.address} are of the model '{model.model_id}' ({model.preprocessing}), and "
                f"IMAGE_MODEL names another, '{encoder.model_id}' ({encoder.info.preprocessing}), or other weights of "
                "that name. Set IMAGE_MODEL to the model of the files, or to auto."
            ) from error
    elif served and not model.makes_same_embeddings_as(served.model):
        raise ModelMismatchError(
            f"The files in {export.address} are of the model '{model.model_id}', and the index is of another, "
            f"'{served.model.model_id}', or of other weights of that name. To replace it all the same, set "
            f"IMAGE_MODEL={model.model_id}. To keep both, choose another INDEX_NAME."
        )


def _check_holds_all(export: Export, serving: ImageIndex) -> None:
    """Raise EmbeddingFilesError if the index holds photos that the files lack."""
    missing = set(patiently(serving.documents.file_states))
    for part in export.parts:
        missing.difference_update(part.read_image_ids())
    if missing:
        raise EmbeddingFilesError(
            f"The index '{serving.name}' holds {len(missing):,} photos that {export.address} lacks, such as "
            f"'{min(missing)}'. Export the index again, or add --prune if they are to go."
        )


def _check_count(count: int, export: Export, *, skipped: int) -> None:
    if count != export.rows - skipped:
        raise EmbeddingFilesError(
            f"The index holds {count:,} documents, and {export.address} has {export.rows:,} rows. Some image_id stands "
            "there twice, or Elasticsearch refused documents in an earlier run. Export again, or remove the index and "
            "import again."
        )


def _waiting_text(report: ImportReport, export: Export) -> str:
    return (
        f"The old index still serves: Elasticsearch refused {len(report.skipped):,} documents, such as "
        f"'{report.skipped[0].image_id}'. If they are to go: import {shlex.quote(export.address)} "
        f"--rebuild --prune. {GIVE_UP}"
    )
