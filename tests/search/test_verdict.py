import numpy as np
import pytest

from image_embeddings.calibration.likeness import QueryKind, WeightedEmbedding, calibrate
from image_embeddings.documents import ImageDocument
from image_embeddings.es.nearest import Hit, RawResult
from image_embeddings.search.attempt import Neighbours, verdicts

DIMS = 64


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def photos():
    """Embeddings of photos in pairs that are alike, shape (100, DIMS)."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(rng.normal(size=(50, DIMS)), 2, axis=0)
    return unit(subjects + 0.1 * rng.normal(size=subjects.shape))


@pytest.fixture(scope="module")
def calibration(photos):
    return calibrate(photos, photos=len(photos))


def hit(embedding, *, by_words=False):
    document = ImageDocument(image_id="a.jpg", width=1, height=1, bytes=1, mtime_ns=0, content_hash="")
    return Hit(rank=1, document=document, score=0.5, by_words=by_words, embedding=embedding)


def neighbours(hits, *targets, understood=True):
    raw = RawResult(hits=tuple(hits), total=100, matching=100, backing_index="photos-1")
    return Neighbours(raw=raw, targets=targets, understood=understood)


def like(embedding, *, weight=1.0, kind=QueryKind.PHOTO):
    return WeightedEmbedding(embedding, kind, weight)


def test_a_photo_of_the_same_subject_matches_and_another_does_not(photos, calibration):
    hits = [hit(photos[1]), hit(photos[2])]
    assert verdicts(neighbours(hits, like(photos[0])), calibration) == [True, False]


def test_a_hit_that_has_the_words_matches(photos, calibration):
    hits = [hit(photos[2], by_words=True)]
    assert verdicts(neighbours(hits, like(photos[0])), calibration) == [True]


def test_a_hit_has_to_match_every_wanted_part(photos, calibration):
    hits = [hit(photos[1])]
    assert verdicts(neighbours(hits, like(photos[0]), like(photos[4])), calibration) == [False]


def test_excluded_parts_do_not_count(photos, calibration):
    hits = [hit(photos[1])]
    assert verdicts(neighbours(hits, like(photos[0]), like(photos[4], weight=-1.0)), calibration) == [True]


def test_only_words_match_a_text_that_says_nothing(photos, calibration):
    hits = [hit(photos[0]), hit(photos[1], by_words=True)]
    for known in (calibration, None):
        assert verdicts(neighbours(hits, understood=False), known) == [False, True]
    assert verdicts(neighbours([hit(None)], understood=False), calibration) == [None]  # nobody asked for a verdict


def test_a_text_that_says_nothing_does_not_count_beside_other_parts(photos, calibration):
    hits = [hit(photos[1]), hit(photos[2])]
    assert verdicts(neighbours(hits, like(photos[0]), understood=False), calibration) == [True, False]


def test_there_is_no_verdict_without_calibration_query_or_embeddings(photos, calibration):
    whole = [hit(photos[1])]
    assert verdicts(neighbours(whole, like(photos[0])), None) == [None]
    assert verdicts(neighbours(whole), calibration) == [None]
    assert verdicts(neighbours([*whole, hit(None)], like(photos[0])), calibration) == [None, None]
    assert verdicts(neighbours(whole, like(photos[0], kind=QueryKind.TEXT)), calibration) == [None]  # no texts known
    assert verdicts(neighbours([], like(photos[0])), calibration) == []
