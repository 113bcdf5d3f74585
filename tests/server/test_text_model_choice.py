"""Texts encoded inside Elasticsearch or by the app: the choice, each failure, and the recovery.

tests.ml_front, in front of the real node, stands in for Elasticsearch's machine learning.
"""

import dataclasses
import json
import threading
from types import SimpleNamespace

import pytest
from PIL import Image

from app import create_app
from image_embeddings import open_search
from image_embeddings.config import DEFAULT_TEXT_MODEL_ID, load_settings
from image_embeddings.errors import (
    MachineLearningMissingError,
    ModelMismatchError,
    ModelUnavailableError,
    RequestError,
    TextModelBusyError,
    TextModelFailedError,
    TextModelInputError,
    TextModelLicenceError,
    TextModelMissingError,
    TextModelSlowError,
    TextModelStartingError,
    TextModelStoppedError,
)
from image_embeddings.search.request import Part
from image_embeddings.text_model import choice, model
from image_embeddings.text_model.choice import RECHECK_SECONDS
from image_embeddings.text_model.setup import install_text_model
from tests.commands import run_here
from tests.fakes import ColourEncoder
from tests.server.filling import fill
from tests.waiting import LONG

pytestmark = pytest.mark.server

TEXTS = ["a red photo", "ein blaues Bild", "Κόκκινο", "красный", "猫 in the snow", "🎈", "a" * 900]
SEARCHES = ("POST", "*/_search")
ML = ("*", "/_ml/*")


