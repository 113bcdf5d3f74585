"""One attempt at a search: the time of its stages, the photos that it finds, and which of them really match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from image_embeddings.calibration.likeness import Calibration, QueryKind, WeightedEmbedding
from image_embeddings.documents import Embedding
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.nearest import RawResult
from image_embeddings.es.queries import SearchOptions
from image_embeddings.search.opened_index import OpenedIndex
from image_embeddings.text_model.choice import TextPath, TextPaths


class Stopwatch:
    """The milliseconds spent in each stage, and in total since the stopwatch was made."""

    def __init__(self) -> None:
        self._begin = perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage, even if the block fails."""
        begin = perf_counter()
        try:
            yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + (perf_counter() - begin) * 1000

    def took_ms(self) -> dict[str, float]:
        """Return the milliseconds of each stage so far. `total` is the time since the stopwatch was made."""
        stages = {**self._stages, "total": (perf_counter() - self._begin) * 1000}
        return {name: round(milliseconds, 2) for name, milliseconds in stages.items()}


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The photos nearest to a query."""

    raw: RawResult
    targets: Sequence[WeightedEmbedding] = ()  # what hits should be like or unlike; for the verdict
    path: TextPath | None = None  # who encoded the texts; None without a text


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a search: the index and models that it uses, and the photos that it asks for."""

    index: ImageIndex
    opened: OpenedIndex
    text_paths: TextPaths
    stopwatch: Stopwatch
    k: int
    offset: int
    options: SearchOptions

    def near(self, embedding: Embedding, *, kind: QueryKind) -> Neighbours:
        """Return the photos nearest to the embedding of a text or a photo, shape (dims,)."""
        return Neighbours(raw=self.search(embedding), targets=[WeightedEmbedding(embedding, kind)])

    def search(self, embedding: Embedding) -> RawResult:
        """Return what Elasticsearch finds near an embedding, shape (dims,)."""
        with self.stopwatch.stage("search"):
            return self.index.nearest.to_embedding(embedding, k=self.k, offset=self.offset, options=self.options)


def verdicts(neighbours: Neighbours, calibration: Calibration | None) -> list[bool | None]:
    """Return for each hit whether it matches every part of positive weight, or has words of the text.

    All are None, which means unknown, if the index is not calibrated for queries of this kind, or if the embeddings of
    query and hits were not asked for. docs/cutoff.md has the method.
    """
    hits = neighbours.raw.hits
    unknown: list[bool | None] = [None] * len(hits)
    embeddings = [hit.embedding for hit in hits if hit.embedding is not None]
    wanted = [target for target in neighbours.targets if target.weight > 0]
    if not calibration or not wanted or not hits or len(embeddings) < len(hits):
        return unknown
    matches_all = np.ones(len(hits), bool)
    for target in wanted:
        matches = calibration.matches(
            target.embedding, np.stack(embeddings), kind=target.kind, photos=neighbours.raw.matching
        )
        if matches is None:
            return unknown
        matches_all &= matches
    return [bool(matches) or hit.by_words for matches, hit in zip(matches_all, hits, strict=True)]
