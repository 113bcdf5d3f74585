"""eland's own command and tests.ml_front: its requests, and its messages when it fails."""

import pytest

from tests import specification
from tests.eland_cli import import_model, with_api_key, with_password
from tests.server.ml_requests import M

pytestmark = pytest.mark.server


def test_eland_sends_its_requests_in_the_known_order(upload_requests, uploaded_model):
    parts = [f"PUT {M}/definition/{part}" for part in range(uploaded_model.total_parts)]
    before, after = ["GET /", "GET /", f"GET {M}", f"PUT {M}"], [f"PUT {M}/vocabulary", f"POST {M}/deployment/_start"]
    assert [request.line for request in upload_requests] == before + parts + after
    assert upload_requests[-1].query == {"timeout": "60s", "wait_for": "started"}
    assert upload_requests[-1].body is None


def test_eland_and_the_front_keep_to_the_specification(upload_requests):
    of_ml = [request for request in upload_requests if request.path != "/"]
    assert [each for request in of_ml for each in specification.complaints(request)] == []


@pytest.mark.slow
def test_eland_stops_at_an_existing_model_and_replaces_it_if_told_to(secured_ml, uploaded_model, tiny_text_model):
    ml, ca_certs = secured_ml
    stopped = import_model(ml.url, tiny_text_model, "--start", *with_api_key(ca_certs))
    assert (stopped.returncode, "already exists" in stopped.stderr) == (1, True)
    ml.forget()
    replaced = import_model(ml.url, tiny_text_model, "--start", "--clear-previous", *with_api_key(ca_certs))
    assert replaced.returncode == 0, replaced.stderr
    assert [request.line for request in ml.requests][3:6] == [
        f"POST {M}/deployment/_stop",
        f"DELETE {M}",
        f"PUT {M}",
    ]
    assert ml.models["m"].deployment.state == "started"


def test_eland_fails_if_the_connection_breaks_off(secured_ml, uploaded_model, tiny_text_model):
    ml, ca_certs = secured_ml
    ml.order("break off", part=3)
    done = import_model(ml.url, tiny_text_model, *with_password(ca_certs), model_id="broken")
    ml.clear()
    assert done.returncode == 1
    assert list(ml.models["broken"].parts) == [0, 1, 2]
    assert "Connection" in done.stderr
