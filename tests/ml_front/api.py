"""The answers of the front: the licence, the requests for trained models, and searches by text."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.ml_front import errors
from tests.ml_front.descriptions import assignment_of, config_of, stats_of
from tests.ml_front.models import Json

if TYPE_CHECKING:
    from tests.ml_front import MlFront, Request

ACKNOWLEDGED = {"acknowledged": True}
_UID = "00000000-0000-4000-8000-000000000000"
_MONTH = 30 * 24 * 3600


def answer(front: MlFront, request: Request) -> Json | None:
    """Return the answer to a request; None if the node has to answer. Raises the errors of MlFront.answer."""
    for method, pattern, answers in _ROUTES:
        found = re.fullmatch(pattern, request.path)
        if found and method == request.method:
            return answers(front, request, *map(unquote, found.groups()))
    return None


# --- Searches by text -------------------------------------------------------------------------------------------------


def with_query_vectors(front: MlFront, body: Any) -> Any:
    """Return a search body with the query vector in place of every text embedding builder."""
    if isinstance(body, list):
        return [with_query_vectors(front, each) for each in body]
    if not isinstance(body, dict):
        return body
    if "text_embedding" in (body.get("query_vector_builder") or {}):
        others = {key: with_query_vectors(front, value) for key, value in body.items() if key != "query_vector_builder"}
        return {**others, "query_vector": _query_vector(front, **body["query_vector_builder"]["text_embedding"])}
    return {key: with_query_vectors(front, value) for key, value in body.items()}


def _query_vector(front: MlFront, model_id: str, model_text: str) -> list[float]:
    front.faults.strike("search", model_id)
    model = next((each for each in front.models if each.model_id == model_id), None)
    if model is None or model.deployment is None:
        raise errors.no_deployed_model(model_id)
    _check_licence(front, model_id)
    prefix = model.config.get("prefix_strings", {}).get("search", "")
    return front.models.infer(model_id, prefix + model_text)[0]


# --- The licence ------------------------------------------------------------------------------------------------------


def _has_ml(front: MlFront) -> bool:
    return front.licence in ("trial", "platinum")


def _check_licence(front: MlFront, model_id: str) -> None:
    if not _has_ml(front):
        raise errors.not_licensed(model_id)


def _info(front: MlFront, request: Request) -> Json:
    licence, features = _licence(front), {"available": _has_ml(front), "enabled": front.ml_enabled}
    shown = ("uid", "type", "mode", "status", "expiry_date_in_millis")
    return {
        "license": {name: licence[name] for name in shown if name in licence},
        "features": {"ml": features, "security": {"available": True, "enabled": True}},
        "tagline": "You know, for X",
    }


def _get_licence(front: MlFront, request: Request) -> Json:
    return {"license": _licence(front)}


def _licence(front: MlFront) -> Json:
    kind = front.licence.removeprefix("expired ")
    expired = front.licence != kind
    now = int(time.time())
    expiry = {} if kind == "basic" else {"expiry_date_in_millis": (now - 1 if expired else now + _MONTH) * 1000}
    return {
        "uid": _UID,
        "type": kind,
        "mode": kind,
        "status": "expired" if expired else "active",
        "issued_to": "front",
        "issuer": "elasticsearch",
        "issue_date_in_millis": (now - _MONTH) * 1000,
        **expiry,
    }


# --- Trained models ---------------------------------------------------------------------------------------------------


def _get_models(front: MlFront, request: Request, pattern: str = "*") -> Json:
    front.faults.strike("get", pattern)
    with_status = "definition_status" in request.query.get("include", "")
    found = [config_of(model, with_status=with_status) for model in front.models.matching(pattern)]
    return {"count": len(found), "trained_model_configs": found}


def _get_stats(front: MlFront, request: Request, pattern: str = "*") -> Json:
    front.faults.strike("get", pattern)
    found = [stats_of(model, front.faults) for model in front.models.matching(pattern)]
    return {"count": len(found), "trained_model_stats": found}


def _put_model(front: MlFront, request: Request, model_id: str) -> Json:
    _check_licence(front, model_id)
    front.faults.strike("put", model_id)
    return config_of(front.models.create(model_id, request.body))


def _put_part(front: MlFront, request: Request, model_id: str, part: str) -> Json:
    _check_licence(front, model_id)
    front.faults.strike("upload", model_id)
    if front.faults.hits("break off", part=int(part)):
        raise errors.ConnectionBroken
    front.models.put_part(model_id, int(part), request.body)
    return ACKNOWLEDGED


def _put_vocabulary(front: MlFront, request: Request, model_id: str) -> Json:
    _check_licence(front, model_id)
    front.faults.strike("upload", model_id)
    front.models.put_vocabulary(model_id, request.body)
    return ACKNOWLEDGED


def _delete_model(front: MlFront, request: Request, model_id: str) -> Json:
    front.faults.strike("delete", model_id)
    front.models.delete(model_id, force=request.query.get("force") == "true")
    return ACKNOWLEDGED


def _start(front: MlFront, request: Request, model_id: str) -> Json:
    _check_licence(front, model_id)
    front.faults.strike("start", model_id)
    timeout, wait_for = request.query.get("timeout", "20s"), request.query.get("wait_for", "started")
    return assignment_of(front.models.start(model_id, timeout=timeout, wait_for=wait_for))


def _stop(front: MlFront, request: Request, model_id: str) -> Json:
    front.models.stop(model_id)
    return {"stopped": True}


def _infer(front: MlFront, request: Request, model_id: str) -> Json:
    front.faults.strike("infer", model_id)
    model = front.models[model_id]
    _check_licence(front, model_id)
    if not request.body:
        raise errors.invalid("requires body")
    options = request.body.get("inference_config", {}).get("text_embedding", {})
    truncate = options.get("tokenization", {}).get("bert", {}).get("truncate")
    field = model.config.get("input", {}).get("field_names", ["text_field"])[0]
    front.models.deployed(model_id)
    results = []
    for document in request.body["docs"]:
        if field not in document:
            raise errors.no_text(field)
        embedding, is_truncated = front.models.infer(model_id, document[field], truncate=truncate)
        cut = {"is_truncated": True} if is_truncated else {}
        results.append({options.get("results_field", "predicted_value"): embedding, **cut})
    return {"inference_results": results}


def _steer(front: MlFront, request: Request) -> Json | None:
    """Answer a request to the stand-in itself, for what a test does by the control object."""
    if not front.steerable:
        return None
    orders = dict(request.body)
    if "fault" in orders:
        front.order(orders.pop("fault"), times=orders.pop("times", None), part=orders.pop("part", 0))
    if "clear" in orders:
        front.clear(orders.pop("clear"))
    front.models.memory = orders.pop("memory", front.models.memory)
    front.licence = orders.pop("licence", front.licence)
    front.ml_enabled = orders.pop("ml_enabled", front.ml_enabled)
    return {"licence": front.licence, "ml_enabled": front.ml_enabled, "faults": front.faults.describe()}


_MODEL = "/_ml/trained_models/([^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., Json | None]]] = [
    ("GET", "/_xpack", _info),
    ("GET", "/_license", _get_licence),
    ("GET", "/_ml/trained_models/?", _get_models),
    ("GET", "/_ml/trained_models/_stats", _get_stats),
    ("GET", _MODEL, _get_models),
    ("GET", f"{_MODEL}/_stats", _get_stats),
    ("PUT", _MODEL, _put_model),
    ("DELETE", _MODEL, _delete_model),
    ("PUT", rf"{_MODEL}/definition/(\d+)", _put_part),
    ("PUT", f"{_MODEL}/vocabulary", _put_vocabulary),
    ("POST", f"{_MODEL}/deployment/_start", _start),
    ("POST", f"{_MODEL}/deployment/_stop", _stop),
    ("POST", f"{_MODEL}/_infer", _infer),
    ("POST", "/_front/fault", _steer),
]
