"""What can be searched for, and how a search may be limited. It is checked before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from PIL import Image

from image_embeddings.calibration.likeness import Calibration
from image_embeddings.errors import QueryError
from image_embeddings.es import queries
from image_embeddings.es.filters import Filters
from image_embeddings.es.queries import RELEVANCE, SORTS, SearchOptions

MAX_K = 1_000
MAX_DEPTH = queries.MAX_NUM_CANDIDATES  # k + offset at most
MAX_TEXT = 1_000  # characters of a query
MAX_PARTS = 10
MAX_WEIGHT = 10.0
WORDS = 0.5  # spreads of the similarity that one unit of BM25 counts: docs/benchmarks.md


class Limits(TypedDict, total=False):
    """What every search may be limited by, besides k and offset."""

    filters: Filters
    sort: str  # of SORTS: relevance, or of the nearest photos, those that match by date: newest or oldest first
    words: bool  # whether words of a text are looked for in names, captions and labels (default), or not
    facets: bool  # whether to count the photos of each kind (default: no)
    verdict: bool  # whether to say which hits really match (default: no)
    fold: bool  # whether near-duplicates are folded under the first of them (default: no)


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """A photo of the index."""

    image_id: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of several things to search for together: a text, an upright RGB image, or a photo of the index."""

    what: str | Image.Image | Indexed
    weight: float = 1.0  # below zero: hits are to be unlike it


def clean_text(text: str) -> str:
    """Return the text of a query in one line. Raise QueryError if it is empty or too long."""
    text = " ".join(text.split())
    if not text:
        raise QueryError("The search text is empty. Type what the photo shows, in your own words.")
    if len(text) > MAX_TEXT:
        raise QueryError(f"The search text has {len(text)} characters; {MAX_TEXT} at most. A sentence is enough.")
    return text


def clean_parts(parts: Sequence[Part]) -> list[Part]:
    """Return the parts of a query, their texts in one line.

    Raise QueryError, which says why, if they cannot be searched for together.
    """
    if not parts:
        raise QueryError("There is nothing to search for. Give a text or a photo.")
    if len(parts) > MAX_PARTS:
        raise QueryError(f"The query has {len(parts)} parts; {MAX_PARTS} at most.")
    if not any(part.weight > 0 for part in parts):
        raise QueryError("Everything is to be left out. Give a text or a photo to search for, too.")
    for part in parts:
        if not 0 < abs(part.weight) <= MAX_WEIGHT:  # also if it is not a number
            raise QueryError(f"A weight is {part.weight}. It is a number up to {MAX_WEIGHT}, below zero to leave out.")
    return [replace(part, what=clean_text(part.what)) if isinstance(part.what, str) else part for part in parts]


def make_options(limits: Limits, *, words: str, without: tuple[str, ...]) -> SearchOptions:
    """Return what a search asks for besides the nearest photos.

    Raise QueryError if it cannot be sorted that way, or if its filters contradict each other.
    """
    sort = limits.get("sort", RELEVANCE)
    if sort not in SORTS:
        raise QueryError(f"sort is '{sort}'. It is one of {', '.join(SORTS)}.")
    filters = limits.get("filters", Filters())
    filters.check_together()
    return SearchOptions(
        filters=filters,
        without=without,
        words=words if limits.get("words", True) else "",
        sort=sort,
        facets=limits.get("facets", False),
        embeddings=limits.get("verdict", False),
    )


def weigh_words(options: SearchOptions, calibration: Calibration | None) -> SearchOptions:
    """Return the search with its words weighed against the embedding, by how much similarities to texts usually spread.

    It is left as it is if it has no words, or if that is not known.
    """
    usual = calibration.text if calibration else None
    if not (options.words and usual):
        return options
    far_score = max(0.0, (1 + usual.mean_similarity) / 2)
    return replace(options, word_weight=WORDS * usual.similarity_spread / 2, far_score=far_score)


def check_range(k: int, offset: int) -> None:
    """Raise QueryError if `k` hits cannot be had after the first `offset` ones."""
    if not 1 <= k <= MAX_K:
        raise QueryError(f"k is {k}. It is the number of photos wanted, from 1 to {MAX_K}.")
    if not 0 <= offset <= MAX_DEPTH - k:
        raise QueryError(f"offset is {offset}. It is the number of photos to pass over, from 0 to {MAX_DEPTH - k}.")
