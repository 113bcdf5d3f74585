"""All faults that tests.ml_front offers, and its licences."""

import http.client
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from image_embeddings import open_index
from image_embeddings.config import load_settings
from image_embeddings.embedded_node.node import EmbeddedNode
from tests.ml_front import ml_front
from tests.server.ml_requests import DOG, M, ask, by_text, fails, ok, start, state, upload
from tests.waiting import LONG

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("licence", "kind", "status", "available"),
    [
        ("basic", "basic", "active", False),
        ("trial", "trial", "active", True),
        ("platinum", "platinum", "active", True),
        ("expired trial", "trial", "expired", False),
    ],
)
def test_the_licence_says_whether_it_has_machine_learning(ml, licence, kind, status, available):
    ml.licence = licence
    info = ok(ml, "GET", "/_xpack?categories=license,features")
    assert {"type": kind, "mode": kind, "status": status}.items() <= info["license"].items()
    assert info["features"]["ml"] == {"available": available, "enabled": True}
    assert ok(ml, "GET", "/_license")["license"]["type"] == kind


NOT_LICENSED = (403, "security_exception", "current license is non-compliant for [ml]")


def test_a_basic_licence_lets_nobody_upload_start_or_infer(ml, uploaded_model):
    ml.licence = "basic"
    assert fails(ml, "PUT", "/_ml/trained_models/n", uploaded_model.config) == NOT_LICENSED
    assert fails(ml, "PUT", f"{M}/definition/0", {}) == NOT_LICENSED
    assert start(ml, "m") == fails(ml, "POST", f"{M}/_infer", DOG) == NOT_LICENSED
    assert state(ml) == "started"
    _, answer = ask(ml, "POST", f"{M}/_infer", DOG)
    assert answer["error"]["license.expired.feature"] == "ml"
    assert answer["error"]["root_cause"][0]["license.expired.feature"] == "ml"


def test_without_ml_the_answers_are_those_of_the_node_itself(ml, forty_photos):
    ml.ml_enabled = False
    status, answer = ask(ml, "GET", M)
    assert (status, answer["error"]) == (400, f"no handler found for uri [{M}] and method [GET]")
    status, kind, reason = fails(ml, "POST", f"/{forty_photos}/_search", {"knn": by_text("a dog")})
    assert (status, kind) == (400, "x_content_parse_exception")
    assert "[knn] failed to parse field [query_vector_builder]" in reason
    assert ok(ml, "GET", "/_xpack")["features"]["ml"]["enabled"] is False


INFER = ("POST", f"{M}/_infer", DOG)
SEARCH = ("POST", "/forty-photos/_search", {"knn": by_text("a dog")})
START = ("POST", f"{M}/deployment/_start", None)
GET, DELETE = ("GET", M, None), ("DELETE", M, None)
UNKNOWN = "[m] is not an inference service model or a deployed ml model"
UNDEPLOYED = "Model [m] must be deployed to use. Please deploy with the start trained model deployment API."
UNALLOCATED = "Trained model deployment [m] is not allocated to any nodes"
FULL = "inference process queue is full. Unable to execute command"
TOO_LARGE = "Input too large. The tokenized input length [600] exceeds the maximum sequence length [512]"
NO_NODES = "Could not start deployment because no ML nodes with sufficient capacity were found"
FAILED = (
    "Could not start trained model deployment, the following nodes failed with errors "
    "[{front=pytorch_inference process failed}]"
)
STARTED = "Cannot start deployment [m] because it has already been started"
DEPLOYED = "Cannot delete model [m] as it is currently deployed; use force to delete the model"

FAULTS = [
    ("unknown model", INFER, (404, "resource_not_found_exception", "Could not find trained model [m]")),
    ("unknown model", GET, (404, "resource_not_found_exception", "No known trained model with model_id [m]")),
    ("unknown model", SEARCH, (404, "status_exception", UNKNOWN)),
    ("not deployed", INFER, (409, "status_exception", UNDEPLOYED)),
    ("not deployed", SEARCH, (404, "status_exception", UNKNOWN)),
    ("not allocated", INFER, (409, "status_exception", UNALLOCATED)),
    ("not allocated", SEARCH, (409, "status_exception", UNALLOCATED)),
    ("stopping", INFER, (409, "status_exception", "Trained model [m] is [stopping]")),
    ("failed", SEARCH, (409, "status_exception", "Trained model [m] is [failed]")),
    ("input too large", SEARCH, (400, "status_exception", TOO_LARGE)),
    ("inference timeout", INFER, (408, "status_exception", "timeout [10s] waiting for inference result")),
    ("inference timeout", SEARCH, (408, "status_exception", "timeout [10s] waiting for inference result")),
    ("queue full", INFER, (429, "es_rejected_execution_exception", FULL)),
    ("queue full", SEARCH, (429, "es_rejected_execution_exception", FULL)),
    ("no memory", START, (429, "status_exception", NO_NODES)),
    ("process failed", START, (500, "status_exception", FAILED)),
    ("no definition", START, (404, "resource_not_found_exception", "Could not find trained model definition [m]")),
    ("already started", START, (409, "status_exception", STARTED)),
    ("basic licence", START, NOT_LICENSED),
    ("basic licence", SEARCH, NOT_LICENSED),
    ("deployed", DELETE, (409, "status_exception", DEPLOYED)),
]


@pytest.mark.parametrize(
    ("fault", "request_", "expected"), FAULTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_fault_has_its_own_error(ml, forty_photos, fault, request_, expected):
    ml.order(fault)
    assert fails(ml, *request_) == expected


@pytest.mark.parametrize(
    ("fault", "shown"), [("not allocated", "starting"), ("stopping", "stopping"), ("failed", "failed")]
)
def test_a_state_that_was_ordered_is_in_the_stats(ml, fault, shown):
    ml.order(fault)
    assert state(ml) == shown
    ml.clear(fault)
    assert state(ml) == "started"


def test_a_full_queue_recovers_after_as_many_answers_as_were_ordered(ml):
    ml.order("queue full", times=2)
    assert [ask(ml, *INFER)[0] for _ in range(3)] == [429, 429, 200]


def test_an_upload_breaks_off_at_the_part_that_was_ordered(ml, uploaded_model):
    ml.order("break off", part=3)
    with pytest.raises(http.client.RemoteDisconnected):
        upload(ml, uploaded_model)
    assert list(ml.models["n"].parts) == [0, 1, 2]


def test_a_front_is_controlled_from_outside_only_if_that_is_switched_on(ml, elasticsearch_url, tmp_path):
    assert ask(ml, "POST", "/_front/fault", {"fault": "queue full"})[0] == 400
    with ml_front(elasticsearch_url, folder=tmp_path, steerable=True) as other:
        orders = {"fault": "queue full", "times": 1, "licence": "basic"}
        assert ok(other, "POST", "/_front/fault", orders)["licence"] == "basic"
        assert fails(other, *INFER)[0] == 429


@contextmanager
def by_hand(folder):
    """The process that people start, and its output until it is ready."""
    command = [sys.executable, "-m", "tests.ml_front", "--port", "0", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, list(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        finally:
            process.kill()
            EmbeddedNode(folder / "elasticsearch").stop()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_front_by_hand_prints_settings_that_work_and_leaves_no_process(tmp_path, ending):
    with by_hand(tmp_path) as (process, lines):
        settings = dict(line.strip().split("=") for line in lines if line.startswith("ES_"))
        assert open_index(load_settings(settings)).cluster.server_version() == (9, 5)
        process.send_signal(ending)
        assert process.wait(timeout=LONG) == 0
        assert EmbeddedNode(tmp_path / "elasticsearch").status() is None
