"""What can be searched for, and how a search can be limited. All of it is checked before a request is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from PIL import Image

from image_embeddings.calibration.likeness import Calibration, expected_top
from image_embeddings.errors import QueryError
from image_embeddings.es import queries
from image_embeddings.es.filters import Filters
from image_embeddings.es.queries import RELEVANCE, SORTS, SearchOptions
from image_embeddings.words.terms import terms_of

MAX_K = 1_000
MAX_DEPTH = queries.MAX_NUM_CANDIDATES  # k + offset, at most
MAX_TEXT = 1_000  # characters of a query, at most
MAX_PARTS = 10
MIN_WEIGHT, MAX_WEIGHT = 0.01, 10.0  # of a part, whether wanted or not
WORDS = 0.5  # one unit of BM25 counts as so many spreads of the similarity: docs/benchmarks.md


class Limits(TypedDict, total=False):
    """What every search can be limited by, besides k and offset."""

    filters: Filters
    sort: str  # one of SORTS: relevance, or newest or oldest first, of those nearest photos that match
    words: bool  # whether to look for words of a text in names, captions and labels (default: yes)
    facets: bool  # whether to count the photos of each kind (default: no)
    verdict: bool  # whether to say which hits really match (default: no)
    fold: bool  # whether to fold near-duplicates under the first of them (default: no)
    partial: bool  # whether it will do to search only what can be searched at the moment (default: no)


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """A photo of the index."""

    image_id: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a combined query: a text, an upright RGB image, or a photo of the index."""

    what: str | Image.Image | Indexed
    weight: float = 1.0  # below zero: hits should be unlike it


def clean_text(text: str) -> str:
    """Return the text of a query as one line. Raise QueryError if it is empty or too long."""
    text = " ".join(text.split())
    if not text:
        raise QueryError("The search text is empty. Type what the photo shows, in your own words.")
    if len(text) > MAX_TEXT:
        raise QueryError(f"The search text has {len(text)} characters; {MAX_TEXT} at most. A sentence is enough.")
    return text


def clean_parts(parts: Sequence[Part]) -> list[Part]:
    """Return the parts of a query, each text as one line.

    Raise QueryError, which says why, if they cannot be searched for together.
    """
    if not parts:
        raise QueryError("There is nothing to search for. Give a text or a photo.")
    if len(parts) > MAX_PARTS:
        raise QueryError(f"The query has {len(parts)} parts; {MAX_PARTS} at most.")
    if not any(part.weight > 0 for part in parts):
        raise QueryError("Everything is to be left out. Give a text or a photo to search for, too.")
    for part in parts:
        if not MIN_WEIGHT <= abs(part.weight) <= MAX_WEIGHT:  # this also refuses NaN
            raise QueryError(
                f"A weight is {part.weight}. It is from {MIN_WEIGHT} to {MAX_WEIGHT}, below zero to leave out."
            )
    return [replace(part, what=clean_text(part.what)) if isinstance(part.what, str) else part for part in parts]


def make_options(limits: Limits, *, words: str, without: tuple[str, ...]) -> SearchOptions:
    """Return what a search asks for besides the nearest photos.

    `words` is a text, or several. Raise QueryError if there is no such order, or if the filters contradict each other.
    """
    sort = limits.get("sort", RELEVANCE)
    if sort not in SORTS:
        raise QueryError(f"sort is '{sort}'. It is one of {', '.join(SORTS)}.")
    filters = limits.get("filters", Filters())
    filters.check_together()
    return SearchOptions(
        filters=filters,
        without=without,
        terms=terms_of(words) if limits.get("words", True) else (),
        sort=sort,
        facets=limits.get("facets", False),
        verdict=limits.get("verdict", False),
        fold=limits.get("fold", False),
        partial=limits.get("partial", False),
    )


def weigh_words(options: SearchOptions, calibration: Calibration | None) -> SearchOptions:
    """Return the options with a weight of words that fits the index, whose similarities to texts have their own spread.

    A photo that has all the words of a text matches it. So it gets at least the score of a photo that just matches by
    its embedding, and does not stand below photos that match neither way. Return the options unchanged if there are no
    terms, or if it is not known what is usual in the index.
    """
    usual = calibration.text if calibration else None
    if not (options.terms and calibration and usual):
        return options
    similarity = usual.mean_similarity + expected_top(calibration.photos) * usual.similarity_spread
    all_words_score = min(max(0.0, (1 + similarity) / 2), 1.0)
    return replace(options, word_weight=WORDS * usual.similarity_spread / 2, all_words_score=all_words_score)


def check_range(k: int, offset: int) -> None:
    """Raise QueryError if a search cannot return `k` hits after the first `offset` ones."""
    if not 1 <= k <= MAX_K:
        raise QueryError(f"k is {k}. It is the number of photos wanted, from 1 to {MAX_K}.")
    if not 0 <= offset <= MAX_DEPTH - k:
        raise QueryError(f"offset is {offset}. It is the number of photos to pass over, from 0 to {MAX_DEPTH - k}.")
