"""Indexing runs by the settings: repeatable, resumable, and one at a time on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from image_embeddings.assembly import data_dir_warning, make_encoder, thumbnails_of
from image_embeddings.config import Settings
from image_embeddings.documents import FORMAT, ModelInfo, PhotoMetadata
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import (
    DataDirError,
    ElasticsearchError,
    SettingError,
    SourceUnreachableError,
    StoreError,
)
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.opening import (
    Notify,
    embedded_node,
    node_moved,
    open_index,
    silent,
    state_of,
    uses_embedded_node,
)
from image_embeddings.es.retries import PATIENCE_SECONDS, patiently
from image_embeddings.file_stores.choice import store_at
from image_embeddings.indexing import pipeline
from image_embeddings.indexing.known_embeddings import KnownEmbeddings, check_model, open_known_embeddings
from image_embeddings.indexing.last_failure import note_errors, note_outcome
from image_embeddings.indexing.locks import RunLocks, check_takes_parts, lock_index, lock_machine, lock_share
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.part import PhotoReader
from image_embeddings.indexing.pipeline import Progress
from image_embeddings.indexing.plan import FileStates, Plan, make_plan
from image_embeddings.indexing.rebuilds import check_same_rebuild, finish_rebuild
from image_embeddings.indexing.records import KnownEmbedding, know_no_embedding
from image_embeddings.indexing.report import IndexOptions, IndexReport
from image_embeddings.indexing.share import Share
from image_embeddings.indexing.unfinished import GIVE_UP, advice_on_rebuild
from image_embeddings.photos.decoders import indexing_decoders
from image_embeddings.photos.decoding import DECODING, UNMANAGED_DECODING
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.choice import source_of
from image_embeddings.sources.indexed_folders import note_folder
from image_embeddings.sources.metadata_table import read_metadata


@dataclass(frozen=True, kw_only=True)
class RunChoices:
    """What a run is to do, as in `index_photos`."""

    delete_existing: bool = False
    rebuild: bool = False
    prune: bool = False
    reread: bool = False
    share: Share | None = None
    embeddings: Path | str | None = None


def index_photos(
    settings: Settings,
    *,
    folder: Path | str | None = None,
    delete_existing: bool = False,
    rebuild: bool = False,
    prune: bool = False,
    reread: bool = False,
    share: Share | None = None,
    embeddings: Path | str | None = None,
    metadata: Path | None = None,
    options: IndexOptions | None = None,
    timeout: float = 30,
    progress: Callable[[int], Progress],
    stopped: Callable[[], bool] = lambda: False,
    notify: Notify = silent,
) -> IndexReport:
    """Make the index hold exactly the photos of `folder`, a path or URL (default IMAGE_DIR); encode only what changed.

    With `rebuild` a new index is filled beside the one that answers, and takes its place at the end; an unfinished
    rebuild is continued. With `delete_existing` a new index takes the place at once. With `reread` all photos are read
    again for what they say of themselves, and keep their embeddings. `metadata` is a CSV file with
    further data of the photos. `timeout` is in seconds, for each request to Elasticsearch.

    With `share` the run does only that part of the work, and other processes do the other parts, on any machines. A run
    without `share` then finds that nothing is left to encode, and ends the work.

    `embeddings` names files in clip-retrieval's layout, by a path or URL. New photos that have a row there are not
    encoded, if the model is found to be the same.

    `progress` is called once with the number of photos to encode; it returns an object that shows the progress. Once
    `stopped` returns true, the run finishes the work in hand and ends. `notify` gets lines for the user.

    Raises:
        ImageSearchError: the run could not begin or go on; what was written stays, and the next run goes on from there.
    """
    runs = Indexing(settings, folder=folder, metadata=metadata, options=options, timeout=timeout, notify=notify)
    choices = RunChoices(
        delete_existing=delete_existing,
        rebuild=rebuild,
        prune=prune,
        reread=reread,
        share=share,
        embeddings=embeddings,
    )
    return runs.run(choices, progress=progress, stopped=stopped)


class Indexing:
    """Indexing runs of one folder into one index; connection and encoder are made once and kept for the next runs."""

    def __init__(
        self,
        settings: Settings,
        *,
        folder: Path | str | None = None,
        metadata: Path | None = None,
        options: IndexOptions | None = None,
        timeout: float = 30,
        stage: pipeline.Stage | None = None,
        notify: Notify = silent,
    ) -> None:
        """Take the arguments of `index_photos`; nothing is opened yet.

        A `stage` carries out elsewhere than in this process what `pipeline.run` gives it.
        """
        self.settings = settings
        self.address = folder or settings.image_dir
        self.source = source_of(self.address, settings, patience_seconds=PATIENCE_SECONDS)
        self.metadata = metadata
        self._options = options or IndexOptions(max_pixels=settings.max_image_pixels)
        self._timeout = timeout
        self._stage = stage
        self._notify = notify
        self._serving_index: ImageIndex | None = None
        self._encoder: Encoder | None = None
        self._prepared_encoder: Encoder | None = None
        self._metadata_changes = MetadataChanges()
        self._is_first_run = True

    def run(
        self,
        choices: RunChoices | None = None,
        *,
        progress: Callable[[int], Progress],
        stopped: Callable[[], bool] = lambda: False,
    ) -> IndexReport:
        """Run once, as `index_photos` describes it; the metadata file is read anew.

        If the run fails, the reason is kept for the web app until a run succeeds.

        Raises: as `index_photos`.
        """
        with note_errors(self.settings):
            report = self._run(choices or RunChoices(), progress=progress, stopped=stopped)
        note_outcome(self.settings, report)
        return report

    def _run(
        self, choices: RunChoices, *, progress: Callable[[int], Progress], stopped: Callable[[], bool]
    ) -> IndexReport:
        if choices.share:
            check_takes_parts(self.settings)
        self.source.check()
        # Runs of several parts may be under way on one machine.
        with nullcontext() if choices.share else lock_machine(self.settings):
            warning = data_dir_warning(self.settings.data_dir, photos=self.address)
            if self._is_first_run and warning:
                self._notify(warning)
            note_folder(self.settings.data_dir, self.address)
            serving = self._open_serving_index()
            with self._lock(serving, choices.share) as lock, ExitStack() as opened:
                return self._run_alone(serving, choices, lock=lock, opened=opened, progress=progress, stopped=stopped)

    @contextmanager
    def _lock(self, serving: ImageIndex, share: Share | None) -> Iterator[RunLocks]:
        if share:
            with lock_share(serving, share) as lock:
                yield lock
            return
        with lock_index(self.settings, serving) as check:
            yield RunLocks(check=check, alone=nullcontext)

    def _run_alone(
        self,
        serving: ImageIndex,
        choices: RunChoices,
        *,
        lock: RunLocks,
        opened: ExitStack,
        progress: Callable[[int], Progress],
        stopped: Callable[[], bool],
    ) -> IndexReport:
        """Run once, while no other run writes into the index, unless it has another part of the work.

        What has to be closed at the end of the run goes to `opened`.
        """
        rebuild, prune = choices.rebuild, choices.prune
        index = serving.rebuild if rebuild else serving
        state = None if choices.delete_existing else patiently(state_of, index)  # another part may just make it
        built_with = None if rebuild or not state else state.model
        if choices.embeddings and not built_with and self.settings.image_model == "auto":
            raise SettingError("Name the model that made these embeddings: IMAGE_MODEL=clip-ViT-B-32, for one.")
        encoder = self._choose_encoder(built_with)
        if rebuild and state:
            check_same_rebuild(encoder, state, address=self.source.address)
        if self._is_first_run and not rebuild:
            self._mention_rebuild(serving)
        thumbnails = thumbnails_of(self.settings, patience_seconds=PATIENCE_SECONDS)
        if self._is_first_run:
            thumbnails.remove_abandoned()
        plan = self._make_plan(index, state, choices, replaced=serving if rebuild else None)
        rows = read_metadata(self.metadata, image_ids=plan.image_ids()) if self.metadata else {}
        known_embedding: KnownEmbedding = know_no_embedding
        if choices.embeddings:
            known = opened.enter_context(self._open_known(choices.embeddings, plan, encoder, state, thumbnails))
            known_embedding = known.embedding_of
            words = known.words({file.image_id for file in plan.to_encode} - plan.changed)
            rows = words | {key: row.over(words.get(key, PhotoMetadata())) for key, row in rows.items()}
        if state is None:
            with lock.alone():
                state = state_of(index) if choices.share else None  # another part may have made it meanwhile
                state = state or self._create_index(serving, encoder, rebuild=rebuild)
        if len(plan.to_encode):
            check_same_model(encoder, state.model)
        self._mention_older_decoding(state)
        whole, plan = plan, plan.part(choices.share) if choices.share else plan
        if not self._stage:
            self._prepare(encoder, images=len(plan.to_encode))
        advice = _add_advice_to_errors(choices)
        with advice if self._is_first_run else nullcontext():
            self._is_first_run = False
            changes = self._metadata_changes.next_run(rows, backing_index=state.backing_index)
            report = pipeline.run(
                plan,
                index=index,
                encoder=encoder,
                thumbnails=thumbnails,
                progress=progress(len(plan.to_encode)),
                options=self._options,
                metadata=changes,
                known_embedding=known_embedding,
                stopped=stopped,
                check_lock=lock.check,
                of=whole if choices.share else None,
                stage=self._stage,
            )
            self._metadata_changes = changes.after(report)
            if rebuild and not choices.share:
                lock.check()
                report = finish_rebuild(
                    serving,
                    state,
                    plan=plan,
                    report=report,
                    prune=prune,
                    replicas=self.settings.index_replicas,
                    notify=self._notify,
                )
        return report

    @contextmanager
    def _open_known(
        self,
        address: Path | str,
        plan: Plan,
        encoder: Encoder,
        state: IndexState | None,
        thumbnails: Thumbnails,
    ) -> Iterator[KnownEmbeddings]:
        """Give the block the embeddings in the files at `address`, after a comparison of the model."""
        store = store_at(address, self.settings, patience_seconds=PATIENCE_SECONDS)
        with open_known_embeddings(store, plan, dims=encoder.dims, notify=self._notify) as known:
            reader = PhotoReader(
                source=plan.source,
                preprocess=encoder.preprocess,
                thumbnails=thumbnails,
                options=self._options,
                decoding=state.model.decoding if state else DECODING,
                decoders=indexing_decoders(self._options.thread_count),
            )
            check_model(known, plan, reader=reader, encoder=encoder, notify=self._notify)
            yield known

    def _open_serving_index(self) -> ImageIndex:
        """Return the index that answers searches; all runs use one connection, unless the embedded node has moved."""
        if self._serving_index and node_moved(self.settings, self._serving_index):
            self._serving_index.cluster.close()
            self._serving_index = None
        if self._serving_index is None:
            self._serving_index = open_index(self.settings, timeout=self._timeout, notify=self._notify)
        if uses_embedded_node(self.settings):
            embedded_node(self.settings).check_disk()
        return self._serving_index

    def _choose_encoder(self, built_with: ModelInfo | None) -> Encoder:
        """Return the encoder of the run before, unless another run has built the index with another model."""
        if self._encoder is None or (built_with and built_with.model_id != self._encoder.model_id):
            self._encoder = make_encoder(self.settings, built_with, notify=self._notify)
        return self._encoder

    def _prepare(self, encoder: Encoder, *, images: int) -> None:
        """Let the encoder choose once how to encode many images."""
        if self._prepared_encoder is not encoder and (choice := encoder.prepare_for(images)):
            self._notify(choice)
            self._prepared_encoder = encoder

    def _mention_rebuild(self, serving: ImageIndex) -> None:
        unfinished = state_of(serving.rebuild)
        if unfinished:
            advice = advice_on_rebuild(unfinished, address=self.source.address)
            self._notify(f"A rebuild of this index is unfinished. {advice}")

    def _mention_older_decoding(self, state: IndexState) -> None:
        if self._is_first_run and state.model.decoding == UNMANAGED_DECODING:
            self._notify(
                "This index was made before colour profiles were used. It goes on as it is, and new photos are encoded "
                f"without their profiles, too. To use them: index {shlex.quote(self.source.address)} --rebuild."
            )

    def _make_plan(
        self,
        index: ImageIndex,
        state: IndexState | None,
        choices: RunChoices,
        *,
        replaced: ImageIndex | None,
    ) -> Plan:
        """Return the plan for `index`, which is to take the place of `replaced`."""
        before = state_of(replaced) if replaced else state
        return make_plan(
            self.source,
            indexed=_file_states(index, state),
            replaced=replaced.documents.read_file_states if replaced and before else None,
            corpus_before=before.corpus if before else None,
            prune=choices.prune,
            reread=choices.reread,
        )

    def _create_index(self, serving: ImageIndex, encoder: Encoder, *, rebuild: bool) -> IndexState:
        """Return the state of a new, empty index: beside the one that serves, or in its place."""
        settings = self.settings
        create = serving.begin_rebuild if rebuild else partial(serving.create, replicas=settings.index_replicas)
        return patiently(
            create,
            model=encoder.info,
            vector_index_type=settings.vector_index_type,
            corpus=self.source.address,
            shards=settings.index_shards,
        )


def _file_states(index: ImageIndex, state: IndexState | None) -> FileStates:
    if not state:
        return {}
    return partial(index.documents.read_file_states, with_format=state.oldest_format < FORMAT)


@contextmanager
def _add_advice_to_errors(choices: RunChoices) -> Iterator[None]:
    """Add to an error that ends a run the advice how to continue the run."""
    try:
        yield
    except (ElasticsearchError, DataDirError, SourceUnreachableError, StoreError) as error:
        without = ", but without --delete-existing" if choices.delete_existing else ""
        give_up = f" {GIVE_UP}" if choices.rebuild else ""
        error.args = (f"{error} What was indexed stays: run the same command again to go on{without}.{give_up}",)
        raise
