"""Installation of a text model in Elasticsearch: eland traces, uploads and starts it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tenacity

from image_embeddings.encoders.quiet import quiet
from image_embeddings.errors import (
    ElasticsearchError,
    ModelUnavailableError,
    ServerVersionError,
    TextModelError,
    TextModelIncompleteError,
    TextModelLicenceError,
    TextModelStartingError,
    first_line,
)
from image_embeddings.text_model.model import (
    FAILED,
    IMAGE_MODEL,
    INCOMPLETE,
    MISSING,
    NO_LICENCE,
    NO_ML,
    STARTED,
    STARTING,
    STORED,
    TASK,
    TextModel,
    TextModelStatus,
    text_model_errors,
)

if TYPE_CHECKING:
    from eland.ml.pytorch import PyTorchModel

OLDEST_SERVER = (9, 1)  # the first with a libtorch that is at least as new as the torch that traces here
NEEDS = "the cluster privileges 'monitor' and 'manage_ml'"
PART_SECONDS = 300.0  # for the upload of one part
START_TIMEOUT = "50s"  # for which one request waits for the start; eland's client gives up after 60
START_SECONDS = 600.0  # for which we wait in all

Notify = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The text model to load."""

    name: str  # a sentence-transformers folder, or a name on the hub
    image_model: str  # its embeddings are compared with the text model's; the name is stored with the model
    max_tokens: int  # longer texts are cut
    quantize: bool = False  # 8-bit weights in the linear layers


def install(
    model: TextModel, source: Callable[[], Source], *, clear_previous: bool = False, again: str, notify: Notify
) -> TextModelStatus:
    """Load a model and wait until it is started; a model that is there already is replaced only with `clear_previous`.

    `source` returns what to load; it is called only if something is to be loaded. `again` is the command with which
    users can begin anew after an upload that broke off.

    Raises:
        TextModelError: there is no machine learning, no licence or too little memory for it, or the upload broke off.
        ModelUnavailableError: the model cannot be found, or eland cannot trace it.
        ServerVersionError: the server is too old for what is traced here.
    """
    _check_version(model)
    before = model.status()
    if before.state in (NO_ML, NO_LICENCE) and before.error:
        raise before.error
    if before.state == MISSING or clear_previous:
        _upload(model, source(), again=again, notify=notify)
        state = STORED
    elif before.state in (INCOMPLETE, FAILED) and before.error:
        raise before.error
    else:
        notify(f"'{model.model_id}' is in Elasticsearch already; --clear-previous would replace it")
        state = before.state
    if state not in (STARTED, STARTING):
        notify("Starting it")
        _start(model)
    return _when_started(model)


def _check_version(model: TextModel) -> None:
    version = model.cluster.server_version()
    if version < OLDEST_SERVER:
        raise ServerVersionError(
            f"The server is Elasticsearch {version[0]}.{version[1]}. What this version of eland traces runs from 9.1 "
            "on: upgrade it, or let the app encode texts itself (TEXT_ENCODER=local)."
        )


def _upload(model: TextModel, source: Source, *, again: str, notify: Notify) -> None:
    from eland.ml.pytorch.transformers import TransformerModel

    with tempfile.TemporaryDirectory() as folder:
        notify(f"Tracing '{source.name}'")
        with _trace_errors(source.name):
            traced = TransformerModel(
                model_id=source.name,
                task_type=TASK,
                es_version=(*model.cluster.server_version(), 0),
                quantize=source.quantize,
                max_model_input_size=source.max_tokens,
            )
            definition, config, vocabulary = traced.save(folder)
        config.metadata = {**(config.metadata or {}), IMAGE_MODEL: source.image_model}
        before = model.status()  # tracing may have taken minutes
        if before.state != MISSING:
            notify(f"Removing the '{model.model_id}' that is there")
            _remove(model, before)
        notify(f"Uploading it as '{model.model_id}'")
        stored = _stored(model)
        with _errors(model):
            stored.put_config(config=config)
        with _broken_off(again), _errors(model):
            stored.put_model(definition)
            stored.put_vocab(vocabulary)


def _remove(model: TextModel, before: TextModelStatus) -> None:
    with _errors(model):
        if before.state not in (STORED, INCOMPLETE):
            _stored(model).stop()
        _stored(model).delete()


def _start(model: TextModel) -> None:
    """Start the model; return even if the start takes longer than one request."""
    try:
        with _errors(model):
            _stored(model).start(timeout=START_TIMEOUT)
    except TextModelStartingError:
        return


def _when_started(model: TextModel) -> TextModelStatus:
    """Return the status as soon as the model is neither stored nor starting any more.

    Raises:
        TextModelError: it does not start, or takes longer than START_SECONDS.
    """
    waiting = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda status: status.state == STARTING),
        wait=tenacity.wait_fixed(1),
        stop=tenacity.stop_after_delay(START_SECONDS),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    status: TextModelStatus = waiting(model.status)
    if status.error:
        raise status.error
    return status


def _stored(model: TextModel) -> PyTorchModel:
    """Return eland's view of the model. Its client does not repeat a 429, which also means too little memory."""
    from eland.ml.pytorch import PyTorchModel

    client = model.cluster.client.options(request_timeout=PART_SECONDS, retry_on_status=(502, 503, 504))
    return PyTorchModel(client, model.model_id)


@contextmanager
def _errors(model: TextModel) -> Iterator[None]:
    with text_model_errors(model.model_id), model.cluster.errors(needs=NEEDS):
        yield


@contextmanager
def _broken_off(again: str) -> Iterator[None]:
    """Add to an error of an upload that broke off how to begin anew."""
    try:
        yield
    except TextModelLicenceError:
        raise
    except (TextModelError, ElasticsearchError) as error:
        raise TextModelIncompleteError(
            f"The upload broke off: {error} The parts that arrived are of no use without the others. To begin anew: "
            f"{again}"
        ) from error


@contextmanager
def _trace_errors(name: str) -> Iterator[None]:
    """Turn errors of tracing into one that names the model; silence torch and transformers while they trace."""
    try:
        with warnings.catch_warnings(), quiet("transformers", "sentence_transformers"):
            warnings.simplefilter("ignore")
            yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        raise ModelUnavailableError(
            f"eland cannot trace '{name}' ({first_line(error)[:200]}). It takes "
            "sentence-transformers models whose tokenizer Elasticsearch has, BERT's and XLM-RoBERTa's among them; for "
            "others, let the app encode texts itself: TEXT_MODEL and TEXT_ENCODER=local."
        ) from error
