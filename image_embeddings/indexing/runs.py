"""Indexing runs as the settings say: one after another, resumable, and one at a time on this machine."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from image_embeddings.assembly import make_encoder, thumbnails_of
from image_embeddings.config import Settings
from image_embeddings.documents import FORMAT, FileState, ModelInfo, PhotoMetadata
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import DataDirError, ElasticsearchError, IndexBusyError, ModelMismatchError
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.opening import (
    Notify,
    local_node,
    node_moved,
    open_index,
    silent,
    state_of,
    uses_local_node,
)
from image_embeddings.es.retries import patiently
from image_embeddings.indexing import pipeline
from image_embeddings.indexing.pipeline import Progress
from image_embeddings.indexing.writer import IndexOptions, IndexReport
from image_embeddings.sources import photo_folder
from image_embeddings.sources.metadata_table import read_metadata

GIVE_UP = "To give it up: index --discard-rebuild."


def how_to_go_on(folder: Path | str) -> str:
    """What to do about a rebuild of that folder that is unfinished."""
    return f"To go on with it: index {shlex.quote(str(folder))} --rebuild. {GIVE_UP}"


def index_photos(
    settings: Settings,
    *,
    folder: Path | None = None,
    delete_existing: bool = False,
    rebuild: bool = False,
    prune: bool = False,
    metadata: Path | None = None,
    options: IndexOptions | None = None,
    timeout: float = 30,
    progress: Callable[[int], Progress],
    stopped: Callable[[], bool] = lambda: False,
    notify: Notify = silent,
) -> IndexReport:
    """Makes the index hold exactly the photos of `folder` (default IMAGE_DIR); encodes only what is new or changed.

    With `rebuild` a new index is filled beside the one that answers, and takes its place at the end; one that was begun
    earlier is gone on with. With `delete_existing` a new one takes its place at once. `metadata` is a CSV file of what
    is to be known of the photos.

    `progress` is called once with the number of photos to encode, and gives what is told of each. Once `stopped`, the
    run finishes what is under way and ends.

    Raises:
        ImageSearchError: the run could not begin or go on; what was written stays, and the next run goes on from there.
    """
    runs = Indexing(settings, folder=folder, metadata=metadata, options=options, timeout=timeout, notify=notify)
    return runs.run(delete_existing=delete_existing, rebuild=rebuild, prune=prune, progress=progress, stopped=stopped)


class Indexing:
    """Indexing runs of one folder into one index, one after another; connection and encoder are made once, and kept."""

    def __init__(
        self,
        settings: Settings,
        *,
        folder: Path | None = None,
        metadata: Path | None = None,
        options: IndexOptions | None = None,
        timeout: float = 30,
        notify: Notify = silent,
    ) -> None:
        """What `folder`, `metadata`, `options` and `timeout` are: see `index_photos`; nothing is opened yet."""
        self.settings = settings
        self.folder = folder or settings.image_dir
        self.metadata = metadata
        self._options = options or IndexOptions(max_pixels=settings.max_image_pixels)
        self._timeout = timeout
        self._notify = notify
        self._opened: ImageIndex | None = None
        self._encoder: Encoder | None = None
        self._prepared: Encoder | None = None
        self._described = _Described()
        self._is_first = True

    def run(
        self,
        *,
        delete_existing: bool = False,
        rebuild: bool = False,
        prune: bool = False,
        progress: Callable[[int], Progress],
        stopped: Callable[[], bool] = lambda: False,
    ) -> IndexReport:
        """One run, as `index_photos` describes it; the metadata file is read anew.

        Raises: as `index_photos`.
        """
        photo_folder.check_folder(self.folder)
        with _only_run(self.settings):
            serving = self._serving()
            index = serving.rebuild if rebuild else serving
            state = None if delete_existing else state_of(index)
            encoder = self._encoder_for(None if rebuild or not state else state.model)
            if rebuild and state:
                _check_same_rebuild(encoder, state)
            if self._is_first and not rebuild:
                self._mention_rebuild(serving)
            work = self._plan(index, state, prune=prune, replaced=serving if rebuild else None)
            said = read_metadata(self.metadata, image_ids=work.image_ids()) if self.metadata else {}
            if state is None:
                make = serving.begin_rebuild if rebuild else serving.create
                vectors = self.settings.vector_index_type
                state = patiently(make, model=encoder.info, vector_index_type=vectors, corpus=str(self.folder))
            elif work.to_encode:
                check_same_model(encoder, state.model)
            self._prepare(encoder, images=len(work.to_encode))
            hint = _resumable(delete_existing=delete_existing, rebuild=rebuild)
            with hint if self._is_first else nullcontext():
                self._is_first = False
                report = pipeline.run(
                    work,
                    index=index,
                    encoder=encoder,
                    thumbnails=thumbnails_of(self.settings),
                    progress=progress(len(work.to_encode)),
                    options=self._options,
                    metadata=self._described.left_of(said, work=work, index=state.backing_index),
                    stopped=stopped,
                )
                self._described = _Described.after(report, said=said, index=state.backing_index)
                if rebuild:
                    report.waiting = _why_not(work, prune=prune)
                    if not report.waiting:
                        patiently(serving.finish_rebuild, state.backing_index)
                        report.deleted = work.dropped()
            return report

    def _serving(self) -> ImageIndex:
        """The index that answers searches, on one connection for all runs, unless the embedded node has moved."""
        if self._opened and node_moved(self.settings, self._opened):
            self._opened.cluster.close()
            self._opened = None
        self._opened = self._opened or open_index(self.settings, timeout=self._timeout, notify=self._notify)
        if uses_local_node(self.settings):
            local_node(self.settings).check_disk()
        return self._opened

    def _encoder_for(self, built_with: ModelInfo | None) -> Encoder:
        """The encoder of the run before, unless the index has become one of another model."""
        if self._encoder is None or (built_with and built_with.model_id != self._encoder.model_id):
            self._encoder = make_encoder(self.settings, built_with, notify=self._notify)
        return self._encoder

    def _prepare(self, encoder: Encoder, *, images: int) -> None:
        """Has the encoder choose how to encode many images, once."""
        if self._prepared is not encoder and (said := encoder.prepare_for(images)):
            self._notify(said)
            self._prepared = encoder

    def _mention_rebuild(self, serving: ImageIndex) -> None:
        unfinished = state_of(serving.rebuild)
        if unfinished:
            folder = unfinished.corpus or self.folder
            self._notify(f"A rebuild of this index is unfinished. {how_to_go_on(folder)}")

    def _plan(
        self, index: ImageIndex, state: IndexState | None, *, prune: bool, replaced: ImageIndex | None
    ) -> pipeline.Plan:
        """What is to be done with `index`, which is to take the place of `replaced`."""
        before = state_of(replaced) if replaced else state
        return pipeline.plan(
            self.folder,
            indexed=_file_states(index, state),
            replaced=patiently(replaced.documents.file_states) if replaced and before else None,
            corpus_before=Path(before.corpus) if before and before.corpus else None,
            prune=prune,
            leave_out=self.settings.data_dir,
        )


def _file_states(index: ImageIndex, state: IndexState | None) -> dict[str, FileState]:
    if not state:
        return {}
    return patiently(index.documents.file_states, with_format=state.oldest_format < FORMAT)


@dataclass(frozen=True, kw_only=True)
class _Described:
    """What the metadata file said in the run before, and the index that has it: it is not written there again."""

    index: str = ""
    said: Mapping[str, PhotoMetadata] = field(default_factory=dict)

    @classmethod
    def after(cls, report: IndexReport, *, said: Mapping[str, PhotoMetadata], index: str) -> _Described:
        skipped = {skipped.image_id for skipped in report.skipped}
        done = {} if report.stopped else {key: words for key, words in said.items() if key not in skipped}
        return cls(index=index, said=done)

    def left_of(
        self, said: Mapping[str, PhotoMetadata], *, work: pipeline.Plan, index: str
    ) -> dict[str, PhotoMetadata]:
        """What of `said` is to be written in a run that carries out `work`."""
        known = self.said if index == self.index else {}
        return {key: words for key, words in said.items() if key not in work.unchanged or known.get(key) != words}


def _why_not(work: pipeline.Plan, *, prune: bool) -> str:
    """Why the index that was rebuilt is not to take the other one's place; empty where it is."""
    report, go_on = work.report, how_to_go_on(work.folder)
    if report.stopped:
        return f"The old index still serves. {go_on}"
    if not report.indexed:
        return f"No photo could be indexed, so the old index still serves. {go_on}"
    missing = [] if prune else work.missing()
    if missing:
        return (
            f"The old index still serves: it holds {len(missing):,} photos that could not be read or written now, such "
            f"as '{missing[0]}'. {go_on} If they are to go, add --prune."
        )
    return ""


