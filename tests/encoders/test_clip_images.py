import threading

import numpy as np
import psutil
import pytest
from PIL import Image

from image_embeddings.encoders import ClipEncoder, clip_half, clip_images
from image_embeddings.encoders.clip_images import MANY, Format
from image_embeddings.encoders.onnx_network import cores
from image_embeddings.errors import ModelUnavailableError
from image_embeddings.sources.samples import captioned_photos
from tests.tiny_models import make_clip_folder
from tests.waiting import LONG

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
    """Name of a format -> photos a second, because tests cannot rely on a clock."""
    found = {"float32": 20.0, "int8": 60.0, "int8-mixed": 40.0, "bfloat16": 30.0}
    monkeypatch.setattr(clip_images, "_seconds", lambda way, calls: len(calls) / found[way.name])
    return found


@pytest.fixture
def agreements(monkeypatch):
    """Names of formats that are made to disagree with float32."""
    disagreeing = set()
    compared = clip_images._compare

    def compare(tried, float32, pixels):
        wrong = Format(name=tried.name, precision=tried.precision, calls=tried.calls, embed=lambda p: -tried.embed(p))
        return compared(wrong if tried.name in disagreeing else tried, float32, pixels)

    monkeypatch.setattr(clip_images, "_compare", compare)
    return disagreeing


def cosines(one, other):
    return (one * other).sum(axis=1)


def test_for_many_photos_int8_is_chosen_if_it_is_fast_and_agrees(encoder, speeds, photos, expected):
    assert encoder.encode_images(photos[:1]) == pytest.approx(expected[:1], abs=1e-5)
    said = encoder.prepare_for(MANY)
    assert said.startswith(
        "CLIP runs in int8. Tried: int8 (3.0 × the speed of float32, cosine to float32 at least 0.99"
    )
    found = encoder.encode_images(photos)
    assert encoder.precision == "int8"
    assert encoder.calls >= 1
    assert 0.999 < cosines(found, expected).min() < 1 - 1e-7  # not float32


