"""One attempt at a search: the index and encoder that it uses, the photos that it finds, and which really match."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter

import numpy as np
from PIL import Image

from image_embeddings.calibration.likeness import Calibration, QueryKind, WeightedEmbedding
from image_embeddings.documents import Embedding, ModelInfo
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import BlockedError, ElasticsearchError, ModelUnavailableError, TextModelError
from image_embeddings.es.image_index import ImageIndex, IndexState
from image_embeddings.es.nearest import RawResult
from image_embeddings.es.queries import SearchOptions
from image_embeddings.text_model.choice import LOCAL, TextPath, TextPaths
from image_embeddings.text_model.model import TextModel, ask_while_busy
from image_embeddings.words.terms import meaning_of

TEXTS_KEPT = 1_000  # number of embeddings of texts that are kept; 2 kB each at 512 dims
STATE_SECONDS = 30.0  # greatest age of the state that a verdict may use
MISSING_SECONDS = 60.0  # time after which a model that was not available is looked for again
WORDS_FIRST = 1_000.0  # weight of words with which the score of an embedding, at most 1, hardly counts
VERDICT_SECONDS = 2.0  # for Elasticsearch to encode a text once more, for the verdict


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


class OpenedIndex:
    """One index behind the name: its state, and the encoder of its model, which the first search that needs it loads.

    If the index behind the name is replaced, another `OpenedIndex` replaces this one. `lock` is held while an encoder
    is loaded, so that only one is loaded at a time. Several threads may use the object at the same time.
    """

    def __init__(self, state: IndexState, *, encoder_for: Callable[[ModelInfo], Encoder], lock: threading.Lock) -> None:
        self.state = state
        self._state_read_at = time.monotonic()
        self._encoder_for = encoder_for
        self._lock = lock
        self._encoder: Encoder | None = None
        self._missing: tuple[ModelUnavailableError, float] | None = None  # why there is none, and until when
        self._embedding_of_text = lru_cache(TEXTS_KEPT)(_encode_text)
        self._knows_meaning = lru_cache(TEXTS_KEPT)(_knows_meaning)

    def is_replaced(self, index: ImageIndex) -> bool:
        """Return whether there is another index behind the name now."""
        return index.state().backing_index != self.state.backing_index

    def renew_state(self, index: ImageIndex) -> None:
        """Read the state anew if it is older than STATE_SECONDS. A run may have calibrated the index since."""
        if time.monotonic() - self._state_read_at > STATE_SECONDS:
            with suppress(BlockedError):  # the photos may be searched even if what the index says of itself is blocked
                state = index.state()
                if state.backing_index == self.state.backing_index:
                    self.state = state
            self._state_read_at = time.monotonic()

    def encoder(self, stopwatch: Stopwatch) -> Encoder:
        """Return the encoder of the index's model. Load it at the first use.

        Raise ModelUnavailableError if it is not available, and ModelMismatchError if it is not the model of the index.
        """
        if self._encoder is None:
            with self._lock, stopwatch.stage("load"):
                if self._encoder is None:
                    self._encoder = self._load_encoder()
        return self._encoder

    def _load_encoder(self) -> Encoder:
        if self._missing and time.monotonic() < self._missing[1]:
            raise self._missing[0]
        try:
            encoder = self._encoder_for(self.state.model)
            check_same_model(encoder, self.state.model)
        except ModelUnavailableError as error:
            self._missing = error, time.monotonic() + MISSING_SECONDS
            raise
        return encoder

    def encode_text(self, text: str, stopwatch: Stopwatch) -> Embedding:
        """Return the embedding of a text, shape (dims,), read-only. Raise errors as `encoder` does.

        It is kept, because people look at further pages of a search, and search for the same text again.
        """
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            return self._embedding_of_text(encoder, text)

    def knows(self, text: str, stopwatch: Stopwatch) -> bool:
        """Return whether a text says something that the model knows. Raise errors as `encoder` does."""
        meaning = meaning_of(text)
        if not meaning:
            return False
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            return self._knows_meaning(encoder, meaning)

    def encode_image(self, image: Image.Image, stopwatch: Stopwatch) -> Embedding:
        """Return the embedding of an upright RGB image, shape (dims,). Raise errors as `encoder` does."""
        encoder = self.encoder(stopwatch)
        with stopwatch.stage("encode"):
            embedding: Embedding = encoder.encode_images([image])[0]
        return embedding


def _encode_text(encoder: Encoder, text: str) -> Embedding:
    embedding: Embedding = encoder.encode_texts([text])[0]
    embedding.flags.writeable = False
    return embedding


def _knows_meaning(encoder: Encoder, meaning: str) -> bool:
    return encoder.knows(meaning)


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
