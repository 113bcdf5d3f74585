"""Encoding the text of a query, and finding the photos nearest to it.

Either the text model inside Elasticsearch encodes the text, or the local encoder here. This depends on TEXT_ENCODER,
and on which of them work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from image_embeddings.calibration.likeness import QueryKind, WeightedEmbedding
from image_embeddings.documents import Embedding
from image_embeddings.errors import ElasticsearchError, ModelUnavailableError, RequestError, TextModelError
from image_embeddings.es.nearest import RawResult
from image_embeddings.search.attempt import Attempt, Neighbours
from image_embeddings.text_model.choice import TextPath
from image_embeddings.text_model.model import TextModel, ask_while_busy

VERDICT_SECONDS = 2.0  # for Elasticsearch to encode a text once more, for the verdict

Result = TypeVar("Result")


def near_text(text: str, attempt: Attempt) -> Neighbours:
    """Return the photos nearest to a text. Raise a ModelError if nobody can encode it.

    If Elasticsearch encodes the text, encoding and search are one request. A verdict then needs a second one.
    """

    def search_there(model_id: str) -> Neighbours:
        raw = _search_by_text_model(text, model_id, attempt)
        return Neighbours(raw=raw, targets=_targets_of_text_model(text, model_id, attempt))

    def search_here(embedding: Embedding) -> Neighbours:
        return attempt.near(embedding, kind=QueryKind.TEXT)

    neighbours, path = _by_text_encoder(text, attempt, there=search_there, here=search_here)
    return replace(neighbours, path=path)


def encode_text(text: str, attempt: Attempt) -> tuple[Embedding, TextPath]:
    """Return the embedding of a text, shape (dims,), and who encoded it. Raise a ModelError if nobody can."""

    def encode_there(model_id: str) -> Embedding:
        with attempt.stopwatch.stage("encode"):
            model = TextModel(attempt.index.cluster, model_id)
            return model.embed(text, seconds=attempt.text_paths.patience_seconds)

    return _by_text_encoder(text, attempt, there=encode_there, here=lambda embedding: embedding)


def _by_text_encoder(
    text: str, attempt: Attempt, *, there: Callable[[str], Result], here: Callable[[Embedding], Result]
) -> tuple[Result, TextPath]:
    """Return the result of `there` or `here`, and who encoded the text.

    `there` lets Elasticsearch encode the text. It gets the id of the text model. `here` gets the local embedding. It is
    called if the local encoder is chosen, and with TEXT_ENCODER=auto also if `there` fails because of the text model.
    If Elasticsearch refuses the request for an unknown reason, that reason may be the index. The text model counts as
    failed only if `here` then succeeds.
    """
    paths, cluster, model = attempt.text_paths, attempt.index.cluster, attempt.opened.state.model
    path = paths.choose(cluster, model)
    refusal: RequestError | None = None
    if path.model_id:
        try:
            return there(path.model_id), path
        except TextModelError as error:
            path = paths.after_failure(error, path=path, cluster=cluster, model=model)
        except RequestError as error:
            if not paths.may_stand_in:
                raise
            refusal = error
    try:
        result = here(attempt.opened.encode_text(text, attempt.stopwatch))
    except ModelUnavailableError as missing:
        if not (path.note or refusal):
            raise
        raise ModelUnavailableError(
            f"{refusal or path.why} Nor has the app a model of its own to stand in: {missing}"
        ) from missing
    if refusal:
        path = paths.after_failure(refusal, path=path, cluster=cluster, model=model)
    return result, path


def _search_by_text_model(text: str, model_id: str, attempt: Attempt) -> RawResult:
    """Return what Elasticsearch finds near a text that it encodes itself. Ask again while the model is busy."""

    def ask(seconds: float) -> RawResult:
        return attempt.index.nearest.to_text(
            text, model_id=model_id, k=attempt.k, offset=attempt.offset, options=attempt.options, seconds=seconds
        )

    with attempt.stopwatch.stage("search"):
        return ask_while_busy(ask, model_id=model_id, seconds=attempt.text_paths.patience_seconds)


def _targets_of_text_model(text: str, model_id: str, attempt: Attempt) -> list[WeightedEmbedding]:
    """Return the embedding that a verdict needs, or nothing if no verdict is wanted or Elasticsearch fails."""
    if not attempt.options.embeddings:
        return []
    try:
        with attempt.stopwatch.stage("encode"):
            embedding = TextModel(attempt.index.cluster, model_id).embed(text, seconds=VERDICT_SECONDS)
    except (TextModelError, ElasticsearchError):
        return []
    return [WeightedEmbedding(embedding, QueryKind.TEXT)]
