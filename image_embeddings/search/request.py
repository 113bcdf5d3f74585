"""What can be searched for, and how a search may be limited: checked before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from PIL import Image

from image_embeddings.errors import QueryError
from image_embeddings.es import queries
from image_embeddings.es.filters import Filters
from image_embeddings.es.queries import RELEVANCE, SORTS, Shape

MAX_K = 1_000
MAX_DEPTH = queries.MAX_NUM_CANDIDATES  # k + offset at most
MAX_TEXT = 1_000  # characters of a query
MAX_PARTS = 10
MAX_WEIGHT = 10.0


class Limits(TypedDict, total=False):
    """What every search may be limited by."""

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


def checked_text(text: str) -> str:
    """The text of a query in one line.

    Raises:
        QueryError: it is empty or too long.
    """
    text = " ".join(text.split())
    if not text:
        raise QueryError("The search text is empty. Type what the photo shows, in your own words.")
    if len(text) > MAX_TEXT:
        raise QueryError(f"The search text has {len(text)} characters; {MAX_TEXT} at most. A sentence is enough.")
    return text


def checked_parts(parts: Sequence[Part]) -> list[Part]:
    """The parts of a query, their texts in one line.

    Raises:
        QueryError: they cannot be searched for together; says why.
    """
    if not parts:
        raise QueryError("There is nothing to search for. Give a text or a photo.")
    if len(parts) > MAX_PARTS:
        raise QueryError(f"The query has {len(parts)} parts; {MAX_PARTS} at most.")
    if not any(part.weight > 0 for part in parts):
        raise QueryError("Everything is to be left out. Give a text or a photo to search for, too.")
    for part in parts:
        if not 0 < abs(part.weight) <= MAX_WEIGHT:  # also where it is not a number
            raise QueryError(f"A weight is {part.weight}. It is a number up to {MAX_WEIGHT}, below zero to leave out.")
    return [replace(part, what=checked_text(part.what)) if isinstance(part.what, str) else part for part in parts]


def shape_of(limits: Limits, *, words: str, without: tuple[str, ...]) -> Shape:
    """What a search asks for besides the nearest photos.

    Raises:
        QueryError: it cannot be sorted so.
    """
    sort = limits.get("sort", RELEVANCE)
    if sort not in SORTS:
        raise QueryError(f"sort is '{sort}'. It is one of {', '.join(SORTS)}.")
    return Shape(
        filters=limits.get("filters", Filters()),
        without=without,
        words=words if limits.get("words", True) else "",
        sort=sort,
        facets=limits.get("facets", False),
        embeddings=limits.get("verdict", False),
    )


def check_range(k: int, offset: int) -> None:
    """Returns where so many hits can be had, after so many others.

    Raises:
        QueryError: they cannot.
    """
    if not 1 <= k <= MAX_K:
        raise QueryError(f"k is {k}. It is the number of photos wanted, from 1 to {MAX_K}.")
    if not 0 <= offset <= MAX_DEPTH - k:
        raise QueryError(f"offset is {offset}. It is the number of photos to pass over, from 0 to {MAX_DEPTH - k}.")
