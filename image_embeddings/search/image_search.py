"""Search of the indexed photos: by text, by an image, or by one of the photos."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

from image_embeddings.calibration.likeness import QueryKind, WeightedEmbedding
from image_embeddings.documents import ImageDocument, ModelInfo
from image_embeddings.encoders import Encoder
from image_embeddings.errors import (
    ElasticsearchError,
    IndexMissingError,
    ModelError,
    ModelUnavailableError,
    QueryError,
    RequestError,
)
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.queries import BY_DATE_DEPTH, RELEVANCE, Thoroughness
from image_embeddings.es.refusals import PARTIAL_ANSWER
from image_embeddings.near_duplicates.folding import fold_near_duplicates
from image_embeddings.search.attempt import Attempt, Neighbours, verdicts
from image_embeddings.search.combined import near_parts
from image_embeddings.search.opened_index import OpenedIndex
from image_embeddings.search.request import (
    Indexed,
    Limits,
    Part,
    check_range,
    clean_parts,
    clean_text,
    make_options,
    weigh_words,
)
from image_embeddings.search.result import SearchResult
from image_embeddings.search.stopwatch import Stopwatch
from image_embeddings.text_model.choice import LOCAL, TextPath, TextPaths

if TYPE_CHECKING:
    from typing_extensions import Unpack

# What Elasticsearch answers to a search, and to a request for one document, if it removes the index meanwhile.
_INDEX_LOST = ("search_phase_execution_exception", "no_shard_available_action_exception", PARTIAL_ANSWER)
ATTEMPTS = 3  # of one search, if the index is replaced while it runs


class ImageSearch:
    """Search of one index with the models that it was built with.

    `encoder_for` makes the encoder for the model of an index. It is called at the first use, and again if another index
    replaces the one behind the name. `text_paths` chooses who encodes texts. By default, that encoder does.
    `thoroughness` says how many photos each search weighs. Several threads may use the object at the same time.
    """

    def __init__(
        self,
        index: ImageIndex,
        *,
        encoder_for: Callable[[ModelInfo], Encoder],
        text_paths: TextPaths | None = None,
        thoroughness: Thoroughness | None = None,
    ) -> None:
        self.index = index
        self.thoroughness = thoroughness or Thoroughness()
        self.text_paths = text_paths or TextPaths(LOCAL)
        self._encoder_for = encoder_for
        self._lock = threading.Lock()
        self._opened: OpenedIndex | None = None

    def by_text(self, text: str, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """Return the k photos whose embeddings are nearest to that of `text`, in any language the model knows.

        Photos that have all words of the text that say something in their names, captions or labels rank higher, unless
        `words` is False. The result says whether the model knows what the text means (`understood`).
        """
        text = clean_text(text)
        return self._search(
            lambda attempt: attempt.near_text(text), k=k, offset=offset, words=text, has_texts=True, limits=limits
        )

    def by_image(self, image: Image.Image, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """Return the k photos nearest to an upright RGB image, which need not be in the index."""

        def near_image(attempt: Attempt) -> Neighbours:
            embedding = attempt.opened.encode_image(image, attempt.stopwatch)
            return attempt.near(embedding, kind=QueryKind.PHOTO)

        return self._search(near_image, k=k, offset=offset, limits=limits)

    def like(self, image_id: str, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """Return the k photos nearest to an indexed one, without that one. No encoder is needed.

        Raise ImageNotFoundError if there is no such photo in the index.
        """
        if not image_id:
            raise QueryError("The image_id is empty. Name a photo of the index.")

        def near_indexed(attempt: Attempt) -> Neighbours:
            index, options = attempt.index, attempt.options
            with attempt.stopwatch.stage("search"):
                raw = index.nearest.to_photo(image_id, k=attempt.k, offset=attempt.offset, options=options)
                embeddings = [index.documents.embedding(image_id)] if options.verdict else []
            return Neighbours(raw=raw, targets=[WeightedEmbedding(each, QueryKind.PHOTO) for each in embeddings])

        return self._search(near_indexed, k=k, offset=offset, limits=limits)

    def by_parts(
        self, parts: Sequence[Part], *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]
    ) -> SearchResult:
        """Return the k photos nearest to several texts and photos together. They are unlike parts of negative weight.

        Indexed photos of positive weight are not among the hits.

        Raise QueryError if there are no parts or too many, if none has a positive weight, or if they cancel each other
        out. Raise ImageNotFoundError if one of the photos is not in the index.
        """
        parts = clean_parts(parts)
        if len(parts) == 1:
            return self._by_part(parts[0], k=k, offset=offset, limits=limits)
        words = " ".join(part.what for part in parts if isinstance(part.what, str) and part.weight > 0)
        without = tuple(part.what.image_id for part in parts if isinstance(part.what, Indexed) and part.weight > 0)
        return self._search(
            lambda attempt: near_parts(parts, attempt),
            k=k,
            offset=offset,
            words=words,
            without=without,
            has_texts=any(isinstance(part.what, str) for part in parts),
            limits=limits,
        )

    def _by_part(self, part: Part, *, k: int, offset: int, limits: Limits) -> SearchResult:
        if isinstance(part.what, str):
            return self.by_text(part.what, k=k, offset=offset, **limits)
        if isinstance(part.what, Indexed):
            return self.like(part.what.image_id, k=k, offset=offset, **limits)
        return self.by_image(part.what, k=k, offset=offset, **limits)

    def browse(self, *, k: int = 10, offset: int = 0, **limits: Unpack[Limits]) -> SearchResult:
        """Return the photos that pass the filters, the latest first unless `sort` says otherwise."""

        def browse(attempt: Attempt) -> Neighbours:
            with attempt.stopwatch.stage("search"):
                raw = attempt.index.nearest.browse(k=attempt.k, offset=attempt.offset, options=attempt.options)
            return Neighbours(raw=raw)

        return self._search(browse, k=k, offset=offset, limits=limits, ranked=False)

    def get(self, image_id: str) -> ImageDocument:
        """Return the document of an indexed photo. Raise ImageNotFoundError if it is not in the index."""
        return self.index.documents.get(image_id)

    def get_many(self, image_ids: Sequence[str]) -> dict[str, ImageDocument]:
        """Return the documents of indexed photos by image_id, in one request.

        Raise ImageNotFoundError if one of them is not in the index.
        """
        return self.index.documents.get_many(image_ids)

    def warm_up(self) -> None:
        """Load what the next search needs, so that it does not have to wait.

        If Elasticsearch encodes texts, the encoder may be missing: texts can be searched for without it.
        """
        opened = self._open(Stopwatch())
        if opened.is_replaced(self.index):
            self._forget(opened)
            opened = self._open(Stopwatch())
        # If only Elasticsearch may encode texts, it is asked anew. Nothing else shows whether searches by text work.
        look = self.text_paths.choose if self.text_paths.may_stand_in else self.text_paths.report
        path = look(self.index.cluster, opened.state.model)
        try:
            encoder = opened.encoder(Stopwatch())
        except ModelUnavailableError:
            if path.encoder == LOCAL:
                raise
        else:
            if path.encoder == LOCAL:
                encoder.encode_texts(["a photo"])
            opened.calibrate_texts(self.index, Stopwatch())

    def text_encoder(self) -> dict[str, str | None]:
        """Return who encodes texts now, and why. `used` is None if nobody can."""
        try:
            path = self.text_path()
        except (ModelError, ElasticsearchError) as error:
            return {"used": None, "text_model_id": None, "why": str(error)}
        return {"used": path.encoder, "text_model_id": path.model_id, "why": path.why}

    def text_path(self) -> TextPath:
        """Return who encodes texts now.

        Raise ModelError, PermissionDeniedError or RequestError if nobody can.
        """
        return self.text_paths.report(self.index.cluster, self.index.state().model)

    def _search(
        self,
        find: Callable[[Attempt], Neighbours],
        *,
        k: int,
        offset: int,
        limits: Limits,
        words: str = "",
        without: tuple[str, ...] = (),
        has_texts: bool = False,
        ranked: bool = True,
    ) -> SearchResult:
        """Return the result of `find`. Call it again if the index is replaced while it searches.

        If the search is `ranked` and its hits are sorted by date, they are only those that are known to match. If none
        is known to match, they are all of the nearest.
        """
        check_range(k, offset)
        stopwatch = Stopwatch()
        options = replace(make_options(limits, words=words, without=without), thoroughness=self.thoroughness)
        for attempt_number in range(1, ATTEMPTS + 1):
            opened = self._opened or self._open(stopwatch)
            if options.verdict:
                opened.renew_state(self.index)
            if has_texts:
                opened.calibrate_texts(self.index, stopwatch)
            attempt = Attempt(
                index=self.index,
                opened=opened,
                text_paths=self.text_paths,
                stopwatch=stopwatch,
                k=k,
                offset=offset,
                options=weigh_words(
                    replace(options, vector_index_type=opened.state.vector_index_type), opened.state.calibration
                ),
            )
            try:
                if ranked and options.sort != RELEVANCE:
                    attempt = _among_matching(find, attempt)
                neighbours = find(attempt)
            except (RequestError, ModelError) as error:  # for example if the dims are not the index's
                if not (_is_index_lost(error) and attempt_number < ATTEMPTS) and not opened.is_replaced(self.index):
                    raise
            else:
                if neighbours.raw.backing_index in (None, opened.state.backing_index) and not (
                    neighbours.raw.partial and opened.is_replaced(self.index)  # it was being removed
                ):
                    return _result(neighbours, attempt)
            self._forget(opened)  # the index was replaced: its embeddings may be those of another model
        raise IndexMissingError(f"The index '{self.index.name}' is being replaced just now. Try again in a moment.")

    def _open(self, stopwatch: Stopwatch) -> OpenedIndex:
        with self._lock, stopwatch.stage("load"):
            if self._opened is None:
                self._opened = OpenedIndex(self.index.state(), encoder_for=self._encoder_for, lock=self._lock)
            return self._opened

    def _forget(self, opened: OpenedIndex) -> None:
        with self._lock:
            if self._opened is opened:
                self._opened = None


def _among_matching(find: Callable[[Attempt], Neighbours], attempt: Attempt) -> Attempt:
    """Return the same attempt, limited to those of the nearest photos that match.

    If none is known to match, it is limited to all of the nearest photos.
    """
    options = replace(attempt.options, sort=RELEVANCE, facets=False, verdict=True, fold=False)
    nearest = find(replace(attempt, k=BY_DATE_DEPTH, offset=0, options=options))
    image_ids = [hit.document.image_id for hit in nearest.raw.hits]
    told = verdicts(nearest, attempt.opened.state.calibration)
    matching = [image_id for image_id, matches in zip(image_ids, told, strict=True) if matches]
    among = replace(attempt.options, among=matching or image_ids)
    return replace(attempt, options=among, left_out=nearest.raw.left_out, partial=nearest.raw.partial)


def _is_index_lost(error: Exception) -> bool:
    """Return whether the index was removed during the search.

    Elasticsearch removes the old index before it gives the alias to the next one.
    """
    return isinstance(error, RequestError) and error.kind in _INDEX_LOST and error.status in (404, 503)


def _result(neighbours: Neighbours, attempt: Attempt) -> SearchResult:
    state, raw, path = attempt.opened.state, neighbours.raw, neighbours.path
    told = verdicts(neighbours, state.calibration if attempt.options.verdict else None)
    hits = tuple(
        hit if hit.matches is matches else replace(hit, matches=matches)
        for hit, matches in zip(raw.hits, told, strict=True)
    )
    return SearchResult(
        hits=fold_near_duplicates(hits) if attempt.options.fold else hits,
        total=raw.total,
        matching=raw.matching,
        facets=raw.facets,
        backing_index=raw.backing_index,
        left_out=attempt.left_out + raw.left_out,
        partial=raw.partial or attempt.partial,
        model_id=state.model.model_id,
        text_encoder=path.encoder if path else None,
        text_model_id=path.model_id if path else None,
        understood=neighbours.understood,
        note=path.note if path else None,
        listed=len(attempt.options.among) or None,
        took_ms=attempt.stopwatch.took_ms(),
    )
