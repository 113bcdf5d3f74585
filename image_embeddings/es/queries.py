"""The bodies of kNN searches. Pure functions, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_embeddings.documents import JSON, Embedding
from image_embeddings.es.filters import Filters, facet_aggs, matching_agg
from image_embeddings.es.mapping import EMBEDDING, words_of

RELEVANCE, NEWEST, OLDEST = SORTS = ("relevance", "newest", "oldest")
BY_DATE_DEPTH = 200  # nearest photos that are sorted by date
WORD_FIELDS = ("words", "caption", "label_words", "extra_words")
BY_EMBEDDING, BY_WORDS = "embedding", "words"  # names of the parts of a hit's score
# Of Elasticsearch's BM25 beside (1 + cosine) / 2, and cosine 0: where it is not known what is usual in the index.
WORD_WEIGHT = 0.02
FAR_SCORE = 0.5
MAX_NUM_CANDIDATES = 10_000  # Elasticsearch's own limit, for k too
# Quantised index types rank by rounded vectors. Scoring three times as many candidates again on the full ones makes the
# scores exact, and the first k nearly always the true ones; Elasticsearch's own default for bbq_hnsw.
RESCORE_OVERSAMPLE = 3.0


def vector_query(embedding: Embedding) -> JSON:
    """The part of a kNN clause that searches near an embedding at hand."""
    return {"query_vector": embedding.tolist()}


def lookup_query(*, index: str, image_id: str) -> JSON:
    """The part of a kNN clause that searches near an indexed photo; Elasticsearch 9.4 and later."""
    return {"query_vector_builder": {"lookup": {"index": index, "id": image_id, "path": EMBEDDING}}}


def text_model_query(*, model_id: str, text: str) -> JSON:
    """The part of a kNN clause that has Elasticsearch encode the text, by the model it runs under `model_id`."""
    return {"query_vector_builder": {"text_embedding": {"model_id": model_id, "model_text": text}}}


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What else a search asks for, besides the nearest photos."""

    filters: Filters = field(default_factory=Filters)
    without: Sequence[str] = ()  # image_ids that are left out
    among: Sequence[str] = ()  # image_ids that alone are looked at; none: all
    words: str = ""  # a text whose words are looked for in names, captions and labels too
    word_weight: float = WORD_WEIGHT
    far_score: float = FAR_SCORE  # of photos that have the words and are not among the nearest
    sort: str = RELEVANCE
    facets: bool = False
    embeddings: bool = False  # of the hits


def photo_search(
    query: Mapping[str, Any] | None,
    *,
    k: int,
    offset: int = 0,
    options: SearchOptions | None = None,
) -> JSON:
    """A search for the k nearest photos after the first `offset` ones, with the size of the whole index beside them.

    `query` is one of the `*_query` parts above; without one, all photos come, by date.
    """
    options = options or SearchOptions()
    filters = options.filters.all_clauses() + ([without(options.without)] if options.without else [])
    filters += [_ids(options.among)] if options.among else []
    counts = facet_aggs(options.filters) if options.facets else {}
    inner = {"matching": matching_agg(options.filters), **counts} if options.filters or options.facets else {}
    page: JSON = {
        "from": offset,
        "size": k,
        "_source": {"excludes": [EMBEDDING]},
        **({"fields": [EMBEDDING]} if options.embeddings else {}),
        "aggs": {"corpus": {"global": {}, **({"aggs": inner} if inner else {})}},
    }
    if query is None:
        return {"query": {"bool": {"filter": filters}}, "sort": by_date(options.sort), **page}
    knn = _knn(query, depth=k + offset if options.sort == RELEVANCE else BY_DATE_DEPTH, filters=filters)
    ranked = _with_words(knn, options, filters) if options.words else {"knn": knn}
    if options.sort != RELEVANCE:
        return {"query": ranked, "sort": by_date(options.sort), "track_scores": True, **page}
    return {"query": ranked, **page} if options.words else {**ranked, **page}


def _knn(query: Mapping[str, Any], *, depth: int, filters: Sequence[JSON]) -> JSON:
    return {
        "field": EMBEDDING,
        "k": depth,
        "num_candidates": min(max(100, 2 * depth), MAX_NUM_CANDIDATES),
        "rescore_vector": {"oversample": RESCORE_OVERSAMPLE},
        **query,
        **({"filter": list(filters)} if filters else {}),
    }


def _with_words(knn: JSON, options: SearchOptions, filters: Sequence[JSON]) -> JSON:
    """A query whose score is that of the embedding, and so much more as words of the text are in the photo's own.

    Photos that have the words and are not among the nearest count as if they were as near as most are to anything.
    """
    words = {"query": words_of([options.words]), "fields": list(WORD_FIELDS), "type": "cross_fields"}
    own = {"bool": {"must": {"multi_match": words}, "filter": list(filters)}}
    found = {
        "bool": {
            "must": {"multi_match": {**words, "boost": options.word_weight}},
            "filter": list(filters),
            "_name": BY_WORDS,
        }
    }
    nearest = {"knn": {**knn, "k": knn["num_candidates"], "_name": BY_EMBEDDING}}
    either = {"dis_max": {"queries": [nearest, {"constant_score": {"filter": own, "boost": options.far_score}}]}}
    return {"bool": {"should": [either, found]}}


def by_date(sort: str = NEWEST) -> list[JSON]:
    """The order of the dates photos were taken on; those without one come last."""
    order = "asc" if sort == OLDEST else "desc"
    return [{"taken": {"order": order, "missing": "_last"}}, {"mtime_ns": order}]


def without(image_ids: Sequence[str]) -> JSON:
    """A filter that leaves photos out."""
    return {"bool": {"must_not": _ids(image_ids)}}


def _ids(image_ids: Sequence[str]) -> JSON:
    return {"ids": {"values": list(image_ids)}}


def embedding_score(hit: Mapping[str, Any]) -> float | None:
    """What a hit's embedding scored, (1 + cosine) / 2; None where only its words were found."""
    parts = hit.get("matched_queries")
    score = hit["_score"] if parts is None else parts.get(BY_EMBEDDING)
    return None if score is None else float(score)


def is_by_words(hit: Mapping[str, Any]) -> bool:
    """Whether words of the text are the photo's own."""
    return BY_WORDS in hit.get("matched_queries", ())
