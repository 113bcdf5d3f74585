import contextlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from image_embeddings.config import ROOT
from image_embeddings.encoders import clip
from image_embeddings.encoders.clip import ClipEncoder
from image_embeddings.errors import ModelMismatchError, ModelUnavailableError
from image_embeddings.sources.samples import captioned_photos
from tests.tiny_models import DIMS, make_aligned_text_folder, make_clip_folder, make_text_folder

TEXTS = ["a dog", "кошка", "Straße", "猫", "word " * 300, "🐈"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return {
        "clip": make_clip_folder(place / "tiny-clip"),
        "text": make_text_folder(place / "tiny-text"),
        "wide text": make_text_folder(place / "wide-text", dims=DIMS + 1),
    }


@pytest.fixture(scope="module")
def encoder(folders):
    return ClipEncoder(str(folders["clip"]), text_model=str(folders["text"]))


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), np.uint8)) for h, w in ((300, 200), (64, 640), (224, 224))]


def by_the_library(folder, inputs):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode(list(inputs), normalize_embeddings=True)


def test_images_get_the_embeddings_of_sentence_transformers(encoder, folders, photos):
    np.testing.assert_allclose(encoder.encode_images(photos), by_the_library(folders["clip"], photos), atol=1e-4)


def test_texts_get_the_embeddings_of_sentence_transformers(encoder, folders):
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), by_the_library(folders["text"], TEXTS), atol=1e-4)


def test_without_a_text_model_the_image_model_encodes_texts_too(folders):
    alone = ClipEncoder(str(folders["clip"]))
    expected = by_the_library(folders["clip"], ["a dog", "a cat"])
    np.testing.assert_allclose(alone.encode_texts(["a dog", "a cat"]), expected, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 40_000), (40_000, 3)])
def test_a_very_thin_image_is_encoded_by_its_middle(encoder, size):
    whole, middle = Image.new("RGB", size, "red"), Image.new("RGB", (64, 64), "red")
    np.testing.assert_allclose(encoder.encode_images([whole]), encoder.encode_images([middle]), atol=1e-5)


def test_the_model_id_is_the_name_of_the_folder(encoder):
    assert (encoder.model_id, encoder.dims) == ("tiny-clip", DIMS)


def test_a_text_model_of_other_dims_is_refused_with_both_numbers(folders):
    mixed = ClipEncoder(str(folders["clip"]), text_model=str(folders["wide text"]))
    said = "wide-text' makes embeddings of 33 dims, but image model 'tiny-clip' makes 32.*Unset TEXT_MODEL"
    for _ in range(2):
        with pytest.raises(ModelMismatchError, match=said):
            mixed.encode_texts(["a dog"])


def test_a_text_model_is_found_beside_the_image_models_folder(folders):
    encoder = ClipEncoder(str(folders["clip"]), text_model="tiny-text")
    np.testing.assert_allclose(encoder.encode_texts(["a dog"]), by_the_library(folders["text"], ["a dog"]), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("clip-ViT-B-32", "clip-ViT-B-32"),
        ("sentence-transformers/clip-ViT-B-32", "clip-ViT-B-32"),
        ("someone/their-clip", "someone/their-clip"),
    ],
)
def test_hub_names_are_model_ids(name, model_id):
    assert clip.model_id_of(name) == model_id


def test_a_folder_that_is_missing_is_named():
    with pytest.raises(ModelUnavailableError, match="/no/such/folder"):
        ClipEncoder("/no/such/folder").encode_images([Image.new("RGB", (9, 9))])


def test_a_folder_that_is_missing_is_named_before_libraries_are_loaded_for_it():
    code = (
        "import sys\n"
        "from image_embeddings.encoders.clip import text_model_facts\n"
        "from image_embeddings.errors import ModelUnavailableError\n"
        "try:\n"
        "    text_model_facts('/no/such/folder')\n"
        "except ModelUnavailableError:\n"
        "    print(sorted({'torch', 'sentence_transformers'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout == "[]\n"


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelUnavailableError, match=str(tmp_path)):
        ClipEncoder(str(tmp_path)).encode_images([Image.new("RGB", (9, 9))])


