"""The photos of an index that are nearest to an embedding, a text or another photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from image_embeddings.documents import JSON, Embedding, Facets, ImageDocument
from image_embeddings.errors import RequestError
from image_embeddings.es import queries
from image_embeddings.es.document_source import read_hits
from image_embeddings.es.documents import Documents, check_image_id
from image_embeddings.es.filters import facets_of
from image_embeddings.es.index_client import IndexClient
from image_embeddings.es.queries import SearchOptions

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

LOOKUP_SINCE = (9, 4)
SCORE_DIGITS = 7  # after the point; Elasticsearch's scores are numbers of 32 bits


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One photo that was found."""

    rank: int  # from 1
    # (1 + cosine) / 2 of its embedding; None if only its words were found, or if there is no query.
    score: float | None
    document: ImageDocument
    # All words of the text that say something are in the photo's name, caption or label. They raise its rank.
    by_words: bool = False
    matches: bool | None = None  # whether it really matches; None if nobody asked, or if it is not known
    folded: tuple[Hit, ...] = ()  # its near-duplicates, if the search folds them
    embedding: Embedding | None = field(default=None, repr=False, compare=False)  # None if nobody asked for it

    @property
    def image_id(self) -> str:
        """Return the image_id of the photo."""
        return self.document.image_id

    @property
    def similarity(self) -> float | None:
        """Return the raw cosine of query and photo, in [-1, 1], or None if there is no query."""
        return None if self.score is None else round(2 * self.score - 1, SCORE_DIGITS)


@dataclass(frozen=True, kw_only=True)
class RawResult:
    """The answer of an index to one search: the hits, best first, and how many photos there are."""

    hits: tuple[Hit, ...]
    total: int  # photos in the index
    matching: int  # photos that pass the filters: all, if there are none
    facets: Facets | None = None  # None if nobody asked for them
    backing_index: str | None = None  # the index behind the alias, which answered; None without hits
    left_out: tuple[str, ...] = ()  # `_id`s of documents that were found, but that this program did not write
    partial: bool = False  # some photos could not be searched: they lack in hits and numbers

    @property
    def relevant(self) -> int | None:
        """Return the number of hits up to the last one that really matches, or None if that is not known."""
        if not self.hits or any(hit.matches is None for hit in self.hits):
            return None
        return max((place for place, hit in enumerate(self.hits, start=1) if hit.matches), default=0)


class Nearest:
    """The kNN searches of one index. Every method raises an ElasticsearchError, or IndexMissingError, if it fails.

    `k` is the number of hits after the first `offset` ones. `options` says what else the search asks for.
    """

    def __init__(self, client: IndexClient, documents: Documents) -> None:
        self._client = client
        self._documents = documents

    def to_embedding(
        self, embedding: Embedding, *, k: int, offset: int = 0, options: SearchOptions | None = None
    ) -> RawResult:
        """Return the photos nearest to an embedding, shape (dims,)."""
        return self._search(queries.vector_query(embedding), k=k, offset=offset, options=options)

    def to_text(
        self,
        text: str,
        *,
        model_id: str,
        k: int,
        offset: int = 0,
        options: SearchOptions | None = None,
        seconds: float = 12,
    ) -> RawResult:
        """Return the photos nearest to a text that Elasticsearch encodes itself, with its model `model_id`.

        It is one request, which is sent only once and may take `seconds`.
        """
        query = queries.text_model_query(model_id=model_id, text=text)
        client = self._client.writer.options(request_timeout=seconds, max_retries=0)
        return self._search(query, k=k, offset=offset, options=options, client=client)

    def to_photo(self, image_id: str, *, k: int, offset: int = 0, options: SearchOptions | None = None) -> RawResult:
        """Return the photos nearest to an indexed one, without that one. A server of 9.4 or later needs one request.

        Raise ImageNotFoundError if there is no such photo.
        """
        check_image_id(image_id)
        options = replace(options or SearchOptions(), without=[image_id])
        if self._client.cluster.server_version() < LOOKUP_SINCE:
            return self.to_embedding(self._documents.embedding(image_id), k=k, offset=offset, options=options)
        query = queries.lookup_query(index=self._client.name, image_id=image_id)
        try:
            return self._search(query, k=k, offset=offset, options=options)
        except RequestError:
            self._documents.get(image_id)  # raises if it is the photo that is missing
            # It is there now: a run had removed it, and has added it again.
            return self.to_embedding(self._documents.embedding(image_id), k=k, offset=offset, options=options)

    def browse(self, *, k: int, offset: int = 0, options: SearchOptions | None = None) -> RawResult:
        """Return the photos that pass the filters, by date. There is no query that they are near to."""
        return self._search(None, k=k, offset=offset, options=options)

    def _search(
        self,
        query: JSON | None,
        *,
        k: int,
        offset: int,
        options: SearchOptions | None = None,
        client: Elasticsearch | None = None,
    ) -> RawResult:
        partial = options.partial if options else False
        packed = bool(options and options.with_embeddings) and self._client.reads_packed
        body = queries.photo_search(query, k=k, offset=offset, options=options, packed=packed)
        answer = self._send(body, client, partial=partial)
        counts = answer["aggregations"]["corpus"]
        if options and options.terms:
            rare = queries.rare_terms(options.terms, counts)
            if len(rare) < len(options.terms):  # this is seldom so, and nobody knows it before the answer
                options = replace(options, terms=rare)
                return self._search(query, k=k, offset=offset, options=options, client=client)
        hits = answer["hits"]["hits"]
        scores, is_partial = self._scores(query, hits, client, partial=partial) if query else ({}, False)
        documents, left_out = read_hits(hits)
        return RawResult(
            hits=tuple(
                Hit(
                    rank=rank,
                    score=scores.get(hit["_id"]),
                    document=documents[hit["_id"]],
                    by_words=queries.is_by_words(hit),
                    embedding=queries.embedding_of(hit),
                )
                for rank, hit in enumerate(hits, start=offset + 1)
                if hit["_id"] in documents
            ),
            total=counts["doc_count"],
            matching=counts.get("matching", counts)["doc_count"],
            backing_index=hits[0]["_index"] if hits else None,
            left_out=left_out,
            partial=is_partial or queries.is_partial(answer),
            facets=facets_of(counts, options.filters) if options and options.facets else None,
        )

    def _scores(
        self, query: JSON, hits: list[Mapping[str, Any]], client: Elasticsearch | None, *, partial: bool
    ) -> tuple[dict[str, float | None], bool]:
        """Return image_id -> score of the embedding, and whether some photos could not be searched.

        A second search scores the hits that only words found.
        """
        scores = {hit["_id"]: queries.embedding_score(hit) for hit in hits}
        unscored = [image_id for image_id, score in scores.items() if score is None]
        if not unscored:
            return scores, False
        body = queries.photo_search(query, k=len(unscored), options=SearchOptions(among=unscored))
        answer = self._send(body, client, partial=partial)
        return scores | {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}, queries.is_partial(answer)

    def _send(self, body: JSON, client: Elasticsearch | None, *, partial: bool) -> Mapping[str, Any]:
        # Words weigh what they weigh in the whole index, and not in the shard of each photo. A search without words is
        # a `knn` search, for which Elasticsearch takes no type.
        weighed = {} if "knn" in body else {"search_type": "dfs_query_then_fetch"}
        return self._client.search(body, client=client, partial=partial, include_named_queries_score=True, **weighed)
