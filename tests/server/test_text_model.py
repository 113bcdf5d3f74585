"""The text model inside Elasticsearch: loaded by eland, with its state in words.

tests.ml_front, in front of the real node, stands in for Elasticsearch's machine learning.
"""

import json
import shutil
import threading

import pytest
import trustme

from image_embeddings.config import DEFAULT_TEXT_MODEL_ID, load_settings
from image_embeddings.encoders.clip import elasticsearch_model_id
from image_embeddings.errors import (
    MachineLearningMissingError,
    ModelMismatchError,
    ModelUnavailableError,
    ServerVersionError,
    TextModelFailedError,
    TextModelIncompleteError,
    TextModelLicenceError,
    TextModelMemoryError,
)
from image_embeddings.text_model.setup import install_text_model, text_model_status
from tests import specification, tls_front
from tests.commands import run_here, run_process
from tests.eland_cli import import_model
from tests.ml_front import ml_front
from tests.tiny_models import make_mclip_folder, make_text_folder
from tests.waiting import LONG

pytestmark = pytest.mark.server

UPLOADS = ("PUT", "/_ml/trained_models/*")


def install(environ, **choices):
    return install_text_model(load_settings(environ), **choices)


def state(environ):
    return text_model_status(load_settings(environ)).state


def infer(front, text, model_id=DEFAULT_TEXT_MODEL_ID):
    return front.models.infer(model_id, text)[0]


def run(environ, *words):
    return run_process(environ, "text-model", *words)


# Loading


def test_a_model_is_loaded_and_started(front, ml_environ):
    assert state(ml_environ) == "missing"
    status = install(ml_environ)
    assert (status.model_id, status.state) == (DEFAULT_TEXT_MODEL_ID, "started")
    assert (status.dims, status.image_model) == (32, "clip-ViT-B-32")


def test_texts_are_cut_to_the_same_length_as_by_sentence_transformers(deployed):
    config = deployed.models[DEFAULT_TEXT_MODEL_ID].config
    assert config["inference_config"]["text_embedding"]["tokenization"]["bert"]["max_sequence_length"] == 128


def test_a_model_that_is_started_is_left_as_it_is(deployed, ml_environ):
    said = []
    assert install(ml_environ, notify=said.append).state == "started"
    assert deployed.count(*UPLOADS) == 0
    assert "--clear-previous" in said[-1]


def test_a_model_that_was_stopped_is_only_started(deployed, ml_environ):
    deployed.models.stop(DEFAULT_TEXT_MODEL_ID)
    assert state(ml_environ) == "stored"
    assert install(ml_environ).state == "started"
    assert deployed.count(*UPLOADS) == 0


def test_clear_previous_replaces_one_that_is_started(deployed, ml_environ):
    assert install(ml_environ, clear_previous=True, quantize=True).state == "started"
    assert deployed.count("DELETE", "/_ml/trained_models/*") == 1


def test_quantized_weights_make_almost_the_same_embeddings(deployed, ml_environ):
    whole = infer(deployed, "a red photo")
    install(ml_environ, clear_previous=True, quantize=True)
    rounded = infer(deployed, "a red photo")
    assert rounded != whole
    assert rounded == pytest.approx(whole, abs=0.05)


def test_a_model_loaded_by_elands_own_command_gives_the_same_embeddings(deployed, model_folders):
    source = model_folders / "clip-ViT-B-32-multilingual-v1"
    done = import_model(deployed.url, source, "--start", model_id="by-eland")
    assert done.returncode == 0, done.stderr
    for text in ("a red photo", "ein rotes Foto", "", "猫 " * 200):
        assert infer(deployed, text) == infer(deployed, text, "by-eland")


@pytest.mark.parametrize(
    "name", ["sentence-transformers/clip-ViT-B-32-multilingual-v1", "M-CLIP/XLM-Roberta-Large-Vit-B-32"]
)
def test_names_on_the_hub_get_the_id_that_eland_gives_them(name):
    from eland.ml.pytorch import transformers as by_eland  # not above: each process would import it, for seconds

    assert elasticsearch_model_id(name) == by_eland.elasticsearch_model_id(name)


