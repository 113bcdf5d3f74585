"""Tests of the stand-in for Elasticsearch's machine learning.

They cover uploads, deployments, inference, and searches of the real node behind it.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from image_embeddings.es import queries
from image_embeddings.es.filters import Filters
from tests import specification
from tests.server.ml_requests import DOG, M, ask, by_text, clause, fails, ok, start, state, upload

pytestmark = pytest.mark.server


# --- Uploads ----------------------------------------------------------------------------------------------------------


def test_every_success_is_answered_as_specified(ml, uploaded_model):
    upload(ml, uploaded_model)
    for step in ("", "?include=definition_status", "/_stats"):
        ok(ml, "GET", f"/_ml/trained_models/n{step}")
    for step in ("/deployment/_start?wait_for=fully_allocated", "/_infer?timeout=5s", "/deployment/_stop"):
        ok(ml, "POST", f"/_ml/trained_models/n{step}", DOG if "_infer" in step else None)
        ok(ml, "GET", "/_ml/trained_models/_stats")
    ok(ml, "GET", "/_ml/trained_models")
    ok(ml, "DELETE", "/_ml/trained_models/n")
    assert [each for request in ml.requests for each in specification.complaints(request)] == []


def test_a_model_says_whether_it_is_fully_defined(ml, uploaded_model):
    upload(ml, uploaded_model, left_out=[5])
    configs = ok(ml, "GET", "/_ml/trained_models/*?include=definition_status")["trained_model_configs"]
    assert {each["model_id"]: each["fully_defined"] for each in configs} == {"m": True, "n": False}
    assert "fully_defined" not in ok(ml, "GET", M)["trained_model_configs"][0]


def test_a_model_and_a_part_are_accepted_only_once(ml, uploaded_model):
    sizes = {"total_parts": uploaded_model.total_parts, "total_definition_length": uploaded_model.total_bytes}
    exists = (400, "resource_already_exists_exception")
    assert fails(ml, "PUT", M, uploaded_model.config) == (*exists, "Trained machine learning model [m] already exists")
    reason = "Trained machine learning model chunked doc [m][0] already exists"
    assert fails(ml, "PUT", f"{M}/definition/0", {**sizes, "definition": "AAAA"}) == (*exists, reason)


@pytest.mark.parametrize(
    ("part", "total_parts", "length", "reason"),
    [
        (3, 3, 9, "[part] must be less than total_parts"),
        (0, 10_001, 9, "[total_parts] must be less than or equal to 10000"),
        (0, 1, 0, "[total_definition_length] must be greater than 0"),
    ],
)
def test_impossible_parts_are_refused(ml, part, total_parts, length, reason):
    body = {"definition": "AAAA", "total_parts": total_parts, "total_definition_length": length}
    kind = "action_request_validation_exception"
    assert fails(ml, "PUT", f"{M}/definition/{part}", body) == (400, kind, f"Validation Failed: 1: {reason};")


def test_an_id_that_elasticsearch_does_not_accept_is_refused(ml, uploaded_model):
    status, _, reason = fails(ml, "PUT", "/_ml/trained_models/.__m", uploaded_model.config)
    assert (status, "Invalid model_id; '.__m'" in reason) == (400, True)


def test_an_unknown_tokenizer_is_refused(ml, uploaded_model):
    task = {"text_embedding": {"tokenization": {"roberta": {}}}}
    status, _, reason = fails(ml, "PUT", "/_ml/trained_models/n", {**uploaded_model.config, "inference_config": task})
    assert (status, reason) == (400, "this stand-in knows only bert tokenization, not roberta")


# --- Deployments ------------------------------------------------------------------------------------------------------


def test_without_a_definition_nothing_starts(ml, uploaded_model):
    ok(ml, "PUT", "/_ml/trained_models/n", uploaded_model.config)
    reason = "Could not find trained model definition [n]"
    assert start(ml) == (404, "resource_not_found_exception", reason)


@pytest.mark.parametrize("defect", [{"left_out": [18]}, {"left_out": [5]}, {"claimed": 5}], ids=str)
def test_an_incomplete_definition_does_not_start(ml, uploaded_model, defect):
    upload(ml, uploaded_model, **defect)
    reason = "Model definition truncated. Unable to deserialize trained model definition [n]"
    assert start(ml) == (400, "status_exception", reason)
    assert state(ml, "n") is None


def sine(folder):
    """A model with an operation that servers do not let models use."""
    import torch

    class Sine(torch.nn.Module):
        def forward(self, ids, mask, types, places):
            return torch.sin(mask)

    torch.jit.save(torch.jit.script(Sine()), folder / "sine.pt")
    return (folder / "sine.pt").read_bytes()


def test_a_forbidden_operation_does_not_start(ml, uploaded_model, tmp_path):
    upload(ml, uploaded_model, data=sine(tmp_path))
    status, kind, reason = start(ml)
    assert (status, kind) == (500, "status_exception")
    assert reason.startswith("Could not start trained model deployment, the following nodes failed with errors [{")
    assert reason.endswith("does not match any supported architecture. Unrecognised operations: sin}]")
    assert state(ml, "n") is None


@pytest.mark.parametrize("defect", [{"data": b"no model"}, {"vocabulary": False}], ids=str)
def test_a_model_that_cannot_be_loaded_does_not_start(ml, uploaded_model, defect):
    upload(ml, uploaded_model, **defect)
    status, _, reason = start(ml)
    assert (status, "the following nodes failed with errors" in reason) == (500, True)


def test_a_model_that_does_not_fit_into_memory_does_not_start(ml, uploaded_model):
    upload(ml, uploaded_model)
    ml.models.memory = ml.models["m"].required_bytes + ml.models["n"].required_bytes - 1
    reason = "Could not start deployment because no ML nodes with sufficient capacity were found"
    assert start(ml) == (429, "status_exception", reason)
    _, answer = ask(ml, "POST", "/_ml/trained_models/n/deployment/_start")
    assert answer["error"]["caused_by"]["type"] == "illegal_state_exception"
    ml.models.memory += 1
    ok(ml, "POST", "/_ml/trained_models/n/deployment/_start")


def test_a_started_model_cannot_be_started_again_or_deleted(ml):
    reason = "Cannot start deployment [m] because it has already been started"
    assert start(ml, "m") == (409, "status_exception", reason)
    reason = "Cannot delete model [m] as it is currently deployed; use force to delete the model"
    assert fails(ml, "DELETE", M) == (409, "status_exception", reason)


def test_a_deployed_model_is_deleted_by_force(ml, uploaded_model):
    upload(ml, uploaded_model)
    ok(ml, "POST", "/_ml/trained_models/n/deployment/_start")
    ok(ml, "DELETE", "/_ml/trained_models/n?force=true")
    reason = "No known trained model with model_id [n]"
    assert fails(ml, "GET", "/_ml/trained_models/n") == (404, "resource_not_found_exception", reason)


def test_a_start_that_takes_too_long_goes_on(ml, uploaded_model):
    upload(ml, uploaded_model)
    ml.order("start timeout")
    assert start(ml, query="?timeout=60s") == (408, "status_exception", "Starting deployment timed out after [60s]")
    assert state(ml, "n") == "starting"
    assert start(ml)[0] == 409
    ml.clear("start timeout")
    assert ml.models.wait_for("n", "started") == state(ml, "n") == "started"


def test_a_slow_start_is_waited_for(ml, uploaded_model):
    upload(ml, uploaded_model)
    ml.order("slow start")
    with ThreadPoolExecutor() as pool:
        started = pool.submit(ok, ml, "POST", "/_ml/trained_models/n/deployment/_start")
        assert ml.models.wait_for("n", "starting") == state(ml, "n") == "starting"
        assert not started.done()
        ml.clear()
        assert started.result()["assignment"]["assignment_state"] == "started"


def test_a_slow_start_is_waited_for_no_longer_than_asked(ml, uploaded_model):
    upload(ml, uploaded_model)
    ml.order("slow start")
    assert start(ml, query="?timeout=10ms") == (408, "status_exception", "Starting deployment timed out after [10ms]")


def test_a_deployment_that_is_only_starting_does_not_answer_yet(ml, uploaded_model):
    upload(ml, uploaded_model)
    ml.order("slow start")
    answer = ok(ml, "POST", "/_ml/trained_models/n/deployment/_start?wait_for=starting")
    assert answer["assignment"]["assignment_state"] == "starting"
    reason = "Trained model deployment [n] is not allocated to any nodes"
    assert fails(ml, "POST", "/_ml/trained_models/n/_infer", DOG) == (409, "status_exception", reason)


# --- Inference --------------------------------------------------------------------------------------------------------


def test_embeddings_come_in_the_order_of_the_texts(ml):
    texts = ["a dog", "un gato"]
    both = ok(ml, "POST", f"{M}/_infer", {"docs": [{"text_field": text} for text in texts]})["inference_results"]
    assert [each["predicted_value"] for each in both] == [ml.models.infer("m", text)[0] for text in texts]


def test_a_document_without_the_models_field_is_refused(ml):
    reason = "no value could be found for input field [text_field]"
    assert fails(ml, "POST", f"{M}/_infer", {"docs": [{"text": "a dog"}]}) == (400, "status_exception", reason)


def test_a_text_that_may_not_be_cut_is_too_large(ml):
    options = {"text_embedding": {"tokenization": {"bert": {"truncate": "none"}}}}
    body = {"docs": [{"text_field": "dog " * 50}], "inference_config": options}
    reason = "Input too large. The tokenized input length [152] exceeds the maximum sequence length [128]"
    assert fails(ml, "POST", f"{M}/_infer", body) == (400, "status_exception", reason)


def test_a_model_that_is_not_there_has_errors_of_its_own(ml):
    reason = "Could not find trained model [x]"
    assert fails(ml, "POST", "/_ml/trained_models/x/_infer", DOG) == (404, "resource_not_found_exception", reason)
    reason = "No known trained model with model_id [x]"
    assert fails(ml, "GET", "/_ml/trained_models/x/_stats") == (404, "resource_not_found_exception", reason)


# --- Searches ---------------------------------------------------------------------------------------------------------


FORMS = {
    "an object": lambda clause: {"knn": clause},
    "a list": lambda clause: {"knn": [clause, {**clause, "boost": 0.5}]},
    "a query": lambda clause: {"query": {"knn": clause}, "size": 5},
    "a query in a query": lambda clause: {"query": {"bool": {"must": [{"knn": clause}]}}, "size": 5},
    "a retriever": lambda clause: {"retriever": {"knn": clause}},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_search_by_text_finds_what_the_texts_vector_finds(ml, cluster, forty_photos, form):
    vector = {"query_vector": ml.models.infer("m", "un perro en la nieve")[0]}
    found = ok(ml, "POST", f"/{forty_photos}/_search", form(by_text("un perro en la nieve")))["hits"]
    assert len(found["hits"]) == 5
    assert found == cluster.client.search(index=forty_photos, body=form(clause(vector)))["hits"]
    assert ml.count() == ml.count("POST", "*/_search") == 1


@pytest.mark.parametrize("schema", ["KnnSearch", "KnnQuery", "KnnRetriever"])
def test_the_clause_is_as_specified(schema):
    assert specification.clause_complaints(f"_types.{schema}", by_text("a dog")) == []


def test_our_own_search_is_as_specified():
    query = queries.text_model_query(model_id="m", text="a dog")
    body = queries.photo_search(query, k=5, options=queries.SearchOptions(filters=Filters(values={"folder": ("a",)})))
    assert specification.clause_complaints("_types.KnnSearch", body["knn"]) == []


def test_a_search_uses_the_prefix_of_the_model(ml, uploaded_model, forty_photos):
    upload(ml, uploaded_model, config={"prefix_strings": {"search": "photo of "}})
    ok(ml, "POST", "/_ml/trained_models/n/deployment/_start")
    vector = {"query_vector": ml.models.infer("m", "photo of a dog")[0]}
    clauses = by_text("a dog", "n"), clause(vector)
    found = [ok(ml, "POST", f"/{forty_photos}/_search", {"knn": each})["hits"] for each in clauses]
    assert found[0] == found[1]


@pytest.mark.parametrize("model_id", ["n", "x"], ids=["not deployed", "not there"])
def test_a_search_by_a_model_that_is_not_deployed_is_an_error(ml, uploaded_model, forty_photos, model_id):
    upload(ml, uploaded_model)
    reason = f"[{model_id}] is not an inference service model or a deployed ml model"
    body = {"knn": by_text("a dog", model_id)}
    assert fails(ml, "POST", f"/{forty_photos}/_search", body) == (404, "status_exception", reason)


def test_unknown_requests_are_answered_by_the_node(ml, cluster):
    assert ok(ml, "GET", "/_cluster/health")["cluster_name"] == cluster.client.cluster.health()["cluster_name"]