def test_damaged_weights_are_named(tmp_path):
    folder = make_clip_folder(tmp_path / "damaged")
    for path in folder.rglob("*.safetensors"):
        path.write_bytes(b"\x10\0\0\0\0\0\0\0 no header")
    with pytest.raises(ModelUnavailableError, match="damaged"):
        ClipEncoder(str(folder)).encode_images([Image.new("RGB", (9, 9))])


# Text models of another space


@pytest.fixture(scope="module")
def aligned(folders):
    return make_aligned_text_folder(folders["clip"].with_name("aligned-text"), clip=folders["clip"])


class Asked:
    """The sample photos, with a count of how often they were asked for."""

    def __init__(self, photos=None):
        self.times = 0
        self.photos = captioned_photos() if photos is None else photos

    def __call__(self):
        self.times += 1
        return self.photos


def test_a_text_model_of_another_space_is_refused_with_the_reason(folders):
    encoder = ClipEncoder(str(folders["clip"]), text_model=str(folders["text"]), samples=captioned_photos)
    with pytest.raises(
        ModelMismatchError, match=r"tiny-text' has the dims of image model 'tiny-clip'.*Unset TEXT_MODEL"
    ):
        encoder.encode_texts(["a dog"])


def test_a_text_model_of_the_same_space_is_accepted(folders, aligned):
    encoder = ClipEncoder(str(folders["clip"]), text_model=str(aligned), samples=captioned_photos)
    np.testing.assert_allclose(encoder.encode_texts(["a dog"]), by_the_library(aligned, ["a dog"]), atol=1e-4)


def test_a_text_model_that_knows_another_language_is_accepted(folders, aligned):
    photos = [(image, {"en": "?", "xx": captions["en"]}) for image, captions in captioned_photos()]
    encoder = ClipEncoder(str(folders["clip"]), text_model=str(aligned), samples=Asked(photos))
    assert encoder.encode_texts(["a dog"]).shape == (1, DIMS)


def test_the_photos_are_asked_for_once_whether_the_model_fits_or_not(folders, aligned):
    for text_model in (folders["text"], aligned):
        asked = Asked()
        encoder = ClipEncoder(str(folders["clip"]), text_model=str(text_model), samples=asked)
        for _ in range(3):
            with contextlib.suppress(ModelMismatchError):
                encoder.encode_texts(["a dog"])
        assert asked.times == 1


def test_images_neither_ask_for_the_photos_nor_load_the_text_model(folders):
    asked = Asked()
    encoder = ClipEncoder(str(folders["clip"]), text_model="/no/such/folder", samples=asked)
    assert encoder.encode_images([Image.new("RGB", (9, 9))]).shape == (1, encoder.info.dims)
    assert asked.times == 0


def test_the_image_models_own_text_half_is_not_checked(folders):
    asked = Asked()
    for text_model in (None, str(folders["clip"]), folders["clip"].name):
        ClipEncoder(str(folders["clip"]), text_model=text_model, samples=asked).encode_texts(["a dog"])
    assert asked.times == 0


@pytest.mark.parametrize("text_model", [None, clip.MULTILINGUAL_CLIP])
def test_the_model_made_for_clip_is_not_checked(tmp_path, text_model):
    asked = Asked()
    image_model = make_clip_folder(tmp_path / clip.CLIP)
    make_text_folder(tmp_path / clip.MULTILINGUAL_CLIP)
    ClipEncoder(str(image_model), text_model=text_model, samples=asked).encode_texts(["a dog"])
    assert asked.times == 0


def test_without_sample_photos_a_text_model_is_accepted_with_a_warning(folders, caplog):
    encoder = ClipEncoder(str(folders["clip"]), text_model=str(folders["text"]), samples=Asked([]))
    assert encoder.encode_texts(["a dog"]).shape == (1, DIMS)
    assert "cannot be checked: the sample photos are missing" in caplog.text