def test_a_folder_of_the_known_model_gets_the_id_of_the_hubs(model_folders):
    assert elasticsearch_model_id(str(model_folders / "clip-ViT-B-32-multilingual-v1")) == DEFAULT_TEXT_MODEL_ID
    assert elasticsearch_model_id("clip-ViT-B-32-multilingual-v1") == DEFAULT_TEXT_MODEL_ID


@pytest.mark.parametrize(("folder", "model_id"), [("My Model", "my__model"), (".Ünder_", "nder"), ("a.b-c", "a.b-c")])
def test_another_folder_gets_an_id_of_its_own_name(tmp_path, folder, model_id):
    (tmp_path / folder).mkdir()
    assert elasticsearch_model_id(str(tmp_path / folder)) == model_id


# Errors


def test_the_error_of_an_upload_that_broke_off_says_how_to_go_on(front, ml_environ):
    front.order("break off")
    with pytest.raises(TextModelIncompleteError, match=r"broke off: .*text-model install --clear-previous"):
        install(ml_environ)
    front.clear()
    assert state(ml_environ) == "incomplete"
    with pytest.raises(TextModelIncompleteError, match="--clear-previous"):
        install(ml_environ)
    assert install(ml_environ, clear_previous=True).state == "started"


@pytest.mark.parametrize("licence", ["basic", "expired trial"])
def test_without_a_licence_nothing_is_traced_or_uploaded(front, ml_environ, licence):
    front.licence = licence
    said = []
    with pytest.raises(TextModelLicenceError, match=licence.split()[-1]):
        install(ml_environ, notify=said.append)
    assert state(ml_environ) == "no_licence"
    assert front.count(*UPLOADS) == 0


def test_a_licence_that_ends_during_the_upload_is_named(front, ml_environ):
    front.order("basic licence")
    with pytest.raises(TextModelLicenceError, match="licence"):
        install(ml_environ)


def test_without_machine_learning_there_is_an_error(front, ml_environ):
    front.ml_enabled = False
    assert state(ml_environ) == "no_ml"
    with pytest.raises(MachineLearningMissingError, match="ES_HOST"):
        install(ml_environ)


def test_the_embedded_node_itself_has_no_machine_learning(elasticsearch_url, ml_environ):
    assert state({**ml_environ, "ES_HOST": elasticsearch_url}) == "no_ml"


def test_without_a_cluster_a_text_model_cannot_be_loaded(ml_environ):
    with pytest.raises(MachineLearningMissingError, match="embedded Elasticsearch"):
        install({**ml_environ, "ES_HOST": ""})


def test_the_error_of_too_little_memory_names_the_remedy(front, ml_environ):
    front.models.memory = 1_000_000
    with pytest.raises(TextModelMemoryError, match=r"MEM_LIMIT.*--quantize"):
        install(ml_environ)
    assert state(ml_environ) == "stored"
    front.models.memory = 2**31
    assert install(ml_environ).state == "started"


def test_a_process_that_dies_is_reported(front, ml_environ):
    front.order("process failed")
    with pytest.raises(TextModelFailedError, match="pytorch_inference process failed"):
        install(ml_environ)


@pytest.mark.parametrize("fault", ["slow start", "start timeout"])
def test_a_start_that_takes_long_is_waited_for(front, ml_environ, fault):
    front.order(fault)
    asked = threading.Event()
    unheld = threading.Thread(target=lambda: (asked.wait(LONG), front.clear()))
    unheld.start()
    status = install(ml_environ, notify=lambda line: asked.set() if line == "Starting it" else None)
    unheld.join()
    assert status.state == "started"


def test_the_error_of_a_failed_deployment_says_how_to_begin_anew(deployed, ml_environ):
    deployed.order("failed")
    assert state(ml_environ) == "failed"
    with pytest.raises(TextModelFailedError, match="--clear-previous"):
        install(ml_environ)


def test_a_server_older_than_9_1_is_refused(elasticsearch_url, ml_environ, tmp_path):
    with ml_front(elasticsearch_url, folder=tmp_path / "older", version="9.0.4") as older:
        with pytest.raises(ServerVersionError, match=r"Elasticsearch 9\.0\."):
            install({**ml_environ, "ES_HOST": older.url})
        assert older.count(*UPLOADS) == 0


