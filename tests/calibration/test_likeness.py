import json

import numpy as np
import pytest

from image_embeddings.calibration.everyday_texts import everyday_texts
from image_embeddings.calibration.likeness import (
    ALONE,
    COHORT,
    FEWEST_PHOTOS,
    Calibration,
    QueryKind,
    WeightedEmbedding,
    calibrate,
    expected_top,
)

DIMS, SUBJECTS, PHOTOS, TEXTS = 256, 60, 600, 250
ABSENT = 20  # the last subjects have no photo
EACH = PHOTOS // (SUBJECTS - ABSENT)


def unit(rows):
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


class Space:
    """A made-up model: photos and texts of subjects, all photos around one point and all texts around another."""

    def __init__(self, *, gap=1.0, noise=1.0):
        rng = np.random.default_rng(0)
        self.rng, self.noise = rng, noise
        self.subjects = unit(rng.normal(size=(SUBJECTS, DIMS)))
        self.around_photos, self.around_texts = gap * unit(rng.normal(size=(2, DIMS)))
        self.shown = np.repeat(np.arange(SUBJECTS - ABSENT), EACH)
        self.photos = self.photos_of(self.shown)
        self.everyday = unit(self.around_texts + unit(rng.normal(size=(TEXTS, DIMS))))

    def photos_of(self, subjects):
        noise = self.noise * unit(self.rng.normal(size=(len(subjects), DIMS)))
        return unit(self.around_photos + self.subjects[subjects] + noise)

    def text_of(self, subject):
        return unit(self.around_texts + self.subjects[subject])

    def calibration(self):
        return calibrate(self.photos, self.everyday, photos=PHOTOS)


@pytest.fixture(scope="module")
def space():
    return Space()


@pytest.fixture(scope="module")
def calibration(space):
    return space.calibration()


def found_by(calibration, query, photos, kind):
    return calibration.matches(query, photos, kind=kind, photos=len(photos))


def test_a_text_matches_the_photos_of_its_subject_and_hardly_any_other(space, calibration):
    others = []
    for subject in range(SUBJECTS - ABSENT):
        matching = found_by(calibration, space.text_of(subject), space.photos, QueryKind.TEXT)
        assert matching[space.shown == subject].all()
        others.append(matching[space.shown != subject].sum())
    assert np.mean(others) <= 1.5  # seen: 0.8; expected: fewer than one


def test_texts_that_no_photo_shows_mostly_match_nothing(space, calibration):
    absent = range(SUBJECTS - ABSENT, SUBJECTS)
    told = [not found_by(calibration, space.text_of(subject), space.photos, QueryKind.TEXT).any() for subject in absent]
    assert np.mean(told) >= 0.3  # seen: 0.45; fewer than one photo above the level on average leaves 1/e of them


def test_a_photo_matches_photos_of_its_subject_only(space, calibration):
    known, unknown = space.photos_of([0])[0], space.photos_of([SUBJECTS - 1])[0]
    assert found_by(calibration, known, space.photos, QueryKind.PHOTO)[space.shown == 0].all()
    assert not found_by(calibration, unknown, space.photos, QueryKind.PHOTO).any()


@pytest.mark.parametrize("gap", [0.0, 0.5, 3.0])
def test_the_place_of_all_photos_and_of_all_texts_does_not_matter(gap):
    """CLIP's texts lie in one corner, its photos in another. There, all plain cosines are alike."""
    space = Space(gap=gap)
    calibration = space.calibration()
    present = found_by(calibration, space.text_of(0), space.photos, QueryKind.TEXT)
    assert present[space.shown == 0].all()
    assert present[space.shown != 0].sum() <= EACH
    beyond = calibration.likeness(space.text_of(0), space.photos, kind=QueryKind.TEXT).max() / calibration.text.spread
    assert beyond == pytest.approx(11.8, abs=0.5)


def test_the_level_is_what_fewer_than_one_of_all_unrelated_photos_reaches():
    rng = np.random.default_rng(0)
    for photos in (20, 150, 5_000):
        beyond = (rng.normal(size=(1_000, photos)) > expected_top(photos)).sum(axis=1)
        assert beyond.mean() == pytest.approx(1, abs=0.15)


def test_the_level_grows_slowly_with_the_size_of_the_index(calibration):
    levels = [calibration.level(QueryKind.TEXT, photos=photos) for photos in (20, 150, 100_000, 1_000_000)]
    assert np.array(levels) / calibration.text.spread == pytest.approx([1.64, 2.48, 4.26, 4.75], abs=0.01)


