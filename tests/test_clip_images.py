import copy
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from image_embeddings.encoders import ClipEncoder, clip_images
from image_embeddings.encoders.clip_images import MANY, Format
from image_embeddings.encoders.onnx_network import NetworkStore, export, quantize
from image_embeddings.errors import ModelUnavailableError
from image_embeddings.samples import captioned_photos
from tests.tiny_models import make_clip_folder

FORMATS = ["int8", "int8-mixed", "bfloat16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_clip_folder(tmp_path_factory.mktemp("models") / "tiny-clip"))


@pytest.fixture(scope="module")
def photos():
    return [image for image, _ in captioned_photos()]


@pytest.fixture(scope="module")
def expected(folder, photos):
    return ClipEncoder(folder).encode_images(photos)


@pytest.fixture
def encoder(folder, tmp_path):
    return ClipEncoder(folder, samples=captioned_photos, networks=tmp_path / "networks")


@pytest.fixture
def speeds(monkeypatch):
    """Name of a format -> photos a second, where tests cannot rely on a clock."""
    found = {"float32": 20.0, "int8": 60.0, "int8-mixed": 40.0, "bfloat16": 30.0}
    monkeypatch.setattr(clip_images, "_seconds", lambda way, batch: len(batch) / found[way.name])
    return found


@pytest.fixture
def agreements(monkeypatch):
    """Names of formats that are made to disagree with float32."""
    disagreeing = set()
    compared = clip_images._compared

    def compare(tried, float32, pixels):
        wrong = Format(name=tried.name, precision=tried.precision, calls=tried.calls, embed=lambda p: -tried.embed(p))
        return compared(wrong if tried.name in disagreeing else tried, float32, pixels)

    monkeypatch.setattr(clip_images, "_compared", compare)
    return disagreeing


def cosines(one, other):
    return (one * other).sum(axis=1)


def test_for_many_photos_int8_is_chosen_where_it_is_fast_and_agrees(encoder, speeds, photos, expected):
    assert encoder.encode_images(photos[:1]) == pytest.approx(expected[:1], abs=1e-5)
    said = encoder.prepare_for(MANY)
    assert said.startswith("CLIP runs in int8. Tried: int8 (3.0 × the speed of float32, cosine to it at least 0.99")
    found = encoder.encode_images(photos)
    assert encoder.precision == "int8"
    assert encoder.calls >= 1
    assert 0.999 < cosines(found, expected).min() < 1 - 1e-7  # not float32


def test_few_photos_are_not_worth_looking_for_a_format(encoder, monkeypatch, photos, expected):
    monkeypatch.setattr(clip_images, "_compared", None)
    assert encoder.prepare_for(MANY - 1) == ""
    assert (encoder.precision, encoder.calls) == ("float32", 1)
    assert encoder.encode_images(photos) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("slow", "wrong", "tried", "chosen"),
    [
        ({}, {"int8"}, 2, "int8"),
        ({}, {"int8", "int8-mixed"}, 3, "bfloat16"),
        ({}, {"int8", "int8-mixed", "bfloat16"}, 3, "float32"),
        ({"int8": 21, "int8-mixed": 20}, {}, 3, "bfloat16"),
        ({"int8": 21, "int8-mixed": 20, "bfloat16": 10}, {}, 3, "float32"),
    ],
)
def test_the_first_format_that_is_fast_and_agrees_is_taken(
    encoder, speeds, agreements, photos, expected, slow, wrong, tried, chosen
):
    speeds.update(slow)
    agreements.update(wrong)
    said = encoder.prepare_for(MANY)
    assert said.startswith(f"CLIP runs in {chosen}. Tried: ")
    assert [part.split(" (")[0] for part in said.partition("Tried: ")[2].split("; ")] == FORMATS[:tried]
    assert encoder.precision == chosen
    assert cosines(encoder.encode_images(photos), expected).min() > 0.999


def test_without_sample_photos_nothing_is_tried(folder):
    alone = ClipEncoder(folder, samples=lambda: [])
    assert alone.prepare_for(MANY) == ""
    assert alone.precision == "float32"