@contextmanager
def _resumable(*, delete_existing: bool, rebuild: bool) -> Iterator[None]:
    """Adds to what ends a run how to go on with it."""
    try:
        yield
    except (ElasticsearchError, DataDirError) as error:
        without = ", but without --delete-existing" if delete_existing else ""
        give_up = f" {GIVE_UP}" if rebuild else ""
        error.args = (f"{error} What was indexed stays: run the same command again to go on{without}.{give_up}",)
        raise


def discard_rebuild(settings: Settings) -> bool:
    """Removes the index that was being filled to take the place of another; whether there was one."""
    with _only_run(settings):
        rebuild = open_index(settings).rebuild
        found = state_of(rebuild) is not None
        rebuild.drop()
        return found


def _check_same_rebuild(encoder: Encoder, state: IndexState) -> None:
    try:
        check_same_model(encoder, state.model)
    except ModelMismatchError as error:
        raise ModelMismatchError(
            f"A rebuild with '{state.model.model_id}' was begun and is not finished. To go on with it: "
            f"IMAGE_MODEL={state.model.model_id} and index --rebuild. {GIVE_UP} ({error})"
        ) from error


@contextmanager
def _only_run(settings: Settings) -> Iterator[None]:
    """Hold the lock of an index on this machine. Raise IndexBusyError if another run holds it."""
    target = f"{settings.es_host}|{settings.es_cloud_id}|{settings.index_name}"
    lock = FileLock(settings.data_dir / f"index-{hashlib.sha256(target.encode()).hexdigest()[:12]}.lock")
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise IndexBusyError(
            f"Another run is indexing into '{settings.index_name}' just now. Wait for it to end, or choose another "
            "INDEX_NAME."
        ) from None
    except OSError as error:
        raise DataDirError(
            f"The folder {settings.data_dir} cannot be written to ({error.strerror or error}). Set DATA_DIR to one "
            "that this user may write to."
        ) from error
    try:
        yield
    finally:
        lock.release()
