"""The quality of the search of an index: recall of the captions of its photos, and agreement with exact search."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from image_embeddings.documents import Embeddings
from image_embeddings.errors import IndexEmptyError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.queries import SearchOptions, Thoroughness
from image_embeddings.search.image_search import ImageSearch

if TYPE_CHECKING:
    from typing_extensions import Self

RANKS = (1, 5, 10)


@dataclass(frozen=True, kw_only=True)
class TextRecall:
    """Text-to-image recall@k in one language. `recall_at`: k -> share of captions whose photo is among the first k."""

    language: str
    captions: int
    recall_at: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class AnnRecall:
    """Agreement of approximate and exact search. The queries are photos of the index."""

    queries: int
    k: int
    recall: float


def text_recall(search: ImageSearch, captions: dict[str, dict[str, list[str]]]) -> list[TextRecall]:
    """Return the recall of each language's captions, English first.

    `captions` is language -> text -> image_ids. Photos that are not in the index do not count.
    """
    present = search.index.documents.file_states().keys()
    found = []
    for language, texts in sorted(captions.items(), key=lambda item: (item[0] != "en", item[0])):
        relevant = {text: [i for i in ids if i in present] for text, ids in texts.items()}
        shares = [_ranks(search, text, ids) for text, ids in relevant.items() if ids]
        if shares:
            means = {k: float(np.mean([share[k] for share in shares])) for k in RANKS}
            found.append(TextRecall(language=language, captions=len(shares), recall_at=means))
    return found


def _ranks(search: ImageSearch, text: str, relevant: list[str]) -> dict[int, float]:
    found = [hit.image_id for hit in search.by_text(text, k=max(RANKS)).hits]
    return {k: recall_at_k(found, relevant, k=k) for k in RANKS}


@dataclass(frozen=True, kw_only=True)
class AnnTest:
    """Photos of an index as queries, and what exact search finds for them."""

    index: ImageIndex
    vector_index_type: str
    photos: int  # in the index
    k: int
    vectors: Embeddings  # (queries, dims)
    exact_scores: NDArray[np.float32]  # (queries, k), or fewer columns if the index has fewer photos

    @classmethod
    def draw(cls, index: ImageIndex, *, k: int, queries: int, seed: int = 0) -> Self:
        """Return a test with `queries` photos that `seed` draws. It reads all embeddings of the index.

        Raise IndexEmptyError if the index holds no photos.
        """
        image_ids = sorted(index.documents.file_states())
        if not image_ids:
            raise IndexEmptyError("The index holds no photos yet: there is nothing to measure.")
        drawn = np.random.default_rng(seed).permutation(image_ids)[:queries]
        vectors: Embeddings = np.stack([index.documents.embedding(str(image_id)) for image_id in drawn])
        exact = ExactNearest(vectors, k=min(k, len(image_ids)))
        for page in index.documents.embeddings():
            exact.feed(page)
        return cls(
            index=index,
            vector_index_type=index.state().vector_index_type,
            photos=len(image_ids),
            k=k,
            vectors=vectors,
            exact_scores=exact.scores,
        )

    def recalls(self, thoroughness: Thoroughness) -> Iterator[float]:
        """Search once for each query, and yield how far the search agrees with exact search: see `ann_recall_at_k`."""
        options = SearchOptions(vector_index_type=self.vector_index_type, thoroughness=thoroughness)
        for vector, scores in zip(self.vectors, self.exact_scores, strict=True):
            hits = self.index.nearest.to_embedding(vector, k=self.k, options=options).hits
            yield ann_recall_at_k([hit.score or 0.0 for hit in hits], scores.tolist(), k=self.k)

    def recall(self, thoroughness: Thoroughness) -> AnnRecall:
        """Return the mean agreement of the index's search with exact search."""
        return AnnRecall(queries=len(self.vectors), k=self.k, recall=float(np.mean(list(self.recalls(thoroughness)))))


def ann_recall(index: ImageIndex, *, k: int, queries: int, seed: int = 0) -> AnnRecall:
    """Return the mean agreement of the index's search with exact search, for `queries` photos that `seed` draws.

    Raise IndexEmptyError if the index holds no photos.
    """
    return AnnTest.draw(index, k=k, queries=queries, seed=seed).recall(Thoroughness())


def recall_at_k(found: Sequence[str], relevant: Collection[str], *, k: int) -> float:
    """Return the share of the relevant photos that are among the first k found, in [0, 1]."""
    return len(set(found[:k]) & set(relevant)) / len(relevant)


def ann_recall_at_k(found_scores: Sequence[float], exact_scores: Sequence[float], *, k: int) -> float:
    """Return the share of the first k hits of approximate search that belong to the first k of exact search, in [0, 1].

    Scores are compared, not photos, so that of photos with equal similarity any one is right. ann-benchmarks does the
    same.
    """
    if not exact_scores:
        return 1.0
    kth = sorted(exact_scores, reverse=True)[: min(k, len(exact_scores))][-1]
    within = sum(score >= kth - 1e-5 for score in found_scores[:k])
    return min(within / min(k, len(exact_scores)), 1.0)


class ExactNearest:
    """The k nearest of all embeddings to each query, found by comparing every one. Call `feed` for each page of them.

    `queries` has shape (n, dims). `scores` has shape (n, k): (1 + cosine) / 2, best first.
    """

    def __init__(self, queries: Embeddings, *, k: int) -> None:
        self._queries = queries
        self._k = k
        self.scores = np.full((len(queries), k), -np.inf, np.float32)

    def feed(self, embeddings: Embeddings) -> None:
        """Compare the next embeddings, shape (m, dims)."""
        scores = (1 + self._queries @ embeddings.T) / 2
        merged = np.concatenate([self.scores, scores], axis=1)
        self.scores = -np.sort(-merged, axis=1)[:, : self._k]
