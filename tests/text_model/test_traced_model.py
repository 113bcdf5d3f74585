"""The traced model that eland makes of clip-ViT-B-32-multilingual-v1's architecture, as a server receives it.

A server has to accept it, and it has to give the embeddings of sentence-transformers.
"""

import json
import shutil
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.eland_cli import import_model
from tests.ml_front import ml_front
from tests.ml_front.inference import ALLOWED_OPERATIONS, operations
from tests.tiny_models import make_text_folder
from tests.waiting import LONG

_NO_NODE = "http://127.0.0.1:9"  # only the front gets requests
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

TEXTS = {
    "English": "Two dogs in the snow, at night!",
    "Latin with accents": "Ein Hündchen läuft über Schnee; él corrió — où ça? Žluťoučký kůň, čeština",
    "Turkish": "Işıklı şehirde İstanbul köpeği",
    "Vietnamese": "Một con chó trên tuyết",
    "Greek": "Δύο σκυλιά στο χιόνι",
    "Cyrillic": "Собака на снегу, ёлка и щенок",
    "Arabic": "كلب في الثلج، قِطَّة",
    "Hebrew": "כלב בשלג",
    "Devanagari": "बर्फ में कुत्ता",
    "Thai": "สุนัขในหิมะ",
    "Chinese": "雪中的狗,海辺的猫",
    "Japanese": "雪の上のイヌ、ねこの写真",
    "Korean": "눈 속의 개 사진",
    "emoji": "🐕 ❄️ 📷 🏔🌊",
    "mixed": "dog 犬 собака كلب 🐕 (2024) #photo_1",
    "unknown letters": "ᚠᚢᚦ and ꦲꦏ꧀ꦱꦫ",
    "one word of many letters": "x" * 90,
    "a word too long for any tokenizer": "x" * 250,
    "control characters": "a\tdog\u200b in\u00a0the\r\nsnow\x00",
    "empty": "",
    "whitespace": " \t\n ",
    "just below the limit": "dog " * 42,
    "at the limit": "a " * 126,
    "one above the limit": "a " * 127,
    "far above the limit": "Собака 犬 dog " * 100,
}


def infer(front, text):
    """Return the one result of the front's _infer."""
    body = json.dumps({"docs": [{"text_field": text}]}).encode()
    request = urllib.request.Request(f"{front.url}/_ml/trained_models/m/_infer", body, method="POST")
    with _OPENER.open(request, timeout=LONG) as answer:
        return json.load(answer)["inference_results"][0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "clip-ViT-B-32-multilingual-v1"
    return make_text_folder(folder, dims=512, hidden=768, layers=1, heads=12, feed_forward=64)


@pytest.fixture(scope="module")
def local(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def front(folder, tmp_path_factory):
    with ml_front(_NO_NODE, folder=tmp_path_factory.mktemp("fp32")) as front:
        done = import_model(front.url, folder, "--start")
        assert done.returncode == 0, done.stderr
        yield front


@pytest.fixture(scope="module")
def quantized(folder, tmp_path_factory):
    with ml_front(_NO_NODE, folder=tmp_path_factory.mktemp("int8")) as front:
        done = import_model(front.url, folder, "--start", "--quantize")
        assert done.returncode == 0, done.stderr
        yield front


@pytest.fixture(params=["front", "quantized"])
def model(request):
    """The model as it was received, in full precision and quantized."""
    return request.getfixturevalue(request.param).models["m"]


def test_servers_allow_all_its_operations(model):
    import torch

    assert operations(torch.jit.load(str(model.file))) <= ALLOWED_OPERATIONS


def test_it_comes_in_parts_of_one_mebibyte_but_the_last(model):
    *full, last = model.parts.values()
    assert set(full) == {2**20}
    assert 0 < last <= 2**20


def test_its_parts_are_numbered_in_order_and_their_sizes_add_up(model):
    assert list(model.parts) == list(range(model.total_parts))
    assert sum(model.parts.values()) == model.total_bytes == model.file.stat().st_size


def test_its_configuration_is_that_of_a_text_embedding_of_512_dims(model):
    task = model.config["inference_config"]["text_embedding"]
    assert task["embedding_size"] == 512
    assert task["tokenization"] == {"bert": {"do_lower_case": False, "max_sequence_length": 128}}


def test_its_memory_is_counted_once(front, local):
    weights = sum(weight.nbytes for weight in local.parameters())
    assert front.models["m"].config["metadata"]["per_deployment_memory_bytes"] == pytest.approx(weights, rel=0.01)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_its_embeddings_are_those_of_sentence_transformers(front, local, text):
    embedding = infer(front, text)["predicted_value"]
    np.testing.assert_allclose(embedding, local.encode(text), atol=1e-5)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_its_tokens_are_those_of_sentence_transformers(front, local, text):
    ids, _ = front.models["m"].deployment.embedder.tokens("m", text)
    assert ids == local.tokenize([text])["input_ids"][0].tolist()


def test_the_result_for_a_text_that_was_cut_says_so(front):
    assert "is_truncated" not in infer(front, TEXTS["at the limit"])
    assert infer(front, TEXTS["one above the limit"])["is_truncated"] is True


def test_the_quantized_model_is_smaller_and_its_embeddings_are_nearly_the_same(front, quantized):
    assert quantized.models["m"].total_bytes < front.models["m"].total_bytes
    one, other = (np.array(infer(each, TEXTS["English"])["predicted_value"]) for each in (front, quantized))
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.99


@pytest.fixture
def scratch():
    """A folder that is removed at once: pytest keeps those of the last runs, and here they hold gigabytes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.slow
def test_at_full_size_it_has_the_size_and_memory_of_the_documentation(scratch):
    import torch
    from sentence_transformers import SentenceTransformer

    folder = make_text_folder(
        scratch / "model", dims=512, hidden=768, layers=6, heads=12, feed_forward=3072, vocabulary_size=119_547
    )
    shutil.rmtree(scratch / "model-raw")
    with ml_front(_NO_NODE, folder=scratch / "store") as front:
        done = import_model(front.url, folder, "--start")
        assert done.returncode == 0, done.stderr
        model, text = front.models["m"], TEXTS["mixed"]
        assert (model.total_parts, model.total_bytes) == (516, pytest.approx(540.3e6, rel=0.001))
        # 540 MB, not twice that; of ML memory, the server then asks 240 MiB and twice the file.
        assert model.config["metadata"]["per_deployment_memory_bytes"] == pytest.approx(540.5e6, rel=0.001)
        assert model.required_bytes == pytest.approx(1.33e9, rel=0.01)
        assert operations(torch.jit.load(str(model.file))) <= ALLOWED_OPERATIONS
        embedding = SentenceTransformer(str(folder), device="cpu").encode(text)
        np.testing.assert_allclose(infer(front, text)["predicted_value"], embedding, atol=1e-5)
