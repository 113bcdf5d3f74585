"""The text model inside Elasticsearch that belongs to an image model: its id, its state and its installation."""

from __future__ import annotations

import shlex
from dataclasses import replace

from image_embeddings.config import DEFAULT_TEXT_MODEL_ID, Settings
from image_embeddings.documents import ModelInfo
from image_embeddings.encoders import AUTO, BUILT_IN, choose_encoder, clip
from image_embeddings.errors import MachineLearningMissingError, ModelMismatchError, ModelUnavailableError
from image_embeddings.es.image_index import IndexState
from image_embeddings.es.opening import Notify, open_index, silent, state_of, uses_embedded_node
from image_embeddings.sources.samples import captioned_photos
from image_embeddings.text_model.installation import Source, install
from image_embeddings.text_model.model import INSTALL, NO_ML, TextModel, TextModelStatus


def text_model_id(settings: Settings, *, image_model: str) -> str | None:
    """Return the id in Elasticsearch of the text model that belongs to an image model; None if none is known."""
    text_model = settings.text_model or clip.TEXT_MODELS.get(image_model)
    if image_model in BUILT_IN or (text_model and clip.is_for_the_app_only(text_model)):
        return None
    if settings.es_text_model_id != DEFAULT_TEXT_MODEL_ID:
        return settings.es_text_model_id
    return (clip.elasticsearch_model_id(text_model) or None) if text_model else None


def is_known_text_model(settings: Settings, model_id: str, model: ModelInfo) -> bool:
    """Return whether the id is that of the text model made for the image model, or the user has set it."""
    made_for_it = clip.TEXT_MODELS.get(model.model_id)
    own_id = clip.elasticsearch_model_id(made_for_it) if made_for_it else None
    return model_id == own_id or model_id == settings.es_text_model_id != DEFAULT_TEXT_MODEL_ID


def text_model_status(settings: Settings) -> TextModelStatus:
    """Return the state of the text model inside Elasticsearch that belongs to these settings and the index.

    Raises:
        ModelMismatchError: there is none for the index's image model, or another one has its id.
    """
    if uses_embedded_node(settings):
        return TextModelStatus(model_id=settings.es_text_model_id, state=NO_ML)
    index = open_index(settings)
    state = state_of(index)
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
    notify: Notify = silent,
) -> TextModelStatus:
    """Load a text model into Elasticsearch and wait until it is started; by default the one of the index's image model.

    Raises:
        ModelMismatchError: its embeddings cannot be compared with those in the index.
        ImageSearchError: it could not be loaded or started; the error says how to go on.
    """
    if uses_embedded_node(settings):
        raise MachineLearningMissingError(
            "The embedded Elasticsearch has no machine learning, and needs none: the app encodes texts itself. To run "
            "the text model in a cluster of yours, set ES_HOST."
        )
    index = open_index(settings)
    state = state_of(index)
    image_model = _image_model(settings, state)
    named = model or settings.text_model or clip.TEXT_MODELS.get(image_model)
    if named is None or image_model in BUILT_IN:
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
    """Return the command that the user has given, to run it again."""
    options = [f"--model {shlex.quote(model)}" if model else "", "--quantize" if quantize else "", "--clear-previous"]
    return " ".join([INSTALL, *filter(None, options)])


def _fitting(status: TextModelStatus, state: IndexState | None, settings: Settings) -> TextModelStatus:
    if state and not status.error:
        status.check_fits(state.model, known=is_known_text_model(settings, status.model_id, state.model))
    return status


def _text_source(
    settings: Settings,
    *,
    image_model: str,
    state: IndexState | None,
    quantize: bool,
    notify: Notify,
) -> Source:
    """Return the text model of the settings, after a check that it fits the image model as far as can be seen here."""
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
    if image_model in BUILT_IN:
        return ModelMismatchError(
            f"The index is one of the built-in model '{image_model}', whose texts the app encodes: there is nothing to "
            "load into Elasticsearch. TEXT_ENCODER=auto or local."
        )
    return ModelMismatchError(
        f"For the image model '{image_model}' no text model is made that Elasticsearch could run. Name one of the same "
        "space by --model (or TEXT_MODEL), or let the app encode texts itself: TEXT_ENCODER=local."
    )


def _image_model(settings: Settings, state: IndexState | None) -> str:
    """Return the image model of the index, or of the index that would be made."""
    if state:
        return state.model.model_id
    return clip.CLIP if settings.image_model == AUTO else clip.model_id_of(settings.image_model)