@pytest.mark.parametrize("precision", ["int8", "bfloat16", "float32"])
def test_a_format_that_is_told_is_used(folder, photos, expected, tmp_path, precision):
    encoder = ClipEncoder(folder, precision=precision, samples=captioned_photos, networks=tmp_path)
    found = encoder.encode_images(photos)
    assert encoder.prepare_for(10 * MANY) == ""
    assert encoder.precision == precision
    least = cosines(found, expected).min()
    assert least > 0.999
    assert (least > 1 - 1e-6) == (precision == "float32")


def test_indices_of_all_formats_can_be_compared(folder, tmp_path):
    infos = [
        ClipEncoder(folder, precision=precision, samples=captioned_photos, networks=tmp_path).info
        for precision in ("float32", "int8", "bfloat16")
    ]
    assert all(info.makes_same_embeddings_as(infos[0]) for info in infos)


def test_texts_are_encoded_by_the_same_model_in_float32_still(encoder, speeds, folder):
    before = ClipEncoder(folder).encode_texts(["a dog"])
    encoder.prepare_for(MANY)
    assert encoder.precision == "int8"
    assert encoder.encode_texts(["a dog"]) == pytest.approx(before, abs=1e-6)


def test_a_network_that_cannot_be_exported_runs_in_float32_or_says_so(
    encoder, folder, speeds, monkeypatch, photos, expected, caplog
):
    def fail(*args, **kwargs):
        raise torch.onnx.errors.UnsupportedOperatorError("aten::odd", 17, 18)

    monkeypatch.setattr(clip_images, "export", fail)
    speeds["bfloat16"] = 1.0
    with caplog.at_level(logging.INFO):
        encoder.prepare_for(MANY)
    assert "aten::odd" in caplog.text
    assert encoder.encode_images(photos) == pytest.approx(expected, abs=1e-5)
    told = ClipEncoder(folder, precision="int8", samples=captioned_photos)
    with pytest.raises(ModelUnavailableError, match=r"into int8 .*aten::odd.*Unset ENCODER_PRECISION"):
        told.encode_images(photos)


def test_a_model_that_is_no_clip_is_named(tmp_path):
    from tests.tiny_models import make_text_folder

    folder = make_text_folder(tmp_path / "a-text-model")
    with pytest.raises(ModelUnavailableError, match=r"is a Transformer, which cannot encode photos.*IMAGE_MODEL=conse"):
        ClipEncoder(str(folder)).encode_images([Image.new("RGB", (9, 9))])


# Outliers


@pytest.fixture(scope="module")
def with_outliers():
    """A vision tower some of whose channels are 20 times as large as the others, as in models that were trained."""
    torch.manual_seed(0)
    config = CLIPVisionConfig(hidden_size=256, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4)
    tower = CLIPVisionModelWithProjection(config).eval()
    with torch.no_grad():
        for layer in tower.vision_model.encoder.layers:
            for normalization in (layer.layer_norm1, layer.layer_norm2):
                normalization.weight[torch.randperm(256)[:4]] *= 20
    return tower


@pytest.fixture(scope="module")
def pixels(photos):
    arrays = [np.asarray(photo.resize((224, 224)), np.float32).transpose(2, 0, 1) / 64 - 2 for photo in photos[:8]]
    return np.stack(arrays)


def by_torch(half, pixels):
    with torch.inference_mode():
        return half(torch.from_numpy(pixels)).numpy()


def test_smoothing_changes_no_embedding(with_outliers, pixels):
    half = copy.deepcopy(clip_images._image_half(with_outliers))
    before = by_torch(half, pixels)
    clip_images._smooth(half, half.vision_model.encoder.layers, torch.from_numpy(pixels))
    np.testing.assert_allclose(by_torch(half, pixels), before, rtol=1e-3, atol=1e-3 * np.abs(before).max())


def test_smoothing_keeps_int8_near_float32_where_there_are_outliers(with_outliers, pixels, tmp_path):
    half = clip_images._image_half(with_outliers)
    expected = by_torch(half, pixels)

    def plain(file):
        export(half, example=torch.from_numpy(pixels[:2]), file=tmp_path / "float32.onnx")
        quantize(tmp_path / "float32.onnx", file)

    def smoothed(file):
        clip_images._write_int8(with_outliers, pixels[:4], (), file)

    def error(make):
        found = NetworkStore().open("int8", make)(pixels)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        return 1 - (cosines(found, expected) / norms).min()

    assert error(smoothed) < error(plain) / 2
    np.testing.assert_array_equal(by_torch(half, pixels), expected)  # the model itself stays as it was
