from types import SimpleNamespace

import numpy as np
import pytest

from image_embeddings.errors import IndexEmptyError
from image_embeddings.evaluation import ExactNearest, ann_recall, ann_recall_at_k, recall_at_k


def test_recall_counts_relevant_photos_among_the_first_k():
    found = ["a", "x", "b", "y"]
    assert [recall_at_k(found, {"a", "b"}, k=k) for k in (1, 2, 3, 4)] == [0.5, 0.5, 1.0, 1.0]


def test_recall_of_a_photo_that_was_not_found_is_zero():
    assert recall_at_k(["x"], {"a"}, k=10) == 0.0


@pytest.mark.parametrize(
    ("found", "recall"),
    [([0.9, 0.8, 0.7], 1.0), ([0.9, 0.8, 0.5], 2 / 3), ([0.9, 0.7, 0.7], 1.0), ([], 0.0)],
)
def test_ann_recall_compares_scores_so_that_ties_count(found, recall):
    assert ann_recall_at_k(found, [0.9, 0.8, 0.7], k=3) == pytest.approx(recall)


def test_exact_nearest_over_pages_is_the_same_as_in_one():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((100, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    paged = ExactNearest(vectors[:3], k=5)
    for begin in range(0, 100, 7):
        paged.feed(vectors[begin : begin + 7])
    expected = -np.sort(-(1 + vectors[:3] @ vectors.T) / 2, axis=1)[:, :5]
    np.testing.assert_allclose(paged.scores, expected, atol=1e-6)


def test_an_empty_index_cannot_be_measured():
    empty = SimpleNamespace(documents=SimpleNamespace(file_states=dict))
    with pytest.raises(IndexEmptyError, match="no photos yet"):
        ann_recall(empty, k=10, queries=5)
