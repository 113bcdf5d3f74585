"""One attempt at a search: the index and encoder that it uses, the photos that it finds, and which really match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from image_embeddings.calibration.likeness import Calibration, QueryKind, WeightedEmbedding
from image_embeddings.documents import Embedding
from image_embeddings.errors import ElasticsearchError, TextModelError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.nearest import RawResult
from image_embeddings.es.queries import SearchOptions
from image_embeddings.search.opened_index import OpenedIndex
from image_embeddings.search.stopwatch import Stopwatch
from image_embeddings.text_model.choice import LOCAL, TextPath, TextPaths
from image_embeddings.text_model.model import TextModel, ask_while_busy
from image_embeddings.words.terms import meaning_of

WORDS_FIRST = 1_000.0  # weight of words with which the score of an embedding, at most 1, hardly counts
VERDICT_SECONDS = 2.0  # for Elasticsearch to encode a text once more, for the verdict


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The photos nearest to a query."""

    raw: RawResult
    targets: Sequence[WeightedEmbedding] = ()  # what hits should be like or unlike; for the verdict
    path: TextPath | None = None  # who encoded the texts; None without a text
    understood: bool = True  # whether every text says something that the model knows


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
    left_out: tuple[str, ...] = ()  # `_id`s of foreign documents that an earlier step has left out
    partial: bool = False  # whether an earlier request of the same search has lacked photos

    def near(self, embedding: Embedding, *, kind: QueryKind) -> Neighbours:
        """Return the photos nearest to the embedding of a text or a photo, shape (dims,)."""
        return Neighbours(raw=self.search(embedding), targets=[WeightedEmbedding(embedding, kind)])

    def search(self, embedding: Embedding) -> RawResult:
        """Return what Elasticsearch finds near an embedding, shape (dims,)."""
        with self.stopwatch.stage("search"):
            return self.index.nearest.to_embedding(embedding, k=self.k, offset=self.offset, options=self.options)

    def near_text(self, text: str) -> Neighbours:
        """Return the photos nearest to a text. Raise a ModelError if nobody can encode it.

        If Elasticsearch encodes the text, encoding and search are one request. A verdict then needs a second one.
        """

        def search_there(model_id: str) -> Neighbours:
            raw = self._search_by_text_model(text, model_id)
            understood = bool(meaning_of(text))
            return Neighbours(raw=raw, targets=self._targets(text, model_id), understood=understood)

        def search_here() -> Neighbours:
            embedding = self.opened.encode_text(text, self.stopwatch)
            understood = self.opened.knows(text, self.stopwatch)
            attempt = self if understood else self._with_words_first()
            return replace(attempt.near(embedding, kind=QueryKind.TEXT), understood=understood)

        neighbours, path = self.text_paths.encode(
            self.index.cluster, self.opened.state.model, there=search_there, here=search_here
        )
        return replace(neighbours, path=path, targets=neighbours.targets if neighbours.understood else [])

    def encode_text(self, text: str) -> tuple[Embedding, TextPath]:
        """Return the embedding of a text, shape (dims,), and who encoded it. Raise a ModelError if nobody can."""

        def encode_there(model_id: str) -> Embedding:
            with self.stopwatch.stage("encode"):
                model = TextModel(self.index.cluster, model_id)
                return model.embed(text, seconds=self.text_paths.patience_seconds)

        return self.text_paths.encode(
            self.index.cluster,
            self.opened.state.model,
            there=encode_there,
            here=lambda: self.opened.encode_text(text, self.stopwatch),
        )

    def understands(self, text: str, path: TextPath) -> bool:
        """Return whether a text says something that the model knows. `path` says who encoded it.

        What the model knows is asked only of the app's own encoder. Elasticsearch does not tell.
        """
        return self.opened.knows(text, self.stopwatch) if path.encoder == LOCAL else bool(meaning_of(text))

    def _with_words_first(self) -> Attempt:
        """Return the attempt with photos that have the words of the text before all others."""
        return replace(self, options=replace(self.options, word_weight=WORDS_FIRST))

    def _search_by_text_model(self, text: str, model_id: str) -> RawResult:
        """Return what Elasticsearch finds near a text that it encodes itself. Ask again while the model is busy."""

        def ask(seconds: float) -> RawResult:
            return self.index.nearest.to_text(
                text, model_id=model_id, k=self.k, offset=self.offset, options=self.options, seconds=seconds
            )

        with self.stopwatch.stage("search"):
            return ask_while_busy(ask, model_id=model_id, seconds=self.text_paths.patience_seconds)

    def _targets(self, text: str, model_id: str) -> list[WeightedEmbedding]:
        """Return the embedding that a verdict needs, or nothing if no verdict is wanted or Elasticsearch fails."""
        if not self.options.verdict:
            return []
        try:
            with self.stopwatch.stage("encode"):
                embedding = TextModel(self.index.cluster, model_id).embed(text, seconds=VERDICT_SECONDS)
        except (TextModelError, ElasticsearchError):
            return []
        return [WeightedEmbedding(embedding, QueryKind.TEXT)]


def verdicts(neighbours: Neighbours, calibration: Calibration | None) -> list[bool | None]:
    """Return for each hit whether it matches every part of positive weight, or has the words of the text.

    All are None, which means unknown, if the index is not calibrated for queries of this kind, or if the embeddings of
    query and hits were not asked for. If none of the wanted parts says anything, only words can match. docs/cutoff.md
    has the method.
    """
    hits = neighbours.raw.hits
    unknown: list[bool | None] = [None] * len(hits)
    embeddings = [hit.embedding for hit in hits if hit.embedding is not None]
    wanted = [target for target in neighbours.targets if target.weight > 0]
    if not (neighbours.understood or wanted) and len(embeddings) == len(hits):
        return [hit.by_words for hit in hits]
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
