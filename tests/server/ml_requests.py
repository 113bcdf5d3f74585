"""Requests to tests.ml_front, for its tests."""

import base64
import json
import urllib.error
import urllib.request

from tests import specification
from tests.waiting import LONG

MIB = 2**20
M = "/_ml/trained_models/m"
DOG = {"docs": [{"text_field": "a dog"}]}
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(front, method, path, body=None):
    """Return status and parsed answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(front.url + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with _OPENER.open(request, timeout=LONG) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def ok(front, method, path, body=None):
    """Return the answer; fail if it is no success."""
    status, answer = ask(front, method, path, body)
    assert status == 200, answer
    return answer


def fails(front, method, path, body=None):
    """Return status, type and reason of an answer, which has to be an error in the right form."""
    status, answer = ask(front, method, path, body)
    assert specification.is_error(answer), answer
    assert answer["status"] == status
    return status, answer["error"]["type"], answer["error"]["reason"]


def start(front, model_id="n", query=""):
    """Return the same as `fails`, for a start that fails."""
    return fails(front, "POST", f"/_ml/trained_models/{model_id}/deployment/_start{query}")


def state(front, model_id="m"):
    """Return the state in _stats; None if the model is not deployed."""
    (stats,) = ok(front, "GET", f"/_ml/trained_models/{model_id}/_stats")["trained_model_stats"]
    return stats.get("deployment_stats", {}).get("state")


def upload(front, model, model_id="n", *, data=None, left_out=(), claimed=0, vocabulary=True, config=None):
    """Bring a model that eland made, or the given definition, to a front; leave out some parts if told to."""
    data = data or model.file.read_bytes()
    path = f"/_ml/trained_models/{model_id}"
    slices = [data[begin : begin + MIB] for begin in range(0, len(data), MIB)]
    ok(front, "PUT", path, {**model.config, **(config or {})})
    for part in sorted(set(range(len(slices))) - set(left_out)):
        body = {"definition": base64.b64encode(slices[part]).decode(), "total_parts": len(slices)}
        ok(front, "PUT", f"{path}/definition/{part}", {**body, "total_definition_length": claimed or len(data)})
    if vocabulary:
        ok(front, "PUT", f"{path}/vocabulary", {"vocabulary": model.vocabulary})


def clause(vector):
    """Return a kNN clause with that query vector, or with a builder for it."""
    return {"field": "embedding", "k": 5, "num_candidates": 40, **vector}


def by_text(model_text, model_id="m"):
    """Return a kNN clause for a text."""
    return clause({"query_vector_builder": {"text_embedding": {"model_id": model_id, "model_text": model_text}}})
