"""The text model inside Elasticsearch: whether it can encode texts, why it cannot, and what to do about it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import tenacity

from image_embeddings.documents import Embedding, ModelInfo
from image_embeddings.errors import (
    ElasticsearchError,
    MachineLearningMissingError,
    ModelMismatchError,
    PermissionDeniedError,
    RequestError,
    SlowError,
    TextModelBusyError,
    TextModelError,
    TextModelFailedError,
    TextModelIncompleteError,
    TextModelInputError,
    TextModelLicenceError,
    TextModelMemoryError,
    TextModelMissingError,
    TextModelPermissionError,
    TextModelSlowError,
    TextModelStartingError,
    TextModelStoppedError,
)
from image_embeddings.es.connection import Cluster

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

INSTALL = "python -m image_embeddings text-model install"
STATUS = "python -m image_embeddings text-model status"
TASK = "text_embedding"
TEXT_FIELD = "text_field"  # the field from which the model takes its text
IMAGE_MODEL = "image_model"  # key in its metadata: the image model that the text model was loaded for

STARTED, STARTING, STOPPING, FAILED = "started", "starting", "stopping", "failed"
STORED, INCOMPLETE, MISSING, NO_LICENCE, NO_ML = "stored", "incomplete", "missing", "no_licence", "no_ml"

Result = TypeVar("Result")


class _Trouble(NamedTuple):
    error: type[TextModelError]
    what: str  # the rest of a sentence that begins: The text model 'x' …
    remedy: str


_STATES = {
    STARTING: _Trouble(TextModelStartingError, "is being started", f"Wait a minute; see: {STATUS}"),
    STOPPING: _Trouble(TextModelStoppedError, "is being stopped", f"To start it again: {INSTALL}"),
    FAILED: _Trouble(
        TextModelFailedError,
        "could not be run by Elasticsearch{detail}",
        f"The log of its ML node says more. Load it anew: {INSTALL} --clear-previous",
    ),
    STORED: _Trouble(TextModelStoppedError, "is in Elasticsearch, but not started", f"Start it: {INSTALL}"),
    INCOMPLETE: _Trouble(
        TextModelIncompleteError,
        "is in Elasticsearch in part only: its upload broke off",
        f"Load it anew: {INSTALL} --clear-previous",
    ),
    MISSING: _Trouble(TextModelMissingError, "is not in Elasticsearch", f"Load it: {INSTALL}"),
    NO_LICENCE: _Trouble(
        TextModelLicenceError,
        "cannot run: Elasticsearch's licence{detail} does not include machine learning",
        "Buy one, or start its 30 days of trial if they have not been used (docs/elasticsearch.md)",
    ),
    NO_ML: _Trouble(
        MachineLearningMissingError,
        "cannot run: this Elasticsearch has no machine learning",
        "Set ES_HOST to a cluster with an ML node (docs/elasticsearch.md)",
    ),
}
_SLOW = _Trouble(
    TextModelSlowError, "did not answer in time{detail}", "Look at the load of the ML node, then try again"
)
_BUSY = _Trouble(
    TextModelBusyError,
    "has more texts waiting than its queue holds",
    "Try again in a moment; if it goes on, give the deployment more allocations",
)
_MEMORY = _Trouble(
    TextModelMemoryError,
    "does not fit into the memory of Elasticsearch's ML nodes{detail}",
    f"Give them more (es-docker: MEM_LIMIT in .env), or load the smaller form: {INSTALL} --quantize --clear-previous",
)
_OTHER_FIELD = _Trouble(
    TextModelError, "takes its text by another name than text_field", f"Load it anew: {INSTALL} --clear-previous"
)
_OTHER_DIMS = _Trouble(
    TextModelError,
    "makes embeddings of other dims than the index has{detail}",
    "Look at ES_TEXT_MODEL_ID: it names the text model made for the index's image model",
)
_TOO_LONG = _Trouble(
    TextModelInputError,
    "was loaded so that it refuses long texts{detail}",
    f"Use fewer words; or load it anew, to have long texts cut: {INSTALL} --clear-previous",
)
_IN_USE = _Trouble(
    TextModelError,
    "is in use and cannot be removed{detail}",
    f"Take it out of the ingest pipelines that name it, or stop it in Kibana; then: {INSTALL} --clear-previous",
)
_FORBIDDEN = _Trouble(
    TextModelPermissionError,
    "may not be used by this user of Elasticsearch{detail}",
    "Give the user the cluster privilege 'monitor_ml', or for text-model install 'manage_ml'",
)

# Patterns of Elasticsearch's reasons, from its own code (docs/design.md). The first that matches counts.
_REASONS = (
    (r"non-compliant for \[ml\]", _STATES[NO_LICENCE]),
    (r"is not an inference service model or a deployed ml model", _STATES[STORED]),  # or it is missing: same message
    (r"No known trained model|Could not find trained model \[", _STATES[MISSING]),
    (r"Could not find trained model definition|Model definition truncated", _STATES[INCOMPLETE]),
    (r"must be deployed to use", _STATES[STORED]),
    (r"is not allocated to any nodes|(?i:timed out after) \[|has already been started", _STATES[STARTING]),
    (r"is \[stopping\]", _STATES[STOPPING]),
    (r"is \[failed\]|Could not start trained model deployment", _STATES[FAILED]),
    (r"is currently deployed|Cannot stop deployment|referenced by ingest processors", _IN_USE),
    (r"waiting for inference result", _SLOW),
    (r"queue is full", _BUSY),
    (r"no ML nodes with sufficient capacity|no suitable nodes were found", _MEMORY),
    (r"Input too large", _TOO_LONG),
    (r"no value could be found for input field", _OTHER_FIELD),
    (r"different (number of )?dimension", _OTHER_DIMS),
    (r"no handler found for uri \[/_ml|unknown field \[text_embedding\]", _STATES[NO_ML]),
)


@dataclass(frozen=True, kw_only=True)
class TextModelStatus:
    """The state of the text model, as Elasticsearch reports it."""

    model_id: str
    state: str  # started, starting, stopping, failed, stored, incomplete, missing, no_licence, no_ml
    dims: int | None = None  # None if it is not known
    image_model: str | None = None  # that it was loaded for, if `text-model install` loaded it
    task: str | None = None  # only text_embedding is of use here
    detail: str = ""

    @property
    def error(self) -> TextModelError | None:
        """The reason why it cannot encode texts now; None if it can."""
        return None if self.state == STARTED else _error(_STATES[self.state], self.model_id, self.detail)

    def check_fits(self, model: ModelInfo, *, known: bool) -> None:
        """Check that its embeddings can be compared with those of an index built with `model`.

        A model that was loaded by eland's own command does not name an image model. It is accepted if its id is `known`
        to belong to the index's image model.

        Raises:
            ModelMismatchError: it does other work, has other dims, or was loaded for another image model.
        """
        remedy = f"Name the one that fits by ES_TEXT_MODEL_ID, or load it: {INSTALL} --clear-previous."
        about = f"The text model '{self.model_id}' in Elasticsearch"
        if self.task not in (TASK, None):
            raise ModelMismatchError(f"{about} is made for {self.task}, not for {TASK}. {remedy}")
        if self.dims not in (model.dims, None):
            raise ModelMismatchError(
                f"{about} makes embeddings of {self.dims} dims, those of '{model.model_id}' in the index have "
                f"{model.dims}. {remedy}"
            )
        if self.image_model is None and not known:
            raise ModelMismatchError(
                f"{about} does not say for which image model it was made; the index was built with '{model.model_id}'. "
                f"Load it by the command that looks at both: {INSTALL} --clear-previous."
            )
        if self.image_model not in (model.model_id, None):
            raise ModelMismatchError(
                f"{about} was loaded for the image model '{self.image_model}', but the index was built with "
                f"'{model.model_id}'. {remedy}"
            )


class TextModel:
    """The trained model `model_id` of a cluster."""

    def __init__(self, cluster: Cluster, model_id: str) -> None:
        self.cluster = cluster
        self.model_id = model_id

    def status(self, *, seconds: float | None = None) -> TextModelStatus:
        """Return its state, from three requests: for the model, the deployment and the licence.

        If `seconds` is given, each request is made once and may take that long. Otherwise they are made as all requests
        are.

        Raises:
            ElasticsearchError, TextModelError: Elasticsearch does not answer the question.
        """
        client = self.cluster.client.options(request_timeout=seconds, max_retries=0) if seconds else self.cluster.client
        try:
            found = self._found(client)
        except TextModelMissingError:
            found = TextModelStatus(model_id=self.model_id, state=MISSING)
        except MachineLearningMissingError:
            return TextModelStatus(model_id=self.model_id, state=NO_ML)
        return self._barred(client) or found

    def embed(self, text: str, *, seconds: float) -> Embedding:
        """Return the embedding of a text, shape (dims,), unit length; Elasticsearch has to encode it within `seconds`.

        Raises:
            TextModelError: the model cannot encode the text; the error says why.
        """
        client = self.cluster.client.options(request_timeout=seconds, max_retries=0)
        with text_model_errors(self.model_id), self.cluster.errors(needs="the cluster privilege 'monitor_ml'"):
            answer = client.ml.infer_trained_model(
                model_id=self.model_id, docs=[{TEXT_FIELD: text}], timeout=f"{max(1, int(seconds))}s"
            )
        embedding = np.asarray(answer["inference_results"][0]["predicted_value"], np.float32)
        found: Embedding = embedding / np.linalg.norm(embedding)
        return found

    def _found(self, client: Elasticsearch) -> TextModelStatus:
        ml = client.ml
        with (
            text_model_errors(self.model_id),
            self.cluster.errors(needs="the cluster privileges 'monitor' and 'monitor_ml'"),
        ):
            config = ml.get_trained_models(model_id=self.model_id, include="definition_status")
            stats = ml.get_trained_models_stats(model_id=self.model_id)
        model: Mapping[str, Any] = config["trained_model_configs"][0]
        deployments = [each["deployment_stats"] for each in stats["trained_model_stats"] if "deployment_stats" in each]
        started = [each for each in deployments if each.get("state") == STARTED]
        deployment = next(iter(started or deployments), None)
        inference: Mapping[str, Any] = model.get("inference_config") or {}
        return TextModelStatus(
            model_id=self.model_id,
            state=_state(model, deployment),
            dims=inference.get(TASK, {}).get("embedding_size"),
            image_model=(model.get("metadata") or {}).get(IMAGE_MODEL),
            task=next(iter(inference), None),
            detail=_failure(deployment or {}),
        )

    def _barred(self, client: Elasticsearch) -> TextModelStatus | None:
        """Return the status of all models, if machine learning is switched off or the licence does not include it.

        Return None otherwise, and also if Elasticsearch does not say: some users may not ask. Then the request that
        does not work raises the error.
        """
        try:
            with self.cluster.errors():
                info = client.xpack.info(categories=["license", "features"]).body
        except ElasticsearchError:
            return None
        machine_learning = info.get("features", {}).get("ml", {})
        if machine_learning.get("enabled") is False:
            return TextModelStatus(model_id=self.model_id, state=NO_ML)
        if machine_learning.get("available") is False:
            licence = info.get("license") or {}
            detail = f" ({licence.get('type', 'unknown')}, {licence.get('status', 'unknown')})"
            return TextModelStatus(model_id=self.model_id, state=NO_LICENCE, detail=detail)
        return None


def _state(model: Mapping[str, Any], deployment: Mapping[str, Any] | None) -> str:
    if deployment is None:
        return INCOMPLETE if model.get("fully_defined") is False else STORED
    state = str(deployment.get("state", STARTING))
    return state if state in (STARTED, STARTING, STOPPING, FAILED) else FAILED


def _failure(deployment: Mapping[str, Any]) -> str:
    """Return why a deployment failed, in brackets; empty if it did not, or if Elasticsearch does not say."""
    routes = [node.get("routing_state", {}) for node in deployment.get("nodes", [])]
    reasons = [deployment.get("reason"), *(route.get("reason") for route in routes)]
    return next((f" ({reason})" for reason in reasons if reason), "")


@contextmanager
def text_model_errors(model_id: str) -> Iterator[None]:
    """Turn refusals whose reason is a text model into errors that name the model and a remedy."""
    try:
        yield
    except PermissionDeniedError as error:
        if "non-compliant for [ml]" in error.reason:
            raise _error(_STATES[NO_LICENCE], model_id) from error
        if "/ml/" in error.reason:
            raise _error(_FORBIDDEN, model_id, f" ({error.reason})") from error
        raise
    except SlowError as error:
        raise _error(_SLOW, model_id) from error
    except RequestError as error:
        for pattern, trouble in _REASONS:
            if re.search(pattern, error.reason):
                raise _error(trouble, model_id, f" ({error.reason})") from error
        raise


def _error(trouble: _Trouble, model_id: str, detail: str = "") -> TextModelError:
    return trouble.error(f"The text model '{model_id}' {trouble.what.format(detail=detail)}. {trouble.remedy}.")


def ask_while_busy(ask: Callable[[float], Result], *, model_id: str, seconds: float) -> Result:
    """Return what `ask` returns; call it again while the model is busy.

    `ask` makes a request that lets Elasticsearch encode a text. It gets the seconds that are left. All attempts
    together end within `seconds`. The pauses between them grow.

    Raises:
        TextModelError: the model cannot encode the text; the error says why.
    """
    deadline = time.monotonic() + seconds

    def attempt() -> Result:
        with text_model_errors(model_id):
            return ask(max(0.1, deadline - time.monotonic()))

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_busy),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
        stop=tenacity.stop_before_delay(seconds),
        reraise=True,
    )
    return attempts(attempt)


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, TextModelBusyError) or (isinstance(error, RequestError) and error.status in (429, 503))