def test_a_text_model_of_another_image_model_is_an_error(deployed, ml_environ):
    deployed.models[DEFAULT_TEXT_MODEL_ID].config["metadata"]["image_model"] = "clip-ViT-L-14"
    with pytest.raises(ModelMismatchError, match="clip-ViT-L-14"):
        state(ml_environ)
    with pytest.raises(ModelMismatchError, match="--clear-previous"):
        install(ml_environ)


def test_a_model_of_other_dims_is_refused_before_the_upload(front, ml_environ, tmp_path):
    wide = make_text_folder(tmp_path / "wide", dims=48)
    with pytest.raises(ModelMismatchError, match=r"48 dims.*32"):
        install(ml_environ, model=str(wide))
    assert front.count(*UPLOADS) == 0


def test_the_message_for_a_model_of_another_name_says_how_searches_can_use_it(
    front, ml_environ, tmp_path, model_folders
):
    other = shutil.copytree(model_folders / "clip-ViT-B-32-multilingual-v1", tmp_path / "my-text")
    said = []
    status = install({**ml_environ, "IMAGE_MODEL": "auto"}, model=str(other), notify=said.append)
    assert status.model_id == "my-text"
    assert f"set TEXT_MODEL={other}" in said[-1]
    assert state({**ml_environ, "TEXT_MODEL": str(other)}) == "started"


def test_a_name_that_cannot_be_an_id_is_refused(front, ml_environ, tmp_path, model_folders):
    other = shutil.copytree(model_folders / "clip-ViT-B-32-multilingual-v1", tmp_path / "模型")
    with pytest.raises(ModelMismatchError, match="ES_TEXT_MODEL_ID"):
        install(ml_environ, model=str(other))
    assert front.count(*UPLOADS) == 0


def test_a_model_that_only_the_app_can_run_is_refused_for_elasticsearch(front, ml_environ, tmp_path):
    with pytest.raises(ModelMismatchError, match="M-CLIP"):
        install(ml_environ, model=str(make_mclip_folder(tmp_path / "mclip")))


def test_requests_of_eland_fit_the_specification(front, ml_environ):
    install(ml_environ)
    requests = [request for request in front.requests if request.path.startswith("/_ml/")]
    assert len(requests) >= 8
    assert [complaint for request in requests for complaint in specification.complaints(request)] == []


def test_a_missing_folder_is_named(front, ml_environ, tmp_path):
    with pytest.raises(ModelUnavailableError, match="no folder"):
        install(ml_environ, model=str(tmp_path / "missing"))


def test_the_built_in_model_has_no_text_model_to_load(front, ml_environ):
    with pytest.raises(ModelMismatchError, match="conse"):
        install({**ml_environ, "INDEX_NAME": "test-none-yet", "IMAGE_MODEL": "conse"})


# The commands


@pytest.fixture
def secured(elasticsearch_url, ml_environ, tmp_path):
    """The same through TLS, with user and password."""
    ca = trustme.CA()
    with ml_front(elasticsearch_url, folder=tmp_path / "secured", ca=ca) as front:
        changes = {"ES_HOST": front.url, "ES_CA_CERTS": str(tls_front.ca_file(ca, tmp_path))}
        yield {**ml_environ, **changes, "ES_USER": tls_front.USER, "ES_PWD": tls_front.PASSWORD}


def test_install_and_status_on_the_command_line(secured):
    before = run_here(secured, "text-model", "status")
    assert before.exit_code == 1
    assert before.stdout.startswith("missing: ")
    done = run(secured, "install")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("started: ")
    assert "1/1" in done.stderr  # the bar over the parts
    with_key = {**secured, "ES_USER": "", "ES_PWD": "", "ES_API_KEY": tls_front.API_KEY}
    assert json.loads(run_here(with_key, "text-model", "status", "--json").stdout)["state"] == "started"


def test_an_error_is_one_line_on_the_command_line(front, ml_environ):
    front.licence = "basic"
    done = run(ml_environ, "install")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "licence (basic, active) does not include machine learning" in done.stderr