QUEUE_SECONDS = 3.0  # for a model that stays busy


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Elasticsearch gets as much time as a busy machine needs, for the last attempt of a text as for the first."""
    monkeypatch.setattr(choice, "AUTO_SECONDS", LONG)
    monkeypatch.setattr(choice, "TEXT_SECONDS", LONG)
    monkeypatch.setattr(model, "time", SimpleNamespace(monotonic=lambda: 0.0))


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def searching(ml_environ, clock):
    """Returns a search with the settings of a user whose cluster has machine learning, with changes."""

    def search(**changes):
        opened = open_search(load_settings({**ml_environ, **changes}))
        opened.text_paths._now = clock
        return opened

    return search


def builders(front):
    """Return the searches that came with a text to encode."""
    return [each for each in front.requests if "text_embedding" in json.dumps(each.body)]


# The choice


def test_elasticsearch_encodes_and_searches_in_one_request(deployed, searching):
    search = searching(TEXT_ENCODER="elasticsearch")
    search.by_text("red")
    deployed.forget()
    result = search.by_text("a red photo")
    assert [request.line for request in deployed.requests] == ["POST /test-clip/_search"]
    assert (result.text_encoder, result.text_model_id) == ("elasticsearch", DEFAULT_TEXT_MODEL_ID)
    assert result.note is None


def test_the_app_needs_no_model_for_texts_encoded_in_elasticsearch(deployed, searching):
    search = searching(TEXT_ENCODER="elasticsearch", IMAGE_MODEL="clip-ViT-B-32")
    assert len(search.by_text("a red photo").hits) == 6
    search.warm_up()


def test_auto_uses_elasticsearch_if_the_model_is_started(deployed, searching):
    assert searching().by_text("red").text_encoder == "elasticsearch"


def test_auto_asks_once_and_not_at_every_query(front, searching):
    search = searching()
    assert search.by_text("red").text_encoder == "local"
    asked = front.count(*ML)
    for text in TEXTS:
        assert search.by_text(text).note is None
    assert 0 < asked == front.count(*ML)


def test_a_user_without_rights_to_machine_learning_gets_no_note(deployed, searching):
    deployed.order("no privilege")
    search = searching()
    assert (search.by_text("red").text_encoder, search.by_text("red").note) == ("local", None)
    assert "monitor_ml" in search.text_path().why


def test_a_user_without_rights_to_see_the_state_can_still_search_by_the_model(deployed, searching):
    deployed.order("no privilege")
    assert searching(TEXT_ENCODER="elasticsearch").by_text("red").text_encoder == "elasticsearch"


def test_local_sends_no_request_to_the_text_model(deployed, searching):
    search = searching(TEXT_ENCODER="local")
    assert search.by_text("red").text_encoder == "local"
    assert deployed.count(*ML) == 0


def test_both_paths_give_the_same_ranking_and_scores(deployed, searching):
    inside, here = searching(TEXT_ENCODER="elasticsearch"), searching(TEXT_ENCODER="local")
    for text in TEXTS:
        a, b = inside.by_text(text).hits, here.by_text(text).hits
        assert [hit.image_id for hit in a] == [hit.image_id for hit in b]
        assert [hit.score for hit in a] == pytest.approx([hit.score for hit in b], abs=1e-6)


def test_pages_and_folders_are_the_same_on_both_paths(deployed, searching):
    inside, here = searching(TEXT_ENCODER="elasticsearch"), searching(TEXT_ENCODER="local")
    wanted = {"k": 2, "offset": 1, "folder": "warm"}
    assert [hit.image_id for hit in inside.by_text("blue", **wanted).hits] == [
        hit.image_id for hit in here.by_text("blue", **wanted).hits
    ]


def test_searches_by_image_never_touch_the_text_model(deployed, searching):
    search = searching()
    search.by_image(Image.new("RGB", (64, 64), "red"))
    search.like("warm/red.png")
    assert deployed.count(*ML) == 0
    assert builders(deployed) == []


def test_an_index_of_the_built_in_model_has_no_text_model(front, index, tmp_path, ml_environ):
    fill(index, tmp_path)
    search = open_search(load_settings({**ml_environ, "INDEX_NAME": index.name}))
    assert "'colour'" in search.text_path().why
    forced = open_search(load_settings({**ml_environ, "INDEX_NAME": index.name, "TEXT_ENCODER": "elasticsearch"}))
    with pytest.raises(ModelMismatchError, match=r"'colour'.*TEXT_ENCODER=auto"):
        forced.by_text("red")


def test_a_model_that_is_started_later_is_used(front, searching, ml_environ, clock):
    search = searching()
    assert search.by_text("red").text_encoder == "local"
    install_text_model(load_settings(ml_environ))
    clock.seconds += RECHECK_SECONDS
    assert search.by_text("red").text_encoder == "elasticsearch"


def test_after_a_request_for_the_status_a_started_model_is_used_at_once(front, searching, ml_environ):
    search = searching()
    assert search.text_path().encoder == "local"
    install_text_model(load_settings(ml_environ))
    assert search.text_path().encoder == "elasticsearch"
    assert search.by_text("red").text_encoder == "elasticsearch"


def test_the_texts_of_a_combined_search_are_encoded_there_too(deployed, searching):
    parts = [Part(what="red"), Part(what="blue", weight=-1.0)]
    inside, here = searching(), searching(TEXT_ENCODER="local")
    result = inside.by_parts(parts)
    assert result.text_encoder == "elasticsearch"
    assert [hit.image_id for hit in result.hits] == [hit.image_id for hit in here.by_parts(parts).hits]
    deployed.order("failed")
    again = inside.by_parts(parts)
    assert (again.text_encoder, "could not be run" in again.note) == ("local", True)
    assert [hit.image_id for hit in again.hits] == [hit.image_id for hit in result.hits]


# A model that does not fit


@pytest.mark.parametrize("changes", [{"TEXT_MODEL": "clip-ViT-B-32-multilingual-v1"}, {"ES_TEXT_MODEL_ID": "mine"}])
def test_an_index_of_conse_is_never_searched_by_another_models_texts(deployed, index, ml_environ, changes):
    index.create(model=dataclasses.replace(ColourEncoder().info, model_id="conse"), vector_index_type="flat")
    search = open_search(load_settings({**ml_environ, "INDEX_NAME": index.name, **changes}))
    path = search.text_path()
    assert (path.encoder, path.note) == ("local", None)
    assert "'conse'" in path.why


def by_elands_own_command(front, model_id=DEFAULT_TEXT_MODEL_ID):
    """Make the model look as if eland's own command had loaded it, without the name of an image model."""
    del front.models[model_id].config["metadata"]["image_model"]


