"""Tiny random M-CLIP folders, compared with the same computation written out."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from image_embeddings.config import ROOT
from image_embeddings.encoders.clip import ClipEncoder
from image_embeddings.errors import ModelMismatchError, ModelUnavailableError
from tests.tiny_models import (
    DIMS,
    POSITIONS,
    XLM_ROBERTA,
    make_clip_folder,
    make_mclip_folder,
    make_xlm_roberta_text_folder,
)

TEXTS = ["a dog", "кошка", "Straße", "猫", "🐈", ""]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(make_clip_folder(tmp_path_factory.mktemp("clip") / "tiny-clip"))


@pytest.fixture
def folder(tmp_path):
    return make_mclip_folder(tmp_path / "tiny-mclip")


def encoded(clip, folder, texts=TEXTS):
    return ClipEncoder(clip, text_model=str(folder)).encode_texts(texts)


def written_out(folder, texts):
    """Return each text's mean of the last hidden states over its tokens, times the linear layer, plus its bias."""
    import torch
    from transformers import XLMRobertaModel, XLMRobertaTokenizerFast

    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    transformer = XLMRobertaModel.from_pretrained(
        None,
        config=XLMRobertaModel.config_class.from_pretrained(folder.with_name(XLM_ROBERTA)),
        state_dict={k.removeprefix("transformer."): v for k, v in weights.items() if k.startswith("transformer.")},
    )
    tokenizer = XLMRobertaTokenizerFast.from_pretrained(folder)
    with torch.no_grad():
        means = [transformer(**tokenizer(text, return_tensors="pt"))[0][0].mean(0) for text in texts]
        rows = torch.stack(means) @ weights["LinearTransformation.weight"].T + weights["LinearTransformation.bias"]
    return (rows / rows.norm(dim=1, keepdim=True)).numpy()


def edit(folder, change):
    import torch

    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    change(weights)
    torch.save(weights, folder / "pytorch_model.bin")


def zeros(weights, count):
    return weights["LinearTransformation.weight"].new_zeros(count)


def test_texts_get_the_embeddings_that_are_written_out(clip, folder):
    np.testing.assert_allclose(encoded(clip, folder), written_out(folder, TEXTS), atol=1e-5)


def test_safetensors_are_read_too(clip, folder, tmp_path):
    safe = make_mclip_folder(tmp_path / "safe", safe=True)
    np.testing.assert_allclose(encoded(clip, safe), encoded(clip, folder), atol=1e-6)


def test_a_text_is_cut_to_the_positions_of_the_transformer(clip, folder):
    fits = "a " * (POSITIONS - 4)  # two positions are never used, and a text gets two further tokens
    cut, whole = encoded(clip, folder, [fits + "dog " * 100, fits])
    np.testing.assert_allclose(cut, whole, atol=1e-5)
    np.testing.assert_allclose(whole, written_out(folder, [fits.strip()])[0], atol=1e-5)


def test_weights_without_a_pooler_are_accepted(clip, folder):
    whole = encoded(clip, folder)
    edit(folder, lambda weights: [weights.pop(f"transformer.pooler.dense.{part}") for part in ("weight", "bias")])
    np.testing.assert_allclose(encoded(clip, folder), whole, atol=1e-6)


def test_the_same_architecture_in_sentence_transformers_layout_is_a_text_model_too(clip, tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = make_xlm_roberta_text_folder(tmp_path / "tiny-xlm-r-text")
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoded(clip, folder), expected, atol=1e-5)


WRONG = {
    "lack transformer.embeddings.LayerNorm.bias": lambda weights: weights.pop("transformer.embeddings.LayerNorm.bias"),
    "lack LinearTransformation.bias": lambda weights: weights.pop("LinearTransformation.bias"),
    "have too many: head.weight": lambda weights: weights.update({"head.weight": zeros(weights, 2)}),
    "have another shape: LinearTransformation.bias": lambda weights: weights.update(
        {"LinearTransformation.bias": zeros(weights, DIMS + 1)}
    ),
    r"lack .*LayerNorm.bias \(and \d+ more\)": lambda weights: [
        weights.pop(name) for name in list(weights) if name.startswith("transformer.embeddings")
    ],
}


@pytest.mark.parametrize("message", WRONG)
def test_weights_that_do_not_fit_are_named(clip, folder, message):
    edit(folder, WRONG[message])
    with pytest.raises(ModelUnavailableError, match=message):
        encoded(clip, folder)


def test_without_the_transformers_config_the_message_says_where_to_put_it(clip, folder):
    beside = folder.with_name(XLM_ROBERTA)
    (beside / "config.json").unlink()
    beside.rmdir()
    with pytest.raises(ModelUnavailableError, match=f"built upon '{XLM_ROBERTA}'.*{beside}.*weights are not needed"):
        encoded(clip, folder)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 half of a file"], ids=["empty", "text", "cut"])
def test_a_damaged_file_is_an_error_that_names_the_model(clip, folder, content):
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelUnavailableError, match="tiny-mclip"):
        encoded(clip, folder)


def test_a_config_without_a_base_is_an_error(clip, folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "M-CLIP"}))
    with pytest.raises(ModelUnavailableError, match="modelBase"):
        encoded(clip, folder)


class Trap:
    """Leaves a file behind if a pickle of it is loaded without weights_only."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_the_weights_is_not_run(clip, folder, tmp_path):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Trap(tmp_path / "sprung")}, protocol=2))
    with pytest.raises(ModelUnavailableError):
        encoded(clip, folder)
    assert not (tmp_path / "sprung").exists()


def test_a_model_of_other_dims_is_refused_with_both_numbers(clip, tmp_path):
    wide = make_mclip_folder(tmp_path / "wide", dims=DIMS + 8)
    with pytest.raises(
        ModelMismatchError, match="wide' makes embeddings of 40 dims, but image model 'tiny-clip' makes 32"
    ):
        encoded(clip, wide)


@pytest.mark.slow
def test_a_model_and_its_base_are_found_in_the_hubs_cache(clip, folder, tmp_path):
    def cache(source, repo):
        place = tmp_path / "home" / "hub" / f"models--{repo.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("0" * 40)
        (place / "snapshots").mkdir()
        source.rename(place / "snapshots" / ("0" * 40))

    expected = encoded(clip, folder, ["a dog"])
    cache(folder, "M-CLIP/Tiny")
    cache(folder.with_name(XLM_ROBERTA), XLM_ROBERTA)
    program = (
        "import json\nfrom image_embeddings.encoders import ClipEncoder\n"
        f"encoder = ClipEncoder({clip!r}, text_model='M-CLIP/Tiny')\n"
        "print(json.dumps(encoder.encode_texts(['a dog']).tolist()))"
    )
    environ = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout.splitlines()[-1]), expected, atol=1e-5)