def test_a_sample_of_the_photos_is_enough(space, calibration):
    part = np.random.default_rng(0).permutation(PHOTOS)[: PHOTOS // 3]
    sampled = calibrate(space.photos[part], space.everyday, photos=PHOTOS)
    for kind in QueryKind:
        level = calibration.level(kind, photos=PHOTOS)
        assert sampled.level(kind, photos=PHOTOS) == pytest.approx(level, rel=0.1)


def test_neither_copies_nor_the_order_of_photos_matter(space, calibration):
    rng = np.random.default_rng(0)
    copies = np.concatenate([space.photos, np.repeat(space.photos[:30], 20, axis=0)])
    other = calibrate(rng.permutation(copies), rng.permutation(space.everyday), photos=PHOTOS)
    for kind in QueryKind:
        level = calibration.level(kind, photos=PHOTOS)
        assert other.level(kind, photos=PHOTOS) == pytest.approx(level, rel=1e-4)


@pytest.mark.parametrize("different", [0, 1, FEWEST_PHOTOS - 1])
def test_there_is_no_verdict_on_a_few_photos_even_with_many_copies(space, different):
    photos = np.repeat(space.photos[:different], 50, axis=0)
    assert calibrate(photos, space.everyday, photos=len(photos)) is None


def test_small_indices_use_the_level_of_the_smallest_calibrated_index(space, calibration):
    hits = space.photos[:5]
    few = [
        calibration.matches(space.text_of(0), hits, kind=QueryKind.TEXT, photos=photos).tolist()
        for photos in (1, FEWEST_PHOTOS)
    ]
    assert few[0] == few[1]


def test_without_texts_there_is_a_verdict_for_photos_only(space):
    calibration = calibrate(space.photos, None, photos=PHOTOS)
    assert found_by(calibration, space.text_of(0), space.photos, QueryKind.TEXT) is None
    assert found_by(calibration, space.photos[0], space.photos, QueryKind.PHOTO)[0]


def test_no_hits_are_no_match(space, calibration):
    none = np.empty((0, DIMS), np.float32)
    assert calibration.matches(space.text_of(0), none, kind=QueryKind.TEXT, photos=PHOTOS).tolist() == []


def test_in_an_index_of_one_subject_a_photo_of_it_still_matches():
    space = Space(noise=0.5)
    photos = space.photos_of(np.zeros(100, int))
    calibration = calibrate(photos, space.everyday, photos=len(photos))
    alone = [
        not found_by(calibration, photo, np.delete(photos, number, axis=0), QueryKind.PHOTO).any()
        for number, photo in enumerate(photos)
    ]
    assert np.mean(alone) <= ALONE + 0.01


def test_a_text_of_what_all_photos_show_matches_all(space):
    photos = space.photos_of(np.zeros(100, int))
    calibration = calibrate(photos, space.everyday, photos=len(photos))
    assert calibration.suits_all(space.text_of(0))
    assert found_by(calibration, space.text_of(0), photos, QueryKind.TEXT).all()
    assert not calibration.suits_all(space.text_of(1))


def test_a_query_exactly_at_the_centre_is_like_nothing(calibration, space):
    assert not calibration.likeness(calibration.text.centre, space.photos, kind=QueryKind.TEXT).any()


def test_a_calibration_survives_json(space, calibration):
    written = json.dumps(calibration.to_json())
    assert len(written) < 4 * DIMS * 4
    read = Calibration.from_json(json.loads(written))
    assert (read.photos, read.photo.spread) == (PHOTOS, pytest.approx(calibration.photo.spread, abs=1e-6))
    for kind, query in ((QueryKind.TEXT, space.text_of(3)), (QueryKind.PHOTO, space.photos[0])):
        likeness = calibration.likeness(query, space.photos, kind=kind)
        np.testing.assert_allclose(read.likeness(query, space.photos, kind=kind), likeness, atol=1e-3)


def test_a_calibration_of_photos_only_survives_json(space):
    calibration = calibrate(space.photos, None, photos=PHOTOS)
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))).text is None


@pytest.mark.parametrize("body", [None, {}, {"version": 0, "photos": 100}])
def test_missing_data_or_data_of_another_version_is_no_calibration(body):
    assert Calibration.from_json(body) is None


def test_in_a_combined_query_each_part_counts_the_same(space, calibration):
    text, photo = space.text_of(0), space.photos[space.shown == 1][0]
    spreads = np.std(space.photos @ np.stack([text, photo]).T, axis=0)
    combined = calibration.combined(
        [WeightedEmbedding(text, QueryKind.TEXT), WeightedEmbedding(photo, QueryKind.PHOTO)]
    )
    expected = space.photos @ (text / spreads[0] + photo / spreads[1])
    assert np.corrcoef(space.photos @ combined, expected)[0, 1] > 0.97  # seen: 0.985
    first = space.shown[np.argsort(-(space.photos @ combined))[: 2 * EACH]]
    assert min(np.mean(first == 0), np.mean(first == 1)) > 0.3
    assert np.linalg.norm(combined) == pytest.approx(1, abs=1e-6)


def test_photos_of_an_excluded_part_go_to_the_end(space, calibration):
    parts = [
        WeightedEmbedding(space.text_of(0), QueryKind.TEXT),
        WeightedEmbedding(space.text_of(1), QueryKind.TEXT, -1.0),
    ]
    ranked = space.shown[np.argsort(-(space.photos @ calibration.combined(parts)))]
    assert (set(ranked[:EACH].tolist()), set(ranked[-EACH:].tolist())) == ({0}, {1})


def test_a_combined_query_of_nothing_is_refused(space, calibration):
    text = space.text_of(0)
    for parts in ([], [WeightedEmbedding(text, QueryKind.TEXT), WeightedEmbedding(text, QueryKind.TEXT, -1.0)]):
        with pytest.raises(ValueError, match="cancel out"):
            calibration.combined(parts)


def test_there_are_many_different_everyday_texts():
    assert len(set(everyday_texts())) == len(everyday_texts()) > 200
    assert all(text == text.strip() and text for text in everyday_texts())


def test_a_sample_of_the_largest_size_is_calibrated_quickly(space):
    photos = space.photos_of(np.arange(COHORT) % SUBJECTS)
    assert calibrate(photos, space.everyday, photos=1_000_000).level(QueryKind.PHOTO, photos=1_000_000)