def test_a_model_by_elands_own_command_is_accepted_for_the_image_model_of_its_name(deployed, searching):
    by_elands_own_command(deployed)
    assert searching().by_text("red").text_encoder == "elasticsearch"


def test_a_model_by_elands_own_command_is_refused_for_another_image_model(deployed, searching, index, ml_environ):
    by_elands_own_command(deployed)
    index.create(
        model=dataclasses.replace(index.state().model, model_id="clip-ViT-B-16", dims=32), vector_index_type="flat"
    )
    named = {"INDEX_NAME": index.name, "TEXT_MODEL": "clip-ViT-B-32-multilingual-v1"}
    forced = open_search(load_settings({**ml_environ, **named, "TEXT_ENCODER": "elasticsearch"}))
    with pytest.raises(ModelMismatchError, match=r"does not say .*'clip-ViT-B-16'.*text-model install"):
        forced.by_text("red")


def test_a_model_loaded_for_another_image_model_is_refused(deployed, searching):
    deployed.models[DEFAULT_TEXT_MODEL_ID].config["metadata"]["image_model"] = "clip-ViT-L-14"
    with pytest.raises(ModelMismatchError, match=r"'clip-ViT-L-14'.*'clip-ViT-B-32'"):
        searching(TEXT_ENCODER="elasticsearch").by_text("red")
    result = searching().by_text("red")
    assert (result.text_encoder, "clip-ViT-L-14" in result.note) == ("local", True)


def test_a_model_of_other_dims_is_refused(deployed, searching):
    deployed.models[DEFAULT_TEXT_MODEL_ID].config["inference_config"]["text_embedding"]["embedding_size"] = 48
    with pytest.raises(ModelMismatchError, match=r"48 dims.*32"):
        searching(TEXT_ENCODER="elasticsearch").by_text("red")


# Failures

FAILURES = [
    ("unknown model", TextModelMissingError, "is not in Elasticsearch. Load it: python -m image_embeddings text-model"),
    ("not deployed", TextModelStoppedError, "not started. Start it: python -m image_embeddings text-model install"),
    ("not allocated", TextModelStartingError, "is being started. Wait a minute"),
    ("stopping", TextModelStoppedError, "is being stopped"),
    ("failed", TextModelFailedError, "text-model install --clear-previous"),
    ("input too large", TextModelInputError, "Use fewer words"),
    ("inference timeout", TextModelSlowError, "did not answer in time"),
    ("queue full", TextModelBusyError, "more texts waiting than its queue holds"),
    ("basic licence", TextModelLicenceError, "licence does not include machine learning"),
]


def wait_no_longer_than_needed(search, fault):
    """Shorten the time in which requests are repeated while the model stays busy."""
    if fault == "queue full":
        search.text_paths.patience_seconds = QUEUE_SECONDS


@pytest.mark.parametrize(("fault", "error", "said"), FAILURES)
def test_each_failure_has_its_own_error(deployed, searching, fault, error, said):
    search = searching(TEXT_ENCODER="elasticsearch")
    wait_no_longer_than_needed(search, fault)
    search.by_text("red")
    deployed.order(fault)
    with pytest.raises(error) as raised:
        search.by_text("red")
    assert said in str(raised.value)
    assert "TEXT_ENCODER=auto" in str(raised.value)


@pytest.mark.parametrize(("fault", "error", "said"), FAILURES)
def test_auto_answers_every_failure_locally_with_a_note(deployed, searching, fault, error, said):
    search = searching()
    wait_no_longer_than_needed(search, fault)
    inside = search.by_text("red")
    deployed.order(fault)
    here = search.by_text("red")
    assert (here.text_encoder, said in here.note) == ("local", True)
    assert [hit.image_id for hit in here.hits] == [hit.image_id for hit in inside.hits]


