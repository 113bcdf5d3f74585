"""Filters and facets in Elasticsearch's query language: which photos a search may find, and how many of each kind.

Pure functions, no I/O.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import quote, unquote

from image_embeddings.documents import JSON, Bucket, Facets, Place, PlaceBucket
from image_embeddings.errors import QueryError, shorten
from image_embeddings.es.facets import FACET_VALUES, KEYWORD_FACETS, MAX_VALUE_BYTES, SHARD_VALUES, KeywordFacet

MAX_VALUES = 50  # values of one filter
COLUMN_VALUES = 500  # values that are counted, of all columns together
DATE_BUCKETS = 40
PLACE_CELLS = 500
# The field of the time that a clock at the place of the photo showed. All that people see of dates goes by it: filters,
# counts and order. `taken`, with its offset from UTC, would put a photo of New Year's night in Tokyo into the old year.
WALL_TIME = "taken_local"
# The last day of that time, if only the year or the month is known. Filters have to contain all of it.
WALL_TIME_END = "taken_local_end"
COLUMN_SEPARATOR = "\x1f"  # between name and value of a metadata file's column; neither can contain it
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_ROUNDING = ("||/y", "||/M", "||/d")  # for a date without month, without day, and a whole one
_FORMATS = "yyyy-MM-dd||yyyy-MM||yyyy"
_MAX_PIXELS = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What all hits have in common. A hit passes each filter that is given, by one of the filter's values at least."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by the name of a keyword facet
    columns: tuple[tuple[str, str], ...] = ()  # name and value of columns of the metadata file
    taken_from: str | None = None  # YYYY, YYYY-MM or YYYY-MM-DD; the first and the last day are included
    taken_to: str | None = None
    place: Place | None = None  # a box; if it crosses the date line, west is larger than east
    min_width: int | None = None  # pixels
    min_height: int | None = None

    def __post_init__(self) -> None:
        """Check each filter by itself. `check_together` checks that they do not contradict each other.

        Raise QueryError, which says what can be used instead, if a filter cannot be used.
        """
        object.__setattr__(self, "values", {name: found for name in self.values if (found := self._values(name))})
        _check_values("column", tuple(value for _, value in self.columns), max_bytes=MAX_VALUE_BYTES)
        for name, day in (("from", self.taken_from), ("to", self.taken_to)):
            _check_date(name, day)
        for name, pixels in (("min_width", self.min_width), ("min_height", self.min_height)):
            if pixels is not None and not 0 <= pixels <= _MAX_PIXELS:
                raise QueryError(f"{name} is {pixels}. It is a number of pixels, from 0.")
        _check_place(self.place)

    def check_together(self) -> None:
        """Raise QueryError if the filters contradict each other.

        This is not part of `__post_init__`, because a page also shows such filters, so that the user can correct them.
        """
        if self.taken_from and self.taken_to and self.taken_from > self.taken_to + "~":
            raise QueryError(f"from is {self.taken_from}, which is after to, {self.taken_to}. Swap them.")

    def __bool__(self) -> bool:
        """Return whether there is any filter."""
        return self != _NO_FILTERS

    def _values(self, name: str) -> tuple[str, ...]:
        """Return the values of a keyword facet in the form that the index has them in.

        Raise QueryError if there is no such facet, or no such value.
        """
        facet = KEYWORD_FACETS.get(name)
        if facet is None:
            raise QueryError(f"There is no filter '{name}'. There are {', '.join(KEYWORD_FACETS)}.")
        values = tuple(value.strip(facet.strip) if facet.strip else value for value in self.values[name])
        values = tuple(value for value in values if value or not facet.strip)
        _check_values(name, values, max_bytes=facet.max_bytes)
        for value in values:
            if facet.choices and value not in facet.choices:
                raise QueryError(f"The {name} is '{shorten(value)}'. It is one of {', '.join(facet.choices)}.")
        return values

    def clauses(self) -> dict[str, list[JSON]]:
        """Return facet -> clauses of the filters that belong to it."""
        found: dict[str, list[JSON]] = {
            **{name: _any_of(facet.field, self.values.get(name, ())) for name, facet in KEYWORD_FACETS.items()},
            "taken": _dates(self.taken_from, self.taken_to),
            "place": _box(self.place),
            "size": [*_at_least("width", self.min_width), *_at_least("height", self.min_height)],
        }
        for name in dict.fromkeys(name for name, _ in self.columns):
            values = tuple(f"{name}{COLUMN_SEPARATOR}{value}" for column, value in self.columns if column == name)
            found[f"column {name}"] = _any_of("columns", values)
        return {name: clauses for name, clauses in found.items() if clauses}

    def all_clauses(self, *, but: str | None = None) -> list[JSON]:
        """Return the clauses of all facets, except of the facet `but`."""
        return [clause for name, clauses in self.clauses().items() if name != but for clause in clauses]


def facet_aggs(filters: Filters) -> JSON:
    """Return one aggregation for each facet, to be computed over the whole index."""
    others = {name: filters.all_clauses(but=name) for name in (*KEYWORD_FACETS, "taken")}
    others["taken"] += _dates(_period(filters), _period(filters))
    values: dict[str, JSON] = {
        **{name: {"terms": _terms(facet)} for name, facet in KEYWORD_FACETS.items()},
        "taken": {
            "date_histogram": {
                "field": WALL_TIME,
                "calendar_interval": _step(filters),
                "format": "yyyy-MM-dd",
                "min_doc_count": 1,
            },
            "aggs": {"open": {"terms": {"field": WALL_TIME_END, "format": "yyyy-MM-dd", "size": 2}}},
        },
    }
    aggs = {name: _filtered_agg(others[name], {"values": agg}) for name, agg in values.items()}
    box = {"box": {"geo_bounds": {"field": "location"}}, "centre": {"geo_centroid": {"field": "location"}}}
    tiles = {"field": "location", "precision": _zoom(filters.place), "size": PLACE_CELLS, "shard_size": SHARD_VALUES}
    cells = {"values": {"geotile_grid": tiles, "aggs": box}}
    aggs["place"] = _filtered_agg(filters.all_clauses(but=None if filters.place else "place"), cells)
    columns: JSON = {"values": {"terms": {"field": "columns", "size": COLUMN_VALUES, "shard_size": SHARD_VALUES}}}
    aggs["columns"] = _filtered_agg(filters.all_clauses(), columns)
    for name in filters.clauses():
        if name.startswith("column "):
            column = name.removeprefix("column ")
            include = escape_pattern(column) + f"{COLUMN_SEPARATOR}.*"
            terms = {
                "terms": {"field": "columns", "size": FACET_VALUES, "shard_size": SHARD_VALUES, "include": include}
            }
            # Quoted, because the name of an aggregation cannot contain brackets.
            aggs[f"column {quote(column)}"] = _filtered_agg(filters.all_clauses(but=name), {"values": terms})
    return aggs


def _terms(facet: KeywordFacet) -> JSON:
    return {"field": facet.field, **({} if facet.choices else {"size": facet.counted, "shard_size": SHARD_VALUES})}


def matching_agg(filters: Filters) -> JSON:
    """Return an aggregation that counts, in the whole index, the photos that pass the filters."""
    return _filtered_agg(filters.all_clauses(), {})


def facets_of(aggregations: Mapping[str, Any], filters: Filters) -> Facets:
    """Return the counts in the answer to `facet_aggs`."""
    taken, step = _date_buckets(aggregations["taken"], step=_step(filters))
    return Facets(
        values={name: _buckets(aggregations[name]) for name in KEYWORD_FACETS},
        taken=taken,
        taken_step=step,
        place=tuple(_place_bucket(bucket) for bucket in aggregations["place"]["values"]["buckets"]),
        columns=dict(_columns(aggregations)),
    )


def _filtered_agg(clauses: list[JSON], aggs: JSON) -> JSON:
    filtered: JSON = {"filter": {"bool": {"filter": clauses}}}
    return {**filtered, "aggs": aggs} if aggs else filtered


def _buckets(aggregation: Mapping[str, Any]) -> tuple[Bucket, ...]:
    buckets = aggregation["values"]["buckets"]
    return tuple(Bucket(value=str(bucket["key"]), count=bucket["doc_count"]) for bucket in buckets)


def _period(filters: Filters) -> str | None:
    """Return the month or the year that the date filters lie in, or None if they span more than a year."""
    first, last = filters.taken_from or "", filters.taken_to or ""
    for length in (len("2024-05"), len("2024")):
        if first[:length] == last[:length] and len(first[:length]) == length:
            return first[:length]
    return None


def _step(filters: Filters) -> str:
    """Return "day" if the date filters lie in one month, else "month"."""
    return "day" if len(_period(filters) or "") == len("2024-05") else "month"


def _date_buckets(aggregation: Mapping[str, Any], *, step: str) -> tuple[tuple[Bucket, ...], str]:
    """Return the counts by day or month, or by year if there are too many months to look at, and which of these.

    Photos of which only the year or the month is known are not counted by shorter steps.
    """
    buckets = aggregation["values"]["buckets"]
    if step == "month" and len(buckets) > DATE_BUCKETS:
        step = "year"
    found: Counter[str] = Counter()
    for bucket in buckets:
        day = bucket["key_as_string"]
        found[f"{day[:4]}-01-01" if step == "year" else day] += bucket["doc_count"] - _count_open(bucket, step=step)
    return tuple(Bucket(value=day, count=count) for day, count in found.items() if count), step


def _count_open(bucket: Mapping[str, Any], *, step: str) -> int:
    """Return how many photos of a bucket were taken in a time that is longer than the step, and begins with it."""
    ends = {end["key_as_string"]: end["doc_count"] for end in bucket["open"]["buckets"]}
    month = bucket["key_as_string"][: len("2019-08")]
    return sum(count for end, count in ends.items() if step == "day" or (step == "month" and not end.startswith(month)))


def _columns(aggregations: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Bucket, ...]]]:
    """Yield each column and its counts. A filter by a column does not limit that column's own counts.

    So a user can add further values to the filter.
    """
    found: dict[str, list[Bucket]] = {}
    for bucket in _buckets(aggregations["columns"]):
        name, _, value = bucket.value.partition(COLUMN_SEPARATOR)
        found.setdefault(name, []).append(Bucket(value=value, count=bucket.count))
    for name, aggregation in aggregations.items():
        if name.startswith("column "):
            column = unquote(name.removeprefix("column "))
            found[column] = [
                Bucket(value=bucket.value.partition(COLUMN_SEPARATOR)[2], count=bucket.count)
                for bucket in _buckets(aggregation)
            ]
    for name in sorted(found):
        yield name, tuple(found[name])


def _place_bucket(bucket: Mapping[str, Any]) -> PlaceBucket:
    centre, bounds = bucket["centre"]["location"], bucket["box"]["bounds"]
    top_left, bottom_right = bounds["top_left"], bounds["bottom_right"]
    return PlaceBucket(
        lat=round(centre["lat"], 5),
        lon=round(centre["lon"], 5),
        count=bucket["doc_count"],
        box=(bottom_right["lat"], top_left["lon"], top_left["lat"], bottom_right["lon"]),
    )


def escape_pattern(text: str) -> str:
    """Return a Lucene pattern that matches exactly this text.

    `re.escape` is not enough: Lucene also gives a meaning to quotes and to numeric ranges.
    """
    return re.sub(r"\W", r"\\\g<0>", text)


def _any_of(field_name: str, values: tuple[str, ...]) -> list[JSON]:
    if len(values) == 1:
        return [{"term": {field_name: values[0]}}]
    return [{"terms": {field_name: list(values)}}] if values else []


def _at_least(field_name: str, pixels: int | None) -> list[JSON]:
    return [{"range": {field_name: {"gte": pixels}}}] if pixels else []


def _dates(first: str | None, last: str | None) -> list[JSON]:
    limits = {limit: f"{day}{_ROUNDING[day.count('-')]}" for limit, day in (("gte", first), ("lte", last)) if day}
    clauses: list[JSON] = [{"range": {WALL_TIME: {**limits, "format": _FORMATS}}}] if limits else []
    if last:
        after = {"gt": limits["lte"], "format": _FORMATS}
        clauses.append({"bool": {"must_not": {"range": {WALL_TIME_END: after}}}})
    return clauses


def _box(place: Place | None) -> list[JSON]:
    if place is None:
        return []
    south, west, north, east = place
    corners = {"top_left": {"lat": north, "lon": west}, "bottom_right": {"lat": south, "lon": east}}
    return [{"geo_bounding_box": {"location": corners}}]


def _zoom(place: Place | None) -> int:
    """Return the zoom level at which a box is about sixteen tiles wide."""
    width = 360.0 if place is None else (place[3] - place[1]) % 360 or 360.0
    return min(24, 4 + max(0, round(math.log2(360) - math.log2(width))))  # 360 / width may be beyond all floats


def _check_values(name: str, values: tuple[str, ...], *, max_bytes: int) -> None:
    if len(values) > MAX_VALUES:
        raise QueryError(f"There are {len(values)} values for {name}; {MAX_VALUES} at most.")
    for value in values:
        if len(value.encode(errors="replace")) > max_bytes:
            raise QueryError(f"The {name} is longer than any in the index.")


def _check_date(name: str, day: str | None) -> None:
    if day is None:
        return
    found = _DATE.fullmatch(day)
    try:
        if not found:
            raise ValueError
        date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        raise QueryError(f"{name} is '{shorten(day)}'. It is a date such as 2024, 2024-05 or 2024-05-31.") from None


def _check_place(place: Place | None) -> None:
    if place is None:
        return
    south, west, north, east = place
    if not (-90 <= south <= north <= 90 and all(-180 <= longitude <= 180 for longitude in (west, east))):
        raise QueryError(
            f"The place is {place}. It is a box: south, west, north, east in degrees, latitudes from -90 to 90 and "
            "longitudes from -180 to 180."
        )


_NO_FILTERS = Filters()
