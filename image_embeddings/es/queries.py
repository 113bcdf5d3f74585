"""The bodies of kNN searches, and the scores and embeddings of their hits. Pure functions, no I/O."""

from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from image_embeddings.documents import JSON, Embedding
from image_embeddings.es.filters import WALL_TIME, Filters, facet_aggs, matching_agg
from image_embeddings.words.terms import Term

EMBEDDING = "image_embedding"  # the field of the embedding
FINGERPRINT = "fingerprint"
UNDATED_MTIME = "undated_mtime_ns"  # the time of the file, if the photo has no date
RELEVANCE, NEWEST, OLDEST = SORTS = ("relevance", "newest", "oldest")
BY_DATE_DEPTH = 200  # number of nearest photos that are sorted by date
WORD_FIELDS = ("words", "caption", "label_words", "extra_words")
SPELLED_FIELDS = ("caption", "name")  # they are stored as people write, and not split into words by us
# A term that more than this share of the photos have tells none of them from the others. Its weight would be below zero
# by the formula of Robertson and Spärck Jones (1976), which BM25 comes from.
COMMON_SHARE = 0.5
# Share of a further term's weight beside that of the rarest one, if a photo has some terms of the text, but not all.
# Otherwise two usual words would count more than the rare one. docs/benchmarks.md has the figures.
FURTHER_TERMS = 0.3
FEWEST_TO_COUNT = 20  # among fewer photos, no term is called common
BY_EMBEDDING, BY_WORDS = "embedding", "words"  # names of the parts of a hit's score
# Used if it is not known what is usual in the index: the weight of Elasticsearch's BM25 beside (1 + cosine) / 2, and
# the least score of a photo that has all the words, that of cosine 0.
WORD_WEIGHT = 0.02
ALL_WORDS_SCORE = 0.5
_TERMS = "terms"  # name of the counts of the photos that have each term
MAX_NUM_CANDIDATES = 10_000  # Elasticsearch's own limit, also for k
# Quantised index types rank by rounded vectors. So this many times the wanted candidates are scored again on the full
# vectors. This makes the scores exact, and the first k nearly always the true ones. Elasticsearch's default of 3 loses
# some of them, and one bit for each number (bbq) ranks so coarsely that 10 still does: docs/scale.md has the figures.
OVERSAMPLE = {"bbq_hnsw": 30, "bbq_flat": 30}
OTHER_OVERSAMPLE = 10
MAX_OVERSAMPLE = 10  # Elasticsearch's own limit for one clause
# Neighbours that each shard weighs at least. Without filters 100 would do, but a graph is searched less well for photos
# that pass a filter.
NUM_CANDIDATES = 500
WORDS_DEPTH = 100  # number of nearest photos at least that the words of a text are counted for


def vector_query(embedding: Embedding) -> JSON:
    """Return the part of a kNN clause that searches near an embedding, shape (dims,)."""
    return {"query_vector": embedding.tolist()}


def lookup_query(*, index: str, image_id: str) -> JSON:
    """Return the part of a kNN clause that searches near an indexed photo. It needs Elasticsearch 9.4 or later."""
    return {"query_vector_builder": {"lookup": {"index": index, "id": image_id, "path": EMBEDDING}}}


def text_model_query(*, model_id: str, text: str) -> JSON:
    """Return the part of a kNN clause that searches near a text, which Elasticsearch's model `model_id` encodes."""
    return {"query_vector_builder": {"text_embedding": {"model_id": model_id, "model_text": text}}}


