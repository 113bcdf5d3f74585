import random
from io import BytesIO
from itertools import permutations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks import made_photos as made
from image_embeddings.near_duplicates.folding import fold_near_duplicates
from image_embeddings.sources.samples import captioned_photos
from tests.near_duplicates.hits import EMBEDDING, folded, hit

OTHER_EMBEDDING = np.array([0.5, 0.87], np.float32)
OLDER_FINGERPRINT = "00ff00ff00ff00ff808080"
PICTURES = 6  # of each plain kind


@pytest.fixture(scope="module")
def photos():
    return [photo for photo, _ in captioned_photos()]


def opened(file):
    return Image.open(BytesIO(file)).convert("RGB")


def are_folded(one, other):
    return len(fold_near_duplicates([hit("one", one), hit("other", other)])) == 1


def share_folded(pairs):
    return np.mean([are_folded(*pair) for pair in pairs])


def test_near_duplicates_are_folded_under_the_first_and_the_order_stays(photos):
    one, other = photos[:2]
    hits = [hit("a", one), hit("b", other), hit("c", made.scale(one, 0.5)), hit("d", made.scale(other, 0.5))]
    found = fold_near_duplicates(hits)
    assert [first.image_id for first in found] == ["a", "b"]
    assert folded(found) == {"a": ["c"], "b": ["d"]}


def test_photos_of_the_same_bytes_are_folded_even_if_nothing_else_is_known():
    hits = [hit(name, content_hash="x", embedding=None) for name in "ab"]
    assert folded(fold_near_duplicates(hits)) == {"a": ["b"]}


@pytest.mark.parametrize(
    "about",
    [
        {"embedding": OTHER_EMBEDDING},
        {"embedding": None},
        {"width": 1000, "height": 400},
        {"fingerprint": None},
        {"fingerprint": OLDER_FINGERPRINT},
    ],
    ids=["another embedding", "no embedding", "another shape", "no fingerprint", "an older fingerprint"],
)
def test_the_same_picture_alone_is_not_enough(photos, about):
    hits = [hit("a", photos[0]), hit("b", photos[0], **about)]
    assert folded(fold_near_duplicates(hits)) == {}


def test_older_fingerprints_of_two_photos_fold_nothing():
    hits = [hit(name, fingerprint=OLDER_FINGERPRINT) for name in "ab"]
    assert folded(fold_near_duplicates(hits)) == {}


def test_a_plain_ground_has_too_little_in_it_to_be_compared():
    assert not are_folded(Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "red"))


@pytest.mark.parametrize("kind", made.CHANGES)
def test_changed_copies_are_folded(photos, kind):
    rng = random.Random(7)
    # Seen: all 40 of most kinds, and at least 36. benchmarks/near_duplicates.py has the figures of all sample photos.
    assert share_folded((photo, opened(made.CHANGES[kind](photo, rng))) for photo in photos) >= 0.9


def test_frames_of_a_burst_are_folded(photos):
    rng = random.Random(8)
    pairs = [[made.burst_frame(photo, rng) for _ in range(2)] for photo in photos]
    assert share_folded(pairs) >= 0.9


def test_the_decision_does_not_depend_on_the_order(photos):
    rng = random.Random(9)
    for photo in photos[:10]:
        names = {name: made.burst_frame(photo, rng, amount=2) for name in "ab"}
        decisions = {
            len(fold_near_duplicates([hit(name, names[name]) for name in order])) for order in permutations(names)
        }
        assert len(decisions) == 1


@pytest.mark.parametrize("kind", made.PLAIN)
def test_different_pictures_of_little_information_are_not_folded(kind):
    rng = random.Random(10)
    hits = [hit(str(number), made.PLAIN[kind](rng)) for number in range(PICTURES)]
    assert folded(fold_near_duplicates(hits)) == {}


def test_another_subject_before_the_same_ground_is_not_folded():
    rng = random.Random(11)
    ground = made.PLAIN["skies"](rng)
    subjects = []
    for shape in ("rectangle", "ellipse"):
        subject = Image.new("RGBA", (200, 200))
        getattr(ImageDraw.Draw(subject), shape)((0, 0, 199, 199), fill="maroon")
        subjects.append(made.put(ground, subject, x=0.5, y=0.5, height=0.5))
    subjects += [made.put(ground, subject, x=0.2, y=0.5, height=0.5), ground]
    hits = [hit(str(number), made.burst_frame(image, rng, amount=0.5)) for number, image in enumerate(subjects)]
    assert folded(fold_near_duplicates(hits)) == {}


def test_the_same_thing_in_another_colour_is_not_folded(photos):
    colourful = [photo for photo in photos if np.asarray(photo.convert("HSV"))[..., 1].mean() > 60]
    assert len(colourful) >= 15
    assert share_folded((photo, made.recolour(photo)) for photo in colourful) == 0


def test_a_result_of_a_thousand_hits_is_folded_at_once(photos):
    hits = [hit(str(number), photos[number % 20], embedding=EMBEDDING) for number in range(1000)]
    found = fold_near_duplicates(hits)
    assert [len(first.folded) for first in found] == [49] * 20