@pytest.mark.parametrize(("fault", "error", "said"), FAILURES)
def test_the_browser_and_the_api_show_the_same_note(deployed, ml_environ, fault, error, said):
    web = create_app(load_settings(ml_environ)).test_client()
    wait_no_longer_than_needed(web.application.extensions["services"].search, fault)
    assert "encoded in Elasticsearch" in web.get("/image_search?q=red").text
    deployed.order(fault)
    page = web.get("/image_search?q=red")
    assert (page.status_code, said in page.text, "encoded by the app" in page.text) == (200, True, True)
    answer = web.get("/api/v1/search?q=red").json
    assert (answer["text_encoder"], said in answer["note"]) == ("local", True)


@pytest.mark.parametrize(("fault", "error", "said"), FAILURES)
def test_without_auto_the_browser_shows_the_error(deployed, ml_environ, fault, error, said):
    web = create_app(load_settings({**ml_environ, "TEXT_ENCODER": "elasticsearch"})).test_client()
    wait_no_longer_than_needed(web.application.extensions["services"].search, fault)
    deployed.order(fault)
    page = web.get("/image_search?q=red")
    assert (page.status_code, said in page.text) == (400 if error is TextModelInputError else 503, True)
    assert web.get("/api/v1/search?q=red").json["error"]["code"] == error.code


def test_machine_learning_that_is_switched_off_is_noted_until_it_is_back(deployed, searching, clock):
    search = searching()
    assert search.by_text("red").note is None
    deployed.ml_enabled = False
    assert "no machine learning" in search.by_text("red").note
    deployed.ml_enabled = True
    assert search.by_text("red").text_encoder == "local"
    clock.seconds += RECHECK_SECONDS
    back = search.by_text("red")
    assert (back.text_encoder, back.note) == ("elasticsearch", None)


def test_a_failing_model_is_not_asked_at_every_query(deployed, searching, clock):
    search = searching()
    search.by_text("red")
    deployed.order("failed")
    search.by_text("red")
    deployed.forget()
    for text in TEXTS:
        assert search.by_text(text).note
    assert builders(deployed) == []
    assert deployed.count(*ML) == 0
    clock.seconds += RECHECK_SECONDS
    for text in TEXTS:
        assert search.by_text(text).note
    assert deployed.count("GET", "/_ml/trained_models/*/_stats") == 1


def test_a_slow_model_is_not_tried_again_after_a_request_for_the_status(deployed, searching, clock):
    search = searching()
    search.by_text("red")
    deployed.order("inference timeout")
    search.by_text("red")
    assert "did not answer in time" in search.text_path().why
    deployed.forget()
    assert search.by_text("red").note
    assert builders(deployed) == []
    clock.seconds += RECHECK_SECONDS
    assert search.text_path().encoder == "elasticsearch"


def test_if_the_app_has_no_model_either_the_error_has_both_reasons(deployed, searching):
    search = searching(IMAGE_MODEL="clip-ViT-B-32")
    assert search.by_text("red").text_encoder == "elasticsearch"
    deployed.order("failed")
    with pytest.raises(ModelUnavailableError, match=r"could not be run by Elasticsearch.*Nor has the app a model"):
        search.by_text("red")


def test_a_refusal_of_the_index_is_not_blamed_on_the_text_model(
    deployed, searching, cluster, index, ml_environ, clip_index
):
    state = clip_index.state()
    index.create(model=state.model, vector_index_type="flat")
    search = searching(INDEX_NAME=index.name)
    assert search.by_text("red").text_encoder == "elasticsearch"
    cluster.client.indices.close(index=index.state().backing_index)
    with pytest.raises(RequestError, match="closed"):
        search.by_text("red")
    cluster.client.indices.open(index=index.state().backing_index)
    assert search.text_path().encoder == "elasticsearch"


def test_after_a_text_that_is_too_long_others_are_still_encoded_by_elasticsearch(deployed, searching):
    search = searching()
    deployed.order("input too large", times=1)
    assert search.by_text("a long one").text_encoder == "local"
    assert search.by_text("red").text_encoder == "elasticsearch"


def test_a_request_is_repeated_if_the_queue_is_full(deployed, searching):
    search = searching()
    search.by_text("red")
    deployed.forget()
    deployed.order("queue full", times=2)
    assert search.by_text("red").text_encoder == "elasticsearch"
    assert deployed.count(*SEARCHES) == 3


