"""Puts the parts together as the settings say: node, index, encoder, search, and an indexing run."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from image_embeddings import corpus, pipeline
from image_embeddings.cluster import connect
from image_embeddings.config import DEFAULT_TEXT_MODEL_ID, Settings
from image_embeddings.documents import ModelInfo
from image_embeddings.encoders import AUTO, CONSE, Encoder, check_same_model, choose_encoder, clip
from image_embeddings.errors import (
    CorpusError,
    DataDirError,
    ElasticsearchError,
    IndexMissingError,
    MachineLearningMissingError,
    ModelMismatchError,
    ModelUnavailableError,
)
from image_embeddings.index import ImageIndex, IndexState
from image_embeddings.local_node import LocalNode
from image_embeddings.metadata import PhotoMetadata, read_metadata
from image_embeddings.patience import patiently
from image_embeddings.pipeline import Progress
from image_embeddings.samples import captioned_photos
from image_embeddings.search import ImageSearch
from image_embeddings.text_model import INSTALL, NO_ML, TextModel, TextModelStatus
from image_embeddings.text_model_install import Source, install
from image_embeddings.text_path import TextPaths
from image_embeddings.thumbnails import Thumbnails
from image_embeddings.writer import IndexOptions, IndexReport

Notify = Callable[[str], None]


def _silent(line: str) -> None:
    """Takes a line for the user and drops it."""


def local_node(settings: Settings) -> LocalNode:
    """The embedded node that these settings stand for; nothing is started."""
    return LocalNode(settings.data_dir / "elasticsearch", heap=settings.es_heap, java_home=settings.java_home)


def uses_local_node(settings: Settings) -> bool:
    """Whether Elasticsearch is the embedded node, because no other is named."""
    return not (settings.es_host or settings.es_cloud_id)


def open_index(settings: Settings, *, timeout: float = 30, notify: Notify = _silent) -> ImageIndex:
    """The index that the settings name; starts the embedded node where they name no Elasticsearch."""
    hosts = [host.strip() for host in settings.es_host.split(",")] if settings.es_host else []
    if uses_local_node(settings):
        hosts = [local_node(settings).start(notify=notify).url]
    cluster = connect(
        hosts,
        cloud_id=settings.es_cloud_id,
        user=settings.es_user,
        password=settings.es_pwd,
        api_key=settings.es_api_key,
        ca_certs=str(settings.es_ca_certs) if settings.es_ca_certs else None,
        verify_certs=settings.es_verify_certs,
        timeout=timeout,
    )
    return ImageIndex(cluster, name=settings.index_name)


def node_moved(settings: Settings, index: ImageIndex) -> bool:
    """Whether Elasticsearch is the embedded node, and does not run any more where `index` looks for it."""
    if not uses_local_node(settings):
        return False
    running = local_node(settings).status()
    return running is None or running.url != index.cluster.address


def open_search(settings: Settings, *, notify: Notify = _silent) -> ImageSearch:
    """A search of the index that the settings name; its encoder is loaded on first use."""

    def encoder_for(built_with: ModelInfo) -> Encoder:
        return _encoder(settings, built_with, notify=notify)

    def model_id_for(built_with: ModelInfo) -> str | None:
        return text_model_id(settings, image_model=built_with.model_id)

    return ImageSearch(
        open_index(settings, notify=notify),
        encoder_for=encoder_for,
        text_paths=TextPaths(
            settings.text_encoder, model_id_for=model_id_for, is_known=partial(_is_known_text_model, settings)
        ),
    )


def text_model_id(settings: Settings, *, image_model: str) -> str | None:
    """The id in Elasticsearch of the text model that belongs to an image model; None where none is known."""
    text_model = settings.text_model or clip.TEXT_MODELS.get(image_model)
    if image_model == CONSE or (text_model and clip.is_for_the_app_only(text_model)):
        return None
    if settings.es_text_model_id != DEFAULT_TEXT_MODEL_ID:
        return settings.es_text_model_id
    return (clip.elasticsearch_model_id(text_model) or None) if text_model else None


def _is_known_text_model(settings: Settings, model_id: str, model: ModelInfo) -> bool:
    """Whether the id is that of the text model made for the image model, or the user has set it."""
    made_for_it = clip.TEXT_MODELS.get(model.model_id)
    own_id = clip.elasticsearch_model_id(made_for_it) if made_for_it else None
    return model_id == own_id or model_id == settings.es_text_model_id != DEFAULT_TEXT_MODEL_ID


def text_model_status(settings: Settings) -> TextModelStatus:
    """The state of the text model inside Elasticsearch that these settings and the index stand for.

    Raises:
        ModelMismatchError: there is none for the index's image model, or another is in its place.
    """
    if uses_local_node(settings):
        return TextModelStatus(model_id=settings.es_text_model_id, state=NO_ML)
    index = open_index(settings)
    state = _state(index)
    image_model = _image_model(settings, state)
    model_id = text_model_id(settings, image_model=image_model)
    if model_id is None:
        raise _no_text_model(image_model)
    return _fitting(TextModel(index.cluster, model_id).status(), state, settings)


def install_text_model(
    settings: Settings,
    *,
    model: str | None = None,
    quantize: bool = False,
    clear_previous: bool = False,
    notify: Notify = _silent,
) -> TextModelStatus:
    """Loads a text model (default: the one of the index's image model) into Elasticsearch and waits for its start.

    Raises:
        ModelMismatchError: its embeddings cannot be compared with those in the index.
        ImageSearchError: it could not be loaded or started; says how to go on.
    """
    if uses_local_node(settings):
        raise MachineLearningMissingError(
            "The embedded Elasticsearch has no machine learning, and needs none: the app encodes texts itself. To run "
            "the text model in a cluster of yours, set ES_HOST."
        )
    index = open_index(settings)
    state = _state(index)
    image_model = _image_model(settings, state)
    named = model or settings.text_model or clip.TEXT_MODELS.get(image_model)
    if named is None or image_model == CONSE:
        raise _no_text_model(image_model)
    wanted = replace(settings, text_model=named)
    model_id = text_model_id(wanted, image_model=image_model)
    if model_id is None:
        raise ModelMismatchError(
            f"Elasticsearch cannot run '{named}': it is in the layout of M-CLIP, or has no name that could be an id "
            "there (ES_TEXT_MODEL_ID gives it one). The app can: TEXT_MODEL and TEXT_ENCODER=local."
        )

    def source() -> Source:
        return _text_source(wanted, image_model=image_model, state=state, quantize=quantize, notify=notify)

    status = install(
        TextModel(index.cluster, model_id),
        source,
        clear_previous=clear_previous,
        again=_install_command(model=model, quantize=quantize),
        notify=notify,
    )
    if model_id != text_model_id(settings, image_model=image_model):
        notify(f"Searches do not use it yet: set TEXT_MODEL={named}, and restart the web app.")
    return _fitting(status, state, wanted)


def _install_command(*, model: str | None, quantize: bool) -> str:
    """The command as it was given, to begin anew."""
    options = [f"--model {shlex.quote(model)}" if model else "", "--quantize" if quantize else "", "--clear-previous"]
    return " ".join([INSTALL, *filter(None, options)])


def _fitting(status: TextModelStatus, state: IndexState | None, settings: Settings) -> TextModelStatus:
    if state and not status.error:
        status.check_fits(state.model, known=_is_known_text_model(settings, status.model_id, state.model))
    return status


def _text_source(
    settings: Settings, *, image_model: str, state: IndexState | None, quantize: bool, notify: Notify
) -> Source:
    """The text model of the settings, once it is known to fit the image model as far as that can be seen here."""
    name = clip.text_source(settings.text_model or "", beside=settings.image_model)
    notify(f"Looking at '{name}'")
    facts = clip.text_model_facts(name)
    if state and facts.dims != state.model.dims:
        raise ModelMismatchError(
            f"The text model '{name}' makes embeddings of {facts.dims} dims, those of '{image_model}' in the index "
            f"have {state.model.dims}. Name one that was made for '{image_model}', by --model or TEXT_MODEL."
        )
    try:
        encoder = choose_encoder(
            image_model if settings.image_model == AUTO else settings.image_model,
            text_model=settings.text_model,
            built_with=state.model if state else None,
            samples=captioned_photos,
        )
        encoder.encode_texts(["a photo"])
    except ModelUnavailableError as error:
        notify(f"Whether it fits the image model '{image_model}' could not be tried here: {error}")
    return Source(name=name, image_model=image_model, max_tokens=facts.max_tokens, quantize=quantize)


def _no_text_model(image_model: str) -> ModelMismatchError:
    if image_model == CONSE:
        return ModelMismatchError(
            "The index is one of the built-in model 'conse', whose texts the app encodes: there is nothing to load "
            "into Elasticsearch. TEXT_ENCODER=auto or local."
        )
    return ModelMismatchError(
        f"For the image model '{image_model}' no text model is made that Elasticsearch could run. Name one of the same "
        "space by --model (or TEXT_MODEL), or let the app encode texts itself: TEXT_ENCODER=local."
    )


def _image_model(settings: Settings, state: IndexState | None) -> str:
    """The image model of the index, or of the one that would be made."""
    if state:
        return state.model.model_id
    return clip.CLIP if settings.image_model == AUTO else clip.model_id_of(settings.image_model)


def thumbnails_of(settings: Settings) -> Thumbnails:
    """Where the thumbnails are kept."""
    return Thumbnails(settings.data_dir / "thumbnails")


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
    notify: Notify = _silent,
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
        notify: Notify = _silent,
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
        corpus.check_folder(self.folder)
        with _only_run(self.settings):
            serving = self._serving()
            index = serving.rebuild if rebuild else serving
            state = None if delete_existing else _state(index)
            encoder = self._encoder_for(None if rebuild or not state else state.model)
            if rebuild and state:
                _check_same_rebuild(encoder, state)
            work = self._plan(index, state, prune=prune)
            said = read_metadata(self.metadata, image_ids=work.image_ids()) if self.metadata else {}
            if state is None:
                make = serving.begin_rebuild if rebuild else serving.create
                vectors = self.settings.vector_index_type
                state = patiently(make, model=encoder.info, vector_index_type=vectors)
            elif work.to_encode:
                check_same_model(encoder, state.model)
            self._prepare(encoder, images=len(work.to_encode))
            with _resumable(delete_existing=delete_existing) if self._is_first else nullcontext():
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
                if rebuild and report.indexed and not report.stopped:
                    patiently(serving.finish_rebuild, state.backing_index)
            return report

    def _serving(self) -> ImageIndex:
        """The index that answers searches, on one connection for all runs, unless the embedded node has moved."""
        if self._opened and node_moved(self.settings, self._opened):
            self._opened.cluster.close()
            self._opened = None
        self._opened = self._opened or open_index(self.settings, timeout=self._timeout, notify=self._notify)
        return self._opened

    def _encoder_for(self, built_with: ModelInfo | None) -> Encoder:
        """The encoder of the run before, unless the index has become one of another model."""
        if self._encoder is None or (built_with and built_with.model_id != self._encoder.model_id):
            self._encoder = _encoder(self.settings, built_with, notify=self._notify)
        return self._encoder

    def _prepare(self, encoder: Encoder, *, images: int) -> None:
        """Has the encoder choose how to encode many images, once."""
        if self._prepared is not encoder and (said := encoder.prepare_for(images)):
            self._notify(said)
            self._prepared = encoder

    def _plan(self, index: ImageIndex, state: IndexState | None, *, prune: bool) -> pipeline.Plan:
        return pipeline.plan(
            self.folder,
            indexed=patiently(index.file_states) if state else {},
            corpus_before=Path(state.corpus) if state and state.corpus else None,
            prune=prune,
            leave_out=self.settings.data_dir,
        )


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


@contextmanager
def _resumable(*, delete_existing: bool) -> Iterator[None]:
    """Adds to what ends a run how to go on with it."""
    try:
        yield
    except (ElasticsearchError, DataDirError) as error:
        without = ", but without --delete-existing" if delete_existing else ""
        error.args = (f"{error} What was indexed stays: run the same command again to go on{without}.",)
        raise


def discard_rebuild(settings: Settings) -> bool:
    """Removes the index that was being filled to take the place of another; whether there was one."""
    with _only_run(settings):
        rebuild = open_index(settings).rebuild
        found = _state(rebuild) is not None
        rebuild.drop()
        return found


def _check_same_rebuild(encoder: Encoder, state: IndexState) -> None:
    try:
        check_same_model(encoder, state.model)
    except ModelMismatchError as error:
        raise ModelMismatchError(
            f"A rebuild with '{state.model.model_id}' was begun and is not finished. To go on with it: "
            f"IMAGE_MODEL={state.model.model_id} and index --rebuild. To give it up: index --discard-rebuild. ({error})"
        ) from error


def _state(index: ImageIndex) -> IndexState | None:
    try:
        return index.state()
    except IndexMissingError:
        return None


def _encoder(settings: Settings, built_with: ModelInfo | None, *, notify: Notify) -> Encoder:
    return choose_encoder(
        settings.image_model,
        text_model=settings.text_model,
        built_with=built_with,
        precision=settings.encoder_precision,
        samples=captioned_photos,
        networks=settings.data_dir / "networks",
        notify=notify,
    )


@contextmanager
def _only_run(settings: Settings) -> Iterator[None]:
    """Holds the lock that keeps two indexing runs of one machine out of one index."""
    target = f"{settings.es_host}|{settings.es_cloud_id}|{settings.index_name}"
    lock = FileLock(settings.data_dir / f"index-{hashlib.sha256(target.encode()).hexdigest()[:12]}.lock")
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise CorpusError(
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