@dataclass(frozen=True, kw_only=True)
class Thoroughness:
    """How many photos a search weighs for the few that it finds. More are slower, and miss fewer of the nearest."""

    num_candidates: int = NUM_CANDIDATES  # neighbours that each shard weighs at least
    oversample: int | None = None  # candidates scored again on the full vectors, for each hit; None: by the index type


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a search asks for besides the nearest photos."""

    filters: Filters = field(default_factory=Filters)
    without: Sequence[str] = ()  # image_ids to leave out
    among: Sequence[str] = ()  # the only image_ids to search; empty: all
    terms: Sequence[Term] = ()  # what names, captions and labels have to say, all of it, for a hit by words
    word_weight: float = WORD_WEIGHT
    all_words_score: float = ALL_WORDS_SCORE  # least score of photos that have all terms, before these are counted
    sort: str = RELEVANCE
    facets: bool = False
    verdict: bool = False  # whether the search will say which hits really match, for which it needs embeddings
    fold: bool = False  # whether the search will fold near-duplicates, for which it needs embeddings and fingerprints
    partial: bool = False  # whether hits may lack photos of shards that do not answer
    vector_index_type: str = ""  # of the index; it decides how many candidates are scored again
    thoroughness: Thoroughness = Thoroughness()

    @property
    def with_embeddings(self) -> bool:
        """Whether the embeddings come with the hits."""
        return self.verdict or self.fold


def photo_search(
    query: Mapping[str, Any] | None,
    *,
    k: int,
    offset: int = 0,
    options: SearchOptions | None = None,
    packed: bool = False,
) -> JSON:
    """Return the body of a search for the k nearest photos after the first `offset` ones, and for the index's size.

    `query` is one of the `*_query` parts above. Without one, the search is for all photos, by date. If embeddings come
    with the hits, they are `packed` in base64, which needs Elasticsearch 9.4 or later, or written as numbers.
    """
    options = options or SearchOptions()
    filters = options.filters.all_clauses() + ([without(options.without)] if options.without else [])
    filters += [_ids(options.among)] if options.among else []
    inner = {"matching": matching_agg(options.filters)} if options.filters or options.facets else {}
    inner |= facet_aggs(options.filters) if options.facets else {}
    inner |= {_TERMS: {"filters": {"filters": list(map(_has_term, options.terms))}}} if options.terms else {}
    page: JSON = {
        "from": offset,
        "size": k,
        "_source": {"excludes": [EMBEDDING] if options.fold else [EMBEDDING, FINGERPRINT]},
        **(embedding_field(packed=packed) if options.with_embeddings else {}),
        "aggs": {"corpus": {"global": {}, **({"aggs": inner} if inner else {})}},
    }
    if query is None:
        return {"query": {"bool": {"filter": filters}}, "sort": by_date(options.sort), **page}
    depth = k + offset if options.sort == RELEVANCE else BY_DATE_DEPTH
    knn = _knn(query, depth=depth, filters=filters, options=options)
    ranked = _with_words(knn, options, filters, depth=depth) if options.terms else {"knn": knn}
    if options.sort != RELEVANCE:
        return {"query": ranked, "sort": by_date(options.sort), "track_scores": True, **page}
    return {"query": ranked, **page} if options.terms else {**ranked, **page}


def embedding_field(*, packed: bool) -> JSON:
    """Return the part of a search that asks for the embedding of each hit, `packed` as in `photo_search`."""
    return {"docvalue_fields": [{"field": EMBEDDING, "format": "binary"}]} if packed else {"fields": [EMBEDDING]}


def embedding_of(hit: Mapping[str, Any]) -> Embedding | None:
    """Return the embedding that comes with a hit, shape (dims,), or None if there is none."""
    values = hit.get("fields", {}).get(EMBEDDING)
    if not values:
        return None
    if isinstance(values[0], str):
        return np.frombuffer(a2b_base64(values[0]), ">f4").astype(np.float32)
    return np.fromiter(values, np.float32, len(values))


def usual_oversample(vector_index_type: str) -> int:
    """Return how many candidates for each hit are scored again on the full vectors, if no setting says it."""
    return OVERSAMPLE.get(vector_index_type, OTHER_OVERSAMPLE)


def _knn(query: Mapping[str, Any], *, depth: int, filters: Sequence[JSON], options: SearchOptions) -> JSON:
    """Return the clause that finds at least the `depth` nearest photos.

    Elasticsearch scores at most MAX_OVERSAMPLE candidates again for each photo that the clause finds. If more are
    wanted, it finds more photos. A search by date takes all that are found, so it cannot.
    """
    wanted = options.thoroughness.oversample or usual_oversample(options.vector_index_type)
    rescored = min(wanted * depth, MAX_NUM_CANDIDATES)
    k = max(depth, ceil(rescored / MAX_OVERSAMPLE)) if options.sort == RELEVANCE else depth
    return {
        "field": EMBEDDING,
        "k": k,
        "num_candidates": min(max(options.thoroughness.num_candidates, 2 * depth, k), MAX_NUM_CANDIDATES),
        "rescore_vector": {"oversample": min(max(1.0, rescored / k), MAX_OVERSAMPLE)},
        **query,
        **({"filter": list(filters)} if filters else {}),
    }


def _with_words(knn: JSON, options: SearchOptions, filters: Sequence[JSON], *, depth: int) -> JSON:
    """Return a query that adds, to the score of the embedding, a score for the terms of the text that a photo has.

    Only a photo that has all of them is found by words. It is found also if it is not among the nearest, and gets at
    least `all_words_score` for its embedding. Else the rarest term counts most.
    """
    terms = list(map(_has_term, options.terms))
    own = {"bool": {"filter": [*terms, *filters]}}
    all_terms = {"bool": {"must": terms, "_name": BY_WORDS}}
    weighed = min(max(WORDS_DEPTH, 2 * depth, knn["k"]), knn["num_candidates"])
    nearest = {"knn": {**knn, "k": weighed, "_name": BY_EMBEDDING}}
    either = {"dis_max": {"queries": [nearest, {"constant_score": {"filter": own, "boost": options.all_words_score}}]}}
    rarest = {"dis_max": {"queries": [all_terms, *terms], "boost": options.word_weight, "tie_breaker": FURTHER_TERMS}}
    return {"bool": {"must": either, "should": rarest}}


def _has_term(term: Term) -> JSON:
    """Return a query for the photos that have a term among their own words."""
    queries = [_phrase(phrase, WORD_FIELDS) for phrase in term.phrases]
    if term.spelling not in term.phrases:
        queries += [_phrase(spelling, SPELLED_FIELDS) for spelling in term.spellings()]
        queries.append({"term": {"image_id": term.spelling}})
    return {"dis_max": {"queries": queries}} if len(queries) > 1 else queries[0]


def _phrase(words: str, fields: Sequence[str]) -> JSON:
    """Return a query for words that stand next to each other in a field."""
    return {"multi_match": {"query": words, "fields": list(fields), "type": "phrase"}}


def rare_terms(terms: Sequence[Term], counts: Mapping[str, Any]) -> tuple[Term, ...]:
    """Return those of the terms of a search that at most COMMON_SHARE of the index's photos have.

    `counts` is the `corpus` aggregation of the answer.
    """
    total, buckets = counts["doc_count"], counts.get(_TERMS, {}).get("buckets", ())
    most = COMMON_SHARE * total if total >= FEWEST_TO_COUNT else total
    return tuple(term for term, bucket in zip(terms, buckets, strict=True) if bucket["doc_count"] <= most)


def by_date(sort: str = NEWEST) -> list[JSON]:
    """Return the sort order by the time on the clock at the place of the photo.

    Photos of one moment come in the order of their names, as a camera numbers them. Photos without a date come last, by
    the time of their files.
    """
    order = "asc" if sort == OLDEST else "desc"
    return [
        {field: {"order": order, "missing": "_last", "unmapped_type": kind}}
        for field, kind in ((WALL_TIME, "date"), (UNDATED_MTIME, "long"), ("image_id", "keyword"))
    ]


def without(image_ids: Sequence[str]) -> JSON:
    """Return a filter that leaves out these photos."""
    return {"bool": {"must_not": _ids(image_ids)}}


def _ids(image_ids: Sequence[str]) -> JSON:
    return {"ids": {"values": list(image_ids)}}


def is_partial(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer lacks the photos of a shard."""
    shards = answer["_shards"]
    return bool(shards["failed"] or shards["successful"] < shards["total"] or answer["timed_out"])


def embedding_score(hit: Mapping[str, Any]) -> float | None:
    """Return the score of a hit's embedding, (1 + cosine) / 2, or None if only its words were found."""
    parts = hit.get("matched_queries")
    score = hit["_score"] if parts is None else parts.get(BY_EMBEDDING)
    return None if score is None else float(score)


def is_by_words(hit: Mapping[str, Any]) -> bool:
    """Return whether all terms of the text are among the photo's own words."""
    return BY_WORDS in hit.get("matched_queries", ())