def test_few_photos_are_not_worth_looking_for_a_format(encoder, monkeypatch, photos, expected):
    monkeypatch.setattr(clip_images, "_compare", None)
    assert encoder.prepare_for(MANY - 1) == ""
    assert (encoder.precision, encoder.calls) == ("float32", cores())
    assert encoder.encode_images(photos) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_embedding_has_the_same_bits_however_many_photos_are_encoded_together(folder, photos, tmp_path, precision):
    encoder = ClipEncoder(folder, precision=precision, samples=captioned_photos, networks=tmp_path)
    together = encoder.encode_images(photos)
    for count in (1, 2, 7, 8, 13):
        parts = [encoder.encode_images(photos[begin : begin + count]) for begin in range(0, len(photos), count)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


def test_float32_agrees_with_the_library_that_the_model_was_made_with(folder, photos):
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(folder, device="cpu").encode(photos, normalize_embeddings=True)
    ours = ClipEncoder(folder)
    assert ours.encode_images(photos) == pytest.approx(theirs, abs=1e-6)
    assert not ours._images._loaded().needs_torch


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
def test_a_format_that_is_set_is_used(folder, photos, expected, tmp_path, precision):
    encoder = ClipEncoder(folder, precision=precision, samples=captioned_photos, networks=tmp_path)
    found = encoder.encode_images(photos)
    said = encoder.prepare_for(10)
    measured = " (cosine to float32 at least 0.99" if precision == "int8" else "."
    assert said.startswith(f"CLIP runs in {precision}{measured}")
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


def test_if_plain_int8_disagrees_the_variant_that_agrees_best_is_used(
    encoder, folder, agreements, photos, expected, tmp_path
):
    agreements.add("int8")
    told = ClipEncoder(folder, precision="int8", samples=captioned_photos, networks=tmp_path)
    assert "int8-mixed" in told.prepare_for(1)
    assert cosines(told.encode_images(photos), expected).min() > 0.999


def refused(folder, **choices):
    """Return the remark on int8 if the format is chosen automatically, and the error if int8 is set."""
    said = ClipEncoder(folder, samples=captioned_photos, **choices).prepare_for(MANY)
    with pytest.raises(ModelUnavailableError) as error:
        ClipEncoder(folder, precision="int8", samples=captioned_photos, **choices).encode_images(
            [Image.new("RGB", (9, 9))]
        )
    assert "Unset ENCODER_PRECISION" in str(error.value)
    assert "int8, in vain: " in said
    return said, str(error.value)


def test_float32_is_used_if_the_network_cannot_be_exported(folder, speeds, monkeypatch, photos, expected):
    import torch

    def fail(*args, **kwargs):
        raise torch.onnx.errors.UnsupportedOperatorError("aten::odd", 17, 18)

    monkeypatch.setattr(clip_half, "export", fail)
    assert all("aten::odd" in line for line in refused(folder))
    speeds["bfloat16"] = 1.0
    encoder = ClipEncoder(folder, samples=captioned_photos)
    encoder.prepare_for(MANY)
    assert encoder.encode_images(photos) == pytest.approx(expected, abs=1e-5)
    assert (encoder.precision, encoder.calls) == ("float32", 1)  # of torch


def test_float32_runs_in_torch_if_memory_is_short_unless_the_network_exists(folder, photos, monkeypatch, tmp_path):
    made = ClipEncoder(folder, networks=tmp_path)
    expected = made.encode_images(photos)
    monkeypatch.setattr(clip_images, "_free_memory", lambda: 1000)
    by_torch, found = ClipEncoder(folder), ClipEncoder(folder, networks=tmp_path)
    assert by_torch.encode_images(photos) == pytest.approx(expected, abs=1e-5)
    assert by_torch._images._loaded().needs_torch
    np.testing.assert_array_equal(found.encode_images(photos), expected)


def test_float32_runs_in_torch_if_the_model_does_more_than_the_half_that_the_network_is_made_of(folder, photos):
    encoder = ClipEncoder(folder)
    clip = encoder._image_model.get()[0]
    plain = clip.forward

    def forward(features):
        found = plain(features)
        return {**found, "sentence_embedding": found["sentence_embedding"].roll(1, dims=1)}

    clip.forward = forward
    found, expected = encoder.encode_images(photos), ClipEncoder(folder).encode_images(photos)
    assert found == pytest.approx(np.roll(expected, 1, axis=1), abs=1e-5)
    assert encoder._images._loaded().needs_torch


def test_the_model_is_released_unless_it_encodes_texts(folder, photos):
    encoder = ClipEncoder(folder)
    encoder.encode_images(photos[:1])
    assert encoder._image_model._loaded is None
    encoder = ClipEncoder(folder)
    encoder.encode_texts(["a dog"])
    encoder.encode_images(photos[:1])
    assert encoder._image_model._loaded


def test_a_model_with_further_modules_after_clip_is_not_cut_short(speeds, tmp_path, folder):
    from sentence_transformers import SentenceTransformer, models

    longer = SentenceTransformer(folder, device="cpu")
    longer.add_module("dense", models.Dense(32, 16))
    longer.save(str(tmp_path / "longer"))
    assert all("goes on with Dense" in line for line in refused(str(tmp_path / "longer")))
    assert ClipEncoder(str(tmp_path / "longer")).dims == 16


def test_int8_is_for_the_cpu_only(folder, monkeypatch):
    import torch

    told = ClipEncoder(folder, precision="int8", samples=captioned_photos)
    model = told._image_model.get()
    monkeypatch.setattr(type(model), "device", torch.device("meta"))
    monkeypatch.setattr(clip_images.ClipImages, "_pixels", lambda self, photos: None)
    with pytest.raises(ModelUnavailableError, match=r"runs on meta here\. Unset ENCODER_PRECISION"):
        told._images.embed([np.zeros((3, 224, 224), np.float32)])
    ours = ClipEncoder(folder, samples=captioned_photos)
    assert ours.prepare_for(MANY) == ""


def test_int8_is_not_tried_if_memory_is_short_unless_the_network_exists(encoder, folder, speeds, monkeypatch, tmp_path):
    monkeypatch.setattr(clip_images, "_free_memory", lambda: 1000)
    assert "int8, in vain: to make the network takes 0.0 GB of memory, and 0.0 GB are free" in encoder.prepare_for(MANY)
    ClipEncoder(folder, precision="int8", samples=captioned_photos, networks=tmp_path / "networks").prepare_for(1)
    assert encoder.prepare_for(MANY).startswith("CLIP runs in int8.")


def test_free_memory_is_less_than_that_of_the_machine():
    assert 0 < clip_images._free_memory() < psutil.virtual_memory().total


def test_formats_are_timed_with_their_own_number_of_calls_at_a_time():
    together, rows = threading.Barrier(3), []

    def embed(pixels):
        together.wait(LONG)
        rows.append(len(pixels))
        return pixels

    way = Format(name="fake", precision="fake", calls=3, embed=embed)
    assert clip_images._seconds(way, [np.zeros((2, 1), np.float32)] * 3) > 0
    assert rows == [2] * 6


def test_a_model_that_is_no_clip_is_named(tmp_path):
    from tests.tiny_models import make_text_folder

    folder = make_text_folder(tmp_path / "a-text-model")
    with pytest.raises(ModelUnavailableError, match=r"is a Transformer, which cannot encode photos.*IMAGE_MODEL=conse"):
        ClipEncoder(str(folder)).encode_images([Image.new("RGB", (9, 9))])
