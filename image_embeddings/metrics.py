"""Measures of search quality; pure functions."""

from collections.abc import Collection, Sequence

import numpy as np

from image_embeddings.documents import Embeddings


def recall_at_k(found: Sequence[str], relevant: Collection[str], *, k: int) -> float:
    """Share of the relevant photos that are among the first k found, in [0, 1]."""
    return len(set(found[:k]) & set(relevant)) / len(relevant)


def ann_recall_at_k(found_scores: Sequence[float], exact_scores: Sequence[float], *, k: int) -> float:
    """Share of the first k found by approximate search that exact search ranks as high, in [0, 1].

    Compared by score, as ann-benchmarks does, so that photos of equal similarity may stand for each other.
    """
    if not exact_scores:
        return 1.0
    kth = sorted(exact_scores, reverse=True)[: min(k, len(exact_scores))][-1]
    within = sum(score >= kth - 1e-5 for score in found_scores[:k])
    return min(within / min(k, len(exact_scores)), 1.0)


class ExactNearest:
    """The k nearest of all embeddings to each query, by comparing every one; fed page by page.

    `queries` has shape (n, dims); `scores` comes out with shape (n, k), (1 + cosine) / 2, best first.
    """

    def __init__(self, queries: Embeddings, *, k: int) -> None:
        self._queries = queries
        self._k = k
        self.scores = np.full((len(queries), k), -np.inf, np.float32)

    def feed(self, embeddings: Embeddings) -> None:
        """Takes the next embeddings, shape (m, dims)."""
        scores = (1 + self._queries @ embeddings.T) / 2
        merged = np.concatenate([self.scores, scores], axis=1)
        self.scores = -np.sort(-merged, axis=1)[:, : self._k]