def test_a_model_stopped_meanwhile_is_named_by_its_state(deployed, searching):
    search = searching()
    search.by_text("red")
    deployed.models.stop(DEFAULT_TEXT_MODEL_ID)
    assert "not started" in search.by_text("red").note


def test_missing_machine_learning_is_an_error_if_the_setting_demands_it(front, searching):
    front.ml_enabled = False
    with pytest.raises(MachineLearningMissingError, match=r"ES_HOST.*TEXT_ENCODER=auto"):
        searching(TEXT_ENCODER="elasticsearch").by_text("red")


def test_searches_at_once_are_all_answered_while_the_model_fails(deployed, searching):
    search = searching()
    search.by_text("red")
    deployed.order("failed")
    found = []
    threads = [threading.Thread(target=lambda: found.append(search.by_text("red"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(result.text_encoder, len(result.hits)) for result in found] == [("local", 6)] * 8


def test_an_index_replaced_by_one_of_another_model_is_searched_by_that_model(front, ml_environ, index, tmp_path):
    fill(index, tmp_path)
    search = open_search(load_settings({**ml_environ, "INDEX_NAME": index.name}))
    search._encoder_for = lambda model: ColourEncoder(model_id=model.model_id)
    assert search.by_text("red").model_id == "colour"
    index.create(model=ColourEncoder(model_id="newer").info, vector_index_type="flat")
    fill(index, tmp_path / "again", encoder=ColourEncoder(model_id="newer"))
    assert search.by_text("red").model_id == "newer"
    assert "'newer'" in search.text_paths.choose(index.cluster, index.state().model).why


# The state for users


def test_status_says_who_encodes_texts(deployed, ml_environ):
    web = create_app(load_settings(ml_environ)).test_client()
    said = web.get("/api/v1/status").json["text_encoder"]
    assert said["setting"] == "auto"
    assert (said["used"], said["text_model_id"]) == ("elasticsearch", DEFAULT_TEXT_MODEL_ID)
    deployed.licence = "basic"
    said = web.get("/api/v1/status").json["text_encoder"]
    assert (said["used"], "licence" in said["why"]) == ("local", True)


def test_a_request_for_the_status_does_not_suppress_the_note(deployed, ml_environ):
    web = create_app(load_settings(ml_environ)).test_client()
    assert web.get("/api/v1/search?q=red").json["note"] is None
    deployed.licence = "expired trial"
    assert web.get("/api/v1/status").json["text_encoder"]["used"] == "local"
    assert "licence" in web.get("/api/v1/search?q=red").json["note"]


def test_readiness_follows_the_text_model_if_nothing_else_encodes_texts(deployed, ml_environ):
    web = create_app(load_settings({**ml_environ, "TEXT_ENCODER": "elasticsearch"})).test_client()
    assert web.get("/readyz").status_code == 200
    deployed.ml_enabled = False
    assert web.get("/readyz").json["error"]["code"] == "ml_missing"
    deployed.ml_enabled = True
    assert web.get("/readyz").status_code == 200


def test_status_shows_a_setting_that_cannot_be_met(front, ml_environ):
    web = create_app(load_settings({**ml_environ, "TEXT_ENCODER": "elasticsearch"})).test_client()
    said = web.get("/api/v1/status").json["text_encoder"]
    assert (said["used"], "text-model install" in said["why"]) == (None, True)
    assert web.get("/readyz").status_code == 503


def test_the_commands_say_who_encodes_texts(deployed, ml_environ):
    assert (
        f"elasticsearch: the text model '{DEFAULT_TEXT_MODEL_ID}' is started" in run_here(ml_environ, "status").stdout
    )
    found = json.loads(run_here(ml_environ, "search", "red", "--json").stdout)
    assert (found["text_encoder"], found["text_model_id"]) == ("elasticsearch", DEFAULT_TEXT_MODEL_ID)
    deployed.order("failed")
    assert "Note: The text model" in run_here(ml_environ, "search", "red").stderr
