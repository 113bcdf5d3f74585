"""Search of the indexed photos: by text, by an image, or by one of the photos."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from image_embeddings.calibration import likeness
from image_embeddings.calibration.likeness import Calibration, Kind
from image_embeddings.documents import Embedding, Hit, ImageDocument, ModelInfo, SearchResult
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import (
    ElasticsearchError,
    IndexMissingError,
    ModelError,
    ModelUnavailableError,
    QueryError,
    RequestError,
    TextModelError,
)
from image_embeddings.es.image_index import ImageIndex, IndexState, RawResult
from image_embeddings.es.queries import BY_DATE_DEPTH, RELEVANCE, Shape
from image_embeddings.near_duplicates.folding import folded
from image_embeddings.search.request import Indexed, Limits, Part, check_range, checked_parts, checked_text, shape_of
from image_embeddings.text_model.choice import LOCAL, TextPath, TextPaths
from image_embeddings.text_model.model import TextModel, ask_while_busy

if TYPE_CHECKING:
    from typing_extensions import Unpack

ATTEMPTS = 3  # searches, where the index is replaced in between
MISSING_SECONDS = 60.0  # in which a model that could not be had is not asked for again
WORDS = 0.5  # spreads of the similarity that one unit of BM25 counts: docs/benchmarks.md
KEPT_TEXTS = 1_000  # embeddings of texts; 2 kB each at 512 dims
STATE_SECONDS = 30.0  # after which what an index records of itself is read anew, for a verdict
VERDICT_SECONDS = 2.0  # for Elasticsearch to encode a text once more, to tell what matches


class ImageSearch:
    """Searches one index with the models that it was built with.

    `encoder_for` gives the encoder for what an index says it was built with; it is called on first use and again when
    the index behind the name has been replaced by one of another model. `text_paths` chooses who encodes texts; without
    it, that encoder does. May be used from several threads.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        encoder_for: Callable[[ModelInfo], Encoder],
        text_paths: TextPaths | None = None,
    ) -> None:
        self.index = index
        self.text_paths = text_paths or TextPaths(LOCAL)
        self._encoder_for = encoder_for
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def by_text(self, text: str, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """The k photos whose embeddings are nearest to that of `text`, in any language the model knows.

        Photos that have words of the text in their name, caption or label rank higher for it, unless `words` is False.
        """
        text = checked_text(text)
        return self._search(lambda query: self._near_text(text, query), k=k, offset=offset, words=text, limits=limits)

    def by_image(self, image: Image.Image, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """The k photos nearest to an upright RGB image, which need not be in the index."""

        def near_image(query: _Query) -> _Found:
            return self._near(self._encoded_image(image, query), query, kind=Kind.PHOTO)

        return self._search(near_image, k=k, offset=offset, limits=limits)

    def like(self, image_id: str, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """The k photos nearest to an indexed one, itself left out; no encoder is needed.

        Raises:
            ImageNotFoundError: there is no such photo in the index.
        """
        if not image_id:
            raise QueryError("The image_id is empty. Name a photo of the index.")

        def near_indexed(query: _Query) -> _Found:
            with query.clock.stage("search"):
                raw = self.index.like(image_id, k=query.k, offset=query.offset, shape=query.shape)
                wanted = [(self.index.embedding(image_id), Kind.PHOTO)] if query.shape.embeddings else []
            return _Found(raw=raw, wanted=wanted)

        return self._search(near_indexed, k=k, offset=offset, limits=limits)

    def by_parts(
        self, parts: Sequence[Part], *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]
    ) -> SearchResult:
        """The k photos nearest to several texts and photos together, each by its weight; away from those below zero.

        Indexed photos of positive weight are not among the hits.

        Raises:
            QueryError: there are no parts or too many, none is of positive weight, or they cancel each other out.
            ImageNotFoundError: one of the photos is not in the index.
        """
        parts = checked_parts(parts)
        if len(parts) == 1:
            return self._by_part(parts[0], k=k, offset=offset, limits=limits)
        words = " ".join(part.what for part in parts if isinstance(part.what, str) and part.weight > 0)
        without = tuple(part.what.image_id for part in parts if isinstance(part.what, Indexed) and part.weight > 0)
        return self._search(
            lambda query: self._near_parts(parts, query),
            k=k,
            offset=offset,
            words=words,
            without=without,
            limits=limits,
        )

    def browse(self, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """The photos that pass the filters, the latest first unless `sort` says otherwise."""

        def browse(query: _Query) -> _Found:
            with query.clock.stage("search"):
                return _Found(raw=self.index.browse(k=query.k, offset=query.offset, shape=query.shape))

        return self._search(browse, k=k, offset=offset, limits=limits, ranked=False)

    def get(self, image_id: str) -> ImageDocument:
        """The document of an indexed photo.

        Raises:
            ImageNotFoundError: there is no such photo in the index.
        """
        return self.index.get(image_id)

    def get_many(self, image_ids: Sequence[str]) -> dict[str, ImageDocument]:
        """Return the documents of indexed photos by image_id, in one request.

        Raises:
            ImageNotFoundError: one of them is not in the index.
        """
        return self.index.get_many(image_ids)

    def warm_up(self) -> None:
        """Loads what the next search needs, so that it need not wait for it.

        Where Elasticsearch encodes texts, the encoder may be missing: texts can be searched for without it.
        """
        opened = self._open(_Clock())
        if self._replaced(opened.state):
            self._forget(opened)
            opened = self._open(_Clock())
        # Where the app may not stand in, Elasticsearch is asked anew: nothing else tells whether texts can be searched.
        look = self.text_paths.choose if self.text_paths.may_stand_in else self.text_paths.report
        path = look(self.index.cluster, opened.state.model)
        try:
            encoder = self._encoder(opened, _Clock())
        except ModelUnavailableError:
            if path.encoder == LOCAL:
                raise
        else:
            if path.encoder == LOCAL:
                encoder.encode_texts(["a photo"])

    def text_encoder(self) -> dict[str, str | None]:
        """Who encodes texts as things are now, and why; `used` is None where nobody can."""
        try:
            path = self.text_path()
        except (ModelError, ElasticsearchError) as error:
            return {"used": None, "text_model_id": None, "why": str(error)}
        return {"used": path.encoder, "text_model_id": path.model_id, "why": path.why}

    def text_path(self) -> TextPath:
        """Who encodes texts as things are now.

        Raises:
            ModelError, PermissionDeniedError, RequestError: nobody can.
        """
        return self.text_paths.report(self.index.cluster, self.index.state().model)

    def _near_text(self, text: str, query: _Query) -> _Found:
        """Near a text that Elasticsearch encodes, or the encoder; the second also where the first turns out to fail."""
        cluster, model = self.index.cluster, query.opened.state.model
        path = self.text_paths.choose(cluster, model)
        refused: RequestError | None = None  # perhaps for the text model's sake, perhaps for the index's
        if path.model_id:
            try:
                raw = self._near_encoded_there(text, path.model_id, query)
                return _Found(raw=raw, path=path, wanted=self._encoded_there(text, path.model_id, query))
            except TextModelError as error:
                path = self.text_paths.after_failure(error, path=path, cluster=cluster, model=model)
            except RequestError as error:
                if not self.text_paths.may_stand_in:
                    raise
                refused = error
        try:
            found = self._near(self._encoded_text(text, query), query, kind=Kind.TEXT)
        except ModelUnavailableError as missing:
            if not (path.note or refused):
                raise
            reason = refused or path.why
            raise ModelUnavailableError(
                f"{reason} Nor has the app a model of its own to stand in: {missing}"
            ) from missing
        if refused:  # and the search without the text model was not
            path = self.text_paths.after_failure(refused, path=path, cluster=cluster, model=model)
        return replace(found, path=path)

    def _encoded_there(self, text: str, model_id: str, query: _Query) -> list[tuple[Embedding, Kind]]:
        """The text's embedding by Elasticsearch, for the verdict; nothing where it cannot be had just now."""
        if not query.shape.embeddings:
            return []
        try:
            with query.clock.stage("encode"):
                embedding = TextModel(self.index.cluster, model_id).embed(text, seconds=VERDICT_SECONDS)
        except (TextModelError, ElasticsearchError):
            return []
        return [(embedding, Kind.TEXT)]

    def _near_encoded_there(self, text: str, model_id: str, query: _Query) -> RawResult:
        def ask(seconds: float) -> RawResult:
            return self.index.near_text(
                text, model_id=model_id, k=query.k, offset=query.offset, shape=query.shape, seconds=seconds
            )

        with query.clock.stage("search"):
            return ask_while_busy(ask, model_id=model_id, seconds=self.text_paths.patience_seconds)

    def _near(self, embedding: Embedding, query: _Query, *, kind: Kind) -> _Found:
        with query.clock.stage("search"):
            raw = self.index.near(embedding, k=query.k, offset=query.offset, shape=query.shape)
        return _Found(raw=raw, wanted=[(embedding, kind)])

    def _by_part(self, part: Part, *, k: int, offset: int, limits: Limits) -> SearchResult:
        if isinstance(part.what, str):
            return self.by_text(part.what, k=k, offset=offset, **limits)
        if isinstance(part.what, Indexed):
            return self.like(part.what.image_id, k=k, offset=offset, **limits)
        return self.by_image(part.what, k=k, offset=offset, **limits)

    def _near_parts(self, parts: Sequence[Part], query: _Query) -> _Found:
        path: TextPath | None = None
        weighed = []
        for part in parts:
            kind = Kind.TEXT if isinstance(part.what, str) else Kind.PHOTO
            if isinstance(part.what, str):
                embedding, path = self._text_embedding(part.what, query)
            elif isinstance(part.what, Indexed):
                with query.clock.stage("search"):
                    embedding = self.index.embedding(part.what.image_id)
            else:
                embedding = self._encoded_image(part.what, query)
            weighed.append(likeness.Part(embedding, kind, part.weight))
        with query.clock.stage("search"):
            embedding = _combined(weighed, query.opened.state.calibration)
            raw = self.index.near(embedding, k=query.k, offset=query.offset, shape=query.shape)
        wanted = [(part.embedding, part.kind) for part in weighed if part.weight > 0]
        return _Found(raw=raw, path=path, wanted=wanted)

    def _encoded_image(self, image: Image.Image, query: _Query) -> Embedding:
        encoder = self._encoder(query.opened, query.clock)
        with query.clock.stage("encode"):
            found: Embedding = encoder.encode_images([image])[0]
        return found

    def _text_embedding(self, text: str, query: _Query) -> tuple[Embedding, TextPath]:
        """The embedding of a text that Elasticsearch encodes, or the encoder; and which of them it was."""
        cluster, model = self.index.cluster, query.opened.state.model
        path = self.text_paths.choose(cluster, model)
        if path.model_id:
            try:
                with query.clock.stage("encode"):
                    return TextModel(cluster, path.model_id).embed(text, seconds=self.text_paths.patience_seconds), path
            except TextModelError as error:
                path = self.text_paths.after_failure(error, path=path, cluster=cluster, model=model)
        return self._encoded_text(text, query), path

    def _encoded_text(self, text: str, query: _Query) -> Embedding:
        """The embedding of a text, which is kept: people page through what they found, and ask again."""
        encoder = self._encoder(query.opened, query.clock)
        with query.clock.stage("encode"):
            return query.opened.encode_text(encoder, text)

    def _search(
        self,
        near: Callable[[_Query], _Found],
        *,
        k: int,
        offset: int,
        limits: Limits,
        words: str = "",
        without: tuple[str, ...] = (),
        ranked: bool = True,
    ) -> SearchResult:
        """What `near` finds; where that is `ranked` and to be sorted by date, only what matches, as far as is known."""
        check_range(k, offset)
        clock = _Clock()
        shape = shape_of(limits, words=words, without=without)
        for attempt in range(1, ATTEMPTS + 1):
            opened = self._opened or self._open(clock)
            if shape.embeddings and time.monotonic() - opened.read_at > STATE_SECONDS:
                self._renew(opened)
            query = _Query(opened=opened, clock=clock, k=k, offset=offset, shape=_weighed(shape, opened.state))
            try:
                if ranked and shape.sort != RELEVANCE:
                    query = _among_matching(near, query)
                found = near(query)
            except (RequestError, ModelError) as error:  # for other dims than the index's, say
                if not (_lost(error) and attempt < ATTEMPTS) and not self._replaced(opened.state):
                    raise
            else:
                if found.raw.backing_index in (None, opened.state.backing_index):
                    return _result(found, query=query, fold=limits.get("fold", False))
            self._forget(opened)  # the index was replaced meanwhile: its embeddings may be another model's
        raise IndexMissingError(f"The index '{self.index.name}' is being replaced just now. Try again in a moment.")

    def _renew(self, opened: _Opened) -> None:
        """Reads anew what the index records of itself: an indexing run may have calibrated it meanwhile."""
        state = self.index.state()
        opened.read_at = time.monotonic()
        if state.backing_index == opened.state.backing_index:
            opened.state = state

    def _replaced(self, state: IndexState) -> bool:
        return self.index.state().backing_index != state.backing_index

    def _open(self, clock: _Clock) -> _Opened:
        with self._lock, clock.stage("load"):
            if self._opened is None:
                self._opened = _Opened(state=self.index.state())
            return self._opened

    def _encoder(self, opened: _Opened, clock: _Clock) -> Encoder:
        """The encoder for the opened index, loaded by the first search that needs it."""
        if opened.encoder is None:
            with self._lock, clock.stage("load"):
                if opened.missing and time.monotonic() < opened.missing_until:
                    raise opened.missing
                if opened.encoder is None:
                    try:
                        encoder = self._encoder_for(opened.state.model)
                        check_same_model(encoder, opened.state.model)
                    except ModelUnavailableError as error:
                        opened.missing, opened.missing_until = error, time.monotonic() + MISSING_SECONDS
                        raise
                    opened.encoder = encoder
        return opened.encoder

    def _forget(self, opened: _Opened) -> None:
        with self._lock:
            if self._opened is opened:
                self._opened = None


@dataclass
class _Opened:
    """An index as it was found, and its encoder once that is needed."""

    state: IndexState
    read_at: float = field(default_factory=time.monotonic)  # when the state was read
    encoder: Encoder | None = None
    encode_text: Callable[[Encoder, str], Embedding] = field(
        default_factory=lambda: lru_cache(KEPT_TEXTS)(_encoded_text)
    )
    missing: ModelUnavailableError | None = None  # why there is none; looked for again after `missing_until`
    missing_until: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Query:
    """What one attempt at a search works with."""

    opened: _Opened
    clock: _Clock
    k: int
    offset: int
    shape: Shape


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What Elasticsearch answered, and for texts the path that was used."""

    raw: RawResult
    path: TextPath | None = None
    wanted: Sequence[tuple[Embedding, Kind]] = ()  # what hits are to be like, for the verdict


def _among_matching(near: Callable[[_Query], _Found], query: _Query) -> _Query:
    """The same search among those of the nearest photos that match; among all of them, where none is known to."""
    shape = replace(query.shape, sort=RELEVANCE, facets=False, embeddings=True)
    nearest = near(replace(query, k=BY_DATE_DEPTH, offset=0, shape=shape))
    verdicts = _verdicts(nearest, query.opened.state.calibration)
    image_ids = [hit.document.image_id for hit in nearest.raw.hits]
    matching = [image_id for image_id, matches in zip(image_ids, verdicts, strict=True) if matches]
    return replace(query, shape=replace(query.shape, among=matching or image_ids))


def _weighed(shape: Shape, state: IndexState) -> Shape:
    """The search with its words weighed against the embedding, by how much similarities to texts usually spread."""
    usual = state.calibration.text if state.calibration else None
    if not (shape.words and usual):
        return shape
    far = max(0.0, (1 + usual.mean_similarity) / 2)
    return replace(shape, word_weight=WORDS * usual.similarity_spread / 2, far_score=far)


def _encoded_text(encoder: Encoder, text: str) -> Embedding:
    embedding: Embedding = encoder.encode_texts([text])[0]
    embedding.flags.writeable = False
    return embedding


def _combined(parts: Sequence[likeness.Part], usual: Calibration | None) -> Embedding:
    """One embedding for all parts; each has the same say where it is known how much their kinds usually spread."""
    try:
        return usual.combined(parts) if usual else likeness.weighted_sum(parts)
    except ValueError:
        raise QueryError("The parts of the query cancel each other out. Leave one out, or change a weight.") from None


def _verdicts(found: _Found, usual: Calibration | None) -> list[bool | None]:
    """Whether each hit really matches every part that is wanted, or has the words; None where it cannot be told."""
    hits = found.raw.hits
    embeddings = [hit.embedding for hit in hits if hit.embedding is not None]
    if not usual or not found.wanted or len(embeddings) < len(hits) or not hits:
        return [None] * len(hits)
    stacked = np.stack(embeddings)
    photos = found.raw.matching
    told = [usual.matches(embedding, stacked, kind=kind, photos=photos) for embedding, kind in found.wanted]
    if any(verdict is None for verdict in told):
        return [None] * len(hits)
    match = np.logical_and.reduce([verdict for verdict in told if verdict is not None])
    return [bool(verdict) or hit.by_words for verdict, hit in zip(match, hits, strict=True)]


def _lost(error: Exception) -> bool:
    """Whether the index was removed under the search, which Elasticsearch does before it says who takes its place."""
    return (
        isinstance(error, RequestError)
        and error.kind == "search_phase_execution_exception"
        and error.status in (404, 503)
    )


class _Clock:
    """Milliseconds spent in each stage, and in all."""

    def __init__(self) -> None:
        self._started = perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = perf_counter()
        try:
            yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + (perf_counter() - begun) * 1000

    def took_ms(self) -> dict[str, float]:
        stages = {**self._stages, "total": (perf_counter() - self._started) * 1000}
        return {name: round(milliseconds, 2) for name, milliseconds in stages.items()}


def _result(found: _Found, *, query: _Query, fold: bool) -> SearchResult:
    state = query.opened.state
    verdicts = _verdicts(found, state.calibration)
    hits = tuple(
        Hit(rank=query.offset + place, score=hit.score, document=hit.document, by_words=hit.by_words, matches=verdict)
        for place, (hit, verdict) in enumerate(zip(found.raw.hits, verdicts, strict=True), start=1)
    )
    return SearchResult(
        hits=folded(hits) if fold else hits,
        total=found.raw.total,
        matching=found.raw.matching,
        facets=found.raw.facets,
        model_id=state.model.model_id,
        text_encoder=found.path.encoder if found.path else None,
        text_model_id=found.path.model_id if found.path else None,
        note=found.path.note if found.path else None,
        listed=len(query.shape.among) or None,
        took_ms=query.clock.took_ms(),
    )
