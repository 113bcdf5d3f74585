"""What the search of a page is narrowed to, and what it may be narrowed to further: for the templates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from flask import url_for
from flask_babel import format_decimal
from flask_babel import gettext as _

from app.pages.timeline import Timeline, first_day, last_day, period_words, timeline_of
from app.pages.world_map import WorldMap, centre_of, map_of
from image_embeddings import SORTS, Bucket, Facets

FEW = 6  # choices of a filter that are shown at once; the others are in a list
LISTED = 100
COLUMNS = 12  # of the metadata file
WIDTHS = (640, 1280, 1920, 3840)  # pixels
HEIGHTS = (480, 720, 1080, 2160)
SEVERAL = ("folder", "label", "camera", "orientation", "column")  # filters that take several values
FILTERS = (*SEVERAL, "taken_from", "taken_to", "place", "min_width", "min_height")
# Everything of a search that its address tells, in this order; the page of its hits is not kept.
KEPT = ("q", "like", "unlike", "without", "weight", *FILTERS, "sort", "words", "k")
_NAMES = {"taken_from": "from", "taken_to": "to"}
PARAMETERS = [_NAMES.get(name, name) for name in FILTERS]  # as addresses and forms call them
_DEFAULTS = {"sort": SORTS[0], "words": True}


class Tag(NamedTuple):
    """A filter that is in force, and the address of the search without it."""

    words: str
    without: str


class Choice(NamedTuple):
    """A value of a filter, and how many photos it would leave."""

    value: str
    words: str
    photos: int
    chosen: bool


class Choices(NamedTuple):
    """What one filter offers; of a long list only the first and the chosen at once."""

    name: str  # of the parameter
    label: str
    shown: list[Choice]
    listed: list[Choice]


@dataclass(frozen=True)
class Narrowing:
    """The filters of one search, as asked for, and what its facets offer."""

    query: Mapping[str, Any]
    facets: Facets | None = None

    def address(self, changes: Mapping[str, Any], *, fragment: str | None = None) -> str:
        """The address of the same search with other filters, from its first photo on."""
        values = {**self.query, **changes}
        return url_for("pages.image_search", _anchor=fragment, **_named(values, KEPT))

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        """Filters and order as names and values of hidden fields."""
        named = _named(self.query, (*FILTERS, "sort", "words"))
        return [
            (name, value) for name, given in named.items() for value in (given if isinstance(given, list) else [given])
        ]

    @cached_property
    def kept(self) -> dict[str, Any]:
        """The filters as the parameters of an address: they stay in force when one searches by one of the hits."""
        return _named(self.query, (*FILTERS, "k"))

    @property
    def filtered(self) -> bool:
        """Whether any filter is in force."""
        return any(self.query.get(name) for name in FILTERS)

    @property
    def cleared(self) -> str:
        """The address of the search without filters."""
        return self.address(dict.fromkeys(FILTERS))

    @cached_property
    def tags(self) -> list[Tag]:
        """The filters in force."""
        return list(self._tags())

    def _tags(self) -> Iterator[Tag]:
        query = self.query
        for name in SEVERAL:
            values = list(dict.fromkeys(query.get(name) or []))
            for value in values:
                others = [other for other in values if other != value]
                yield Tag(_filter_words(name, value), self.address({name: others}))
        first, last = query.get("taken_from"), query.get("taken_to")
        if first or last:
            yield Tag(_dates(first, last), self.address({"taken_from": None, "taken_to": None}))
        if query.get("place"):
            centre, across = centre_of(query["place"])
            words = _("Place: %(distance)s km around %(position)s", distance=across, position=centre)
            yield Tag(words, self.address({"place": None}))
        if query.get("min_width"):
            words = _("At least %(pixels)s pixels wide", pixels=format_decimal(query["min_width"]))
            yield Tag(words, self.address({"min_width": None}))
        if query.get("min_height"):
            words = _("At least %(pixels)s pixels high", pixels=format_decimal(query["min_height"]))
            yield Tag(words, self.address({"min_height": None}))

    @property
    def choices(self) -> Iterator[Choices]:
        """The filters by value that leave a choice."""
        facets = self.facets or Facets()
        for name in ("folder", "label", "camera", "orientation"):
            values = [(bucket.value, bucket) for bucket in getattr(facets, name)]
            yield from self._choices(name, _label(name), values, self.query.get(name) or [])
        chosen: dict[str, list[str]] = {}
        for given in self.query.get("column") or []:
            chosen.setdefault(given.partition("=")[0], []).append(given)
        for column in [*chosen, *(column for column in facets.columns if column not in chosen)][:COLUMNS]:
            values = [(f"{column}={bucket.value}", bucket) for bucket in facets.columns.get(column, ())]
            yield from self._choices("column", column, values, chosen.get(column, []))

    def _choices(self, name: str, label: str, values: list[tuple[str, Bucket]], chosen: list[str]) -> Iterator[Choices]:
        found = [Choice(value, _said(name, value), bucket.count, value in chosen) for value, bucket in values]
        known = {choice.value for choice in found}
        found += [Choice(value, _said(name, value), 0, True) for value in chosen if value not in known]
        shown = [*found[:FEW], *(choice for choice in found[FEW:] if choice.chosen)]
        listed = [choice for choice in found[FEW:] if not choice.chosen]
        if shown:
            yield Choices(name, label, shown, listed[:LISTED])

    @property
    def sizes(self) -> list[tuple[str, str, list[int]]]:
        """The least width and height that may be asked for: parameter, label, pixels."""
        named = (("min_width", _("Width at least"), WIDTHS), ("min_height", _("Height at least"), HEIGHTS))
        return [
            (name, label, sorted({*pixels, *filter(None, [self.query.get(name)])})) for name, label, pixels in named
        ]

    @property
    def sorts(self) -> list[tuple[str, str]]:
        """The orders to choose from, and what they are called."""
        relevance, newest, oldest = SORTS
        if self.query.get("parts"):
            words = (_("nearest first"), _("newest of the nearest"), _("oldest of the nearest"))
            return list(zip(SORTS, words, strict=True))
        latest = newest if self.query.get("sort") == newest else relevance  # without a query they are the same
        return [(latest, _("newest first")), (oldest, _("oldest first"))]

    @property
    def dates(self) -> tuple[str, str]:
        """First and last day asked for, as date fields take them; empty where it is open."""
        return first_day(self.query.get("taken_from")), last_day(self.query.get("taken_to"))

    @cached_property
    def timeline(self) -> Timeline | None:
        """The photos by date; None where no date is known."""

        def address(period: str | None) -> str:
            return self.address({"taken_from": period, "taken_to": period}, fragment="taken")

        return timeline_of(
            self.facets or Facets(),
            first=self.query.get("taken_from"),
            last=self.query.get("taken_to"),
            address=address,
        )

    @cached_property
    def world_map(self) -> WorldMap | None:
        """The photos by place; None where no place is known."""

        def address(place: str | None) -> str:
            return self.address({"place": place}, fragment="place")

        return map_of((self.facets or Facets()).place, place=self.query.get("place"), address=address)


def _named(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of a search's values that are not the usual ones, as addresses and forms call and say them."""
    kept = {name: values.get(name) for name in names if values.get(name) not in (None, [], _DEFAULTS.get(name))}
    return {_NAMES.get(name, name): _text(value) for name, value in kept.items()}


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _label(name: str) -> str:
    labels: dict[str, str] = {
        "folder": _("Folder"),
        "label": _("Label"),
        "camera": _("Camera"),
        "orientation": _("Shape"),
    }
    return labels[name]


def _said(name: str, value: str) -> str:
    """The value of a filter in words."""
    shapes: dict[str, str] = {"landscape": _("landscape"), "portrait": _("portrait"), "square": _("square")}
    return shapes[value] if name == "orientation" else value.partition("=")[2] if name == "column" else value


def _filter_words(name: str, value: str) -> str:
    """A filter with its value, in words."""
    label = value.partition("=")[0] if name == "column" else _label(name)
    return f"{label}: {_said(name, value)}"


def _dates(first: str | None, last: str | None) -> str:
    first, last = (period_words(given) if given else None for given in (first, last))
    if first == last:
        words = _("Taken: %(period)s", period=first)
    elif first and last:
        words = _("Taken: %(first)s to %(last)s", first=first, last=last)
    else:
        words = _("Taken from %(first)s", first=first) if first else _("Taken until %(last)s", last=last)
    return str(words)
