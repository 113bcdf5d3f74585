"""Search of the indexed photos: by text, by an image, or by one of the photos."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from PIL import Image

from image_embeddings import queries
from image_embeddings.corpus import MAX_IMAGE_ID_BYTES
from image_embeddings.documents import JSON, Embedding, Hit, ImageDocument, ModelInfo, SearchResult
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import IndexMissingError, QueryError, RequestError
from image_embeddings.index import ImageIndex, IndexState, RawResult

MAX_K = 1_000
MAX_DEPTH = queries.MAX_NUM_CANDIDATES  # k + offset at most
ATTEMPTS = 3  # searches, where the index is replaced in between
MAX_TEXT = 1_000  # characters of a query


class ImageSearch:
    """Searches one index with the encoder that it was built with.

    `encoder_for` gives the encoder for what an index says it was built with; it is called on first use and again when
    the index behind the name has been replaced by one of another model. May be used from several threads.
    """

    def __init__(self, index: ImageIndex, *, encoder_for: Callable[[ModelInfo], Encoder]) -> None:
        self.index = index
        self._encoder_for = encoder_for
        self._lock = threading.Lock()
        self._opened: tuple[IndexState, Encoder] | None = None

    def by_text(self, text: str, *, k: int = 10, offset: int = 0, folder: str | None = None) -> SearchResult:
        """The k photos whose embeddings are nearest to that of `text`, in any language the model knows."""
        text = _checked_text(text)
        return self._search(lambda encoder: encoder.encode_texts([text])[0], k=k, offset=offset, folder=folder)

    def by_image(self, image: Image.Image, *, k: int = 10, offset: int = 0, folder: str | None = None) -> SearchResult:
        """The k photos nearest to an upright RGB image, which need not be in the index."""
        return self._search(lambda encoder: encoder.encode_images([image])[0], k=k, offset=offset, folder=folder)

    def like(self, image_id: str, *, k: int = 10, offset: int = 0, folder: str | None = None) -> SearchResult:
        """The k photos nearest to an indexed one, itself left out; no encoder is needed.

        Raises:
            ImageNotFoundError: there is no such photo in the index.
        """
        _check_range(k, offset)
        if not image_id:
            raise QueryError("The image_id is empty. Name a photo of the index.")
        clock = _Clock()
        filters = _filters(folder)
        with clock.stage("search"):
            raw = self.index.like(image_id, k=k, offset=offset, filters=filters)
            model = self._state(raw).model
        return _result(raw, model=model, offset=offset, clock=clock)

    def get(self, image_id: str) -> ImageDocument:
        """The document of an indexed photo.

        Raises:
            ImageNotFoundError: there is no such photo in the index.
        """
        return self.index.get(image_id)

    def warm_up(self) -> None:
        """Loads the index's encoder, image and text half, so that the first search need not wait for it."""
        state, _ = self._open(_Clock())
        if self._replaced(state):
            self._forget(state)
        _, encoder = self._open(_Clock())
        encoder.encode_texts(["a photo"])

    def _search(
        self, encode: Callable[[Encoder], Embedding], *, k: int, offset: int, folder: str | None
    ) -> SearchResult:
        _check_range(k, offset)
        clock = _Clock()
        filters = _filters(folder)
        for _ in range(ATTEMPTS):
            state, encoder = self._opened or self._open(clock)
            with clock.stage("encode"):
                embedding = encode(encoder)
            try:
                with clock.stage("search"):
                    raw = self.index.near(embedding, k=k, offset=offset, filters=filters)
            except RequestError:  # for other dims than the index's, say
                if not self._replaced(state):
                    raise
            else:
                if raw.backing_index in (None, state.backing_index):
                    return _result(raw, model=state.model, offset=offset, clock=clock)
            self._forget(state)  # the index was replaced meanwhile: its embeddings may be another model's
        raise IndexMissingError(f"The index '{self.index.name}' is being replaced over and over. Try again in a while.")

    def _replaced(self, state: IndexState) -> bool:
        return self.index.state().backing_index != state.backing_index

    def _state(self, raw: RawResult) -> IndexState:
        opened = self._opened
        if opened and raw.backing_index in (None, opened[0].backing_index):
            return opened[0]
        return self.index.state()

    def _open(self, clock: "_Clock") -> tuple[IndexState, Encoder]:
        with self._lock, clock.stage("load"):
            if self._opened is None:
                state = self.index.state()
                encoder = self._encoder_for(state.model)
                check_same_model(encoder, state.model)
                self._opened = (state, encoder)
            return self._opened

    def _forget(self, state: IndexState) -> None:
        with self._lock:
            if self._opened and self._opened[0] is state:
                self._opened = None


class _Clock:
    """Milliseconds spent in each stage, and in all."""

    def __init__(self) -> None:
        self._started = perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = perf_counter()
        yield
        self._stages[name] = self._stages.get(name, 0.0) + (perf_counter() - begun) * 1000

    def took_ms(self) -> dict[str, float]:
        stages = {**self._stages, "total": (perf_counter() - self._started) * 1000}
        return {name: round(milliseconds, 2) for name, milliseconds in stages.items()}


def _result(raw: RawResult, *, model: ModelInfo, offset: int, clock: _Clock) -> SearchResult:
    hits = tuple(
        Hit(rank=offset + place, score=hit.score, document=hit.document) for place, hit in enumerate(raw.hits, start=1)
    )
    return SearchResult(hits=hits, total=raw.total, model_id=model.model_id, took_ms=clock.took_ms())


def _checked_text(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise QueryError("The search text is empty. Type what the photo shows, in your own words.")
    if len(text) > MAX_TEXT:
        raise QueryError(f"The search text has {len(text)} characters; {MAX_TEXT} at most. A sentence is enough.")
    return text


def _filters(folder: str | None) -> list[JSON]:
    folder = (folder or "").strip("/")
    if len(folder.encode(errors="replace")) > MAX_IMAGE_ID_BYTES:
        raise QueryError("The folder's name is longer than any path in the index.")
    return [queries.in_folder(folder)] if folder else []


def _check_range(k: int, offset: int) -> None:
    if not 1 <= k <= MAX_K:
        raise QueryError(f"k is {k}. It is the number of photos wanted, from 1 to {MAX_K}.")
    if not 0 <= offset <= MAX_DEPTH - k:
        raise QueryError(f"offset is {offset}. It is the number of photos to pass over, from 0 to {MAX_DEPTH - k}.")
