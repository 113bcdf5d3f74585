"""One attempt at a search, and the photos that it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from image_embeddings.calibration.likeness import QueryKind, WeightedEmbedding
from image_embeddings.documents import Embedding
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.nearest import RawResult
from image_embeddings.es.queries import SearchOptions
from image_embeddings.search.opened_index import OpenedIndex
from image_embeddings.search.stopwatch import Stopwatch
from image_embeddings.text_model.choice import TextPath, TextPaths


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The photos that are nearest to a query."""

    raw: RawResult
    targets: Sequence[WeightedEmbedding] = ()  # what hits are meant to be like or unlike; for the verdict
    path: TextPath | None = None  # who encoded the texts; None without a text


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a search: what it works with, and which photos it wants."""

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
