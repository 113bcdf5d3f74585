"""The promises of every encoder, for every model."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

TEXTS = [
    "a dog on the beach",
    "ein Hund am Strand",
    "un chien sur la plage",
    "собака на пляже",
    "σκύλος στην παραλία",
    "海辺の犬",
    "海滩上的狗",
    "해변의 개",
    "كلب على الشاطئ",
    "כלב על החוף",
    "समुद्र तट पर कुत्ता",
    "สุนัขบนชายหาด",
    "ձուկ",
    "ძაღლი",
    "🐕 🏖️",
]
ODD_TEXTS = {
    "empty": "",
    "blank": " \t\n",
    "punctuation": "?!",
    "very long": "a dog on the beach " * 20_000,
    "long without spaces": "犬" * 50_000,
    "control characters": "\x00\x1b",
    "lone surrogate": "dog \ud800",
}
SIZES = [(1, 1), (2, 1), (1, 5000), (3000, 50), (50, 3000), (224, 224), (640, 480)]


def noise(size=(160, 120), *, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def images():
    return [
        noise(size, seed=seed) for seed, size in enumerate([(160, 120), (120, 160), (224, 224), (300, 90), (64, 64)])
    ]


def assert_unit_rows(embeddings, *, shape):
    assert embeddings.shape == shape
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_info_names_the_model(encoder):
    assert encoder.info.model_id == encoder.model_id != ""
    assert encoder.info.preprocessing.endswith(encoder.preprocessing)
    assert encoder.preprocessing != ""
    assert encoder.info.dims == encoder.dims > 0


def test_images_become_unit_float32_rows(encoder, images):
    assert_unit_rows(encoder.encode_images(images), shape=(len(images), encoder.dims))


def test_texts_of_any_script_become_unit_float32_rows(encoder):
    assert_unit_rows(encoder.encode_texts(TEXTS), shape=(len(TEXTS), encoder.dims))


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_odd_texts_become_unit_rows_too(encoder, text):
    assert_unit_rows(encoder.encode_texts([text]), shape=(1, encoder.dims))


def test_an_empty_list_becomes_an_empty_array(encoder):
    for embeddings in (encoder.encode_images([]), encoder.encode_texts([])):
        assert embeddings.shape == (0, encoder.dims)
        assert embeddings.dtype == np.float32


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_images_may_have_any_size(encoder, size):
    assert_unit_rows(encoder.encode_images([noise(size)]), shape=(1, encoder.dims))


def test_a_single_colour_is_an_image_too(encoder):
    blank = [Image.new("RGB", (64, 48), colour) for colour in ("black", "white")]
    assert_unit_rows(encoder.encode_images(blank), shape=(2, encoder.dims))


def test_a_batch_of_images_equals_one_by_one_in_order(encoder, images):
    one_by_one = np.concatenate([encoder.encode_images([image]) for image in images])
    np.testing.assert_allclose(encoder.encode_images(images), one_by_one, atol=1e-5)


def test_a_batch_of_texts_equals_one_by_one_in_order(encoder):
    one_by_one = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), one_by_one, atol=1e-5)


def test_different_inputs_differ(encoder, images):
    for embeddings in (encoder.encode_images(images), encoder.encode_texts(TEXTS[:3])):
        others = (embeddings @ embeddings.T)[~np.eye(len(embeddings), dtype=bool)]
        assert others.max() < 0.9999


def test_the_given_images_are_not_changed(encoder):
    image = noise()
    encoder.encode_images([image])
    assert image == noise()


def test_four_threads_get_the_same_as_one(make_encoder, images):
    def embed(encoder):
        return np.concatenate([encoder.encode_images(images[:3]), encoder.encode_texts(TEXTS)])

    shared = make_encoder()  # a new encoder, because loading must be safe too
    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(embed, [shared] * 4)
    for embeddings in [*others, embed(make_encoder())]:
        np.testing.assert_allclose(embeddings, first, atol=1e-5)
