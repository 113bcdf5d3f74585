"""The filters of a page's search, for the templates: those in force, and the choices that the facets offer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from app.pages.links import can_link, search_address
from app.pages.timeline import Timeline, first_day, last_day, make_timeline, period_words
from app.pages.world_map import WorldMap, centre_of, make_map
from app.search_request.request import Parameters, SearchRequest
from app.search_request.request import format_place as place_parameter
from app.web.addresses import address_with
from app.web.languages import format_decimal
from app.web.languages import gettext as _
from image_embeddings import KEYWORD_FACETS, SORTS, Bucket, Facets, Filters, KeywordFacet, Place

FEW = 6  # choices of a filter that are always shown; the others are in a list
LISTED = 100  # choices in the list, at most
COLUMNS = 12  # of the metadata file that are shown as filters, at most
WIDTHS = (640, 1280, 1920, 3840)  # pixels
HEIGHTS = (480, 720, 1080, 2160)
DOTS, BARS = 100, 60  # links of the map and of the timeline, about


class Tag(NamedTuple):
    """A filter that is in force, and the address of the search without it."""

    words: str
    without: str | None  # None if the search is too long to be in the link of each filter


class Choice(NamedTuple):
    """A value of a filter, and how many photos it would leave."""

    value: str
    words: str
    photos: int
    chosen: bool


class Choices(NamedTuple):
    """The choices of one filter: the first and the chosen ones are always shown, the others are in a list."""

    name: str  # of the parameter
    label: str
    shown: list[Choice]
    listed: list[Choice]


class PixelChoices(NamedTuple):
    """The least widths or heights, in pixels, that a search can ask for."""

    name: str  # of the parameter
    label: str
    pixels: list[int]
    chosen: int | None


@dataclass(frozen=True)
class FilterForm:
    """The filters of one search, and the choices that its facets offer."""

    search: SearchRequest
    facets: Facets | None = None

    @property
    def filters(self) -> Filters:
        """The filters in force."""
        return self.search.filters

    def address(self, *, fragment: str | None = None, **changes: Any) -> str:
        """Return the address of the same search with other filters, from its first photo on."""
        return search_address(replace(self.search, filters=replace(self.filters, **changes)), fragment=fragment)

    @cached_property
    def fields(self) -> list[tuple[str, str]]:
        """Filters and order as names and values of hidden fields."""
        given = {**self.search.filter_parameters, **self.search.order_parameters}
        return [(name, value) for name, values in given.items() for value in values]

    def kept_by(self, hits: int) -> Parameters:
        """Return the parameters that stay in force in a search by one of the hits of a page that has `hits` of them.

        They are k and the filters, but only k if the filters are too long to be in the link of each hit.
        """
        k = {"k": [str(self.search.k)]}
        kept = {**self.search.filter_parameters, **k}
        return kept if can_link(hits, len(address_with("pages.image_search", kept))) else k

    def _can_link(self, count: int) -> bool:
        """Return whether a page may have `count` links, each with the whole search in its address."""
        return can_link(count, self._address_length)

    @cached_property
    def _address_length(self) -> int:
        return len(search_address(self.search))

    @property
    def filtered(self) -> bool:
        """Whether any filter is in force."""
        return bool(self.filters)

    @property
    def cleared(self) -> str:
        """The address of the search without filters."""
        return search_address(replace(self.search, filters=Filters()))

    @property
    def place(self) -> str:
        """The box of the filter by place, in the format of the parameter `place`; empty if there is none."""
        return place_parameter(self.filters.place) if self.filters.place else ""

    @cached_property
    def tags(self) -> list[Tag]:
        """The filters in force, with the address of the search without each."""
        tags = list(self._tags())
        return [Tag(words, self.address(**without) if self._can_link(len(tags)) else None) for words, without in tags]

    def _tags(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the words of each filter in force, and the change of filters that removes it."""
        filters = self.filters
        for name, facet in KEYWORD_FACETS.items():
            values = dict.fromkeys(filters.values.get(name, ()))
            for value in values:
                others = {**filters.values, name: tuple(other for other in values if other != value)}
                yield f"{_(facet.label)}: {value_words(facet, value)}", {"values": others}
        columns = tuple(dict.fromkeys(filters.columns))
        for column in columns:
            yield ": ".join(column), {"columns": tuple(other for other in columns if other != column)}
        if filters.taken_from or filters.taken_to:
            yield period_tag(filters.taken_from, filters.taken_to), {"taken_from": None, "taken_to": None}
        if filters.place:
            centre, across = centre_of(filters.place)
            words = _("Place: %(distance)s km around %(position)s", distance=across, position=centre)
            yield words, {"place": None}
        if filters.min_width:
            words = _("At least %(pixels)s pixels wide", pixels=format_decimal(filters.min_width))
            yield words, {"min_width": None}
        if filters.min_height:
            words = _("At least %(pixels)s pixels high", pixels=format_decimal(filters.min_height))
            yield words, {"min_height": None}

    @property
    def choices(self) -> Iterator[Choices]:
        """The filters by value that have values to choose from."""
        facets = self.facets or Facets()
        for name, facet in KEYWORD_FACETS.items():
            chosen = list(self.filters.values.get(name, ()))
            yield from _choices(facet, list(facets.values.get(name, ())), chosen)
        chosen_values: dict[str, list[str]] = {}
        for column, value in self.filters.columns:
            chosen_values.setdefault(column, []).append(value)
        others = [column for column in facets.columns if column not in chosen_values]
        for column in [*chosen_values, *others][:COLUMNS]:
            yield from _column_choices(column, list(facets.columns.get(column, ())), chosen_values.get(column, []))

    @property
    def sizes(self) -> list[PixelChoices]:
        """The least widths and heights that a search can ask for."""
        width, height = self.filters.min_width, self.filters.min_height
        return [
            PixelChoices("min_width", _("Width at least"), sorted({*WIDTHS, *filter(None, [width])}), width),
            PixelChoices("min_height", _("Height at least"), sorted({*HEIGHTS, *filter(None, [height])}), height),
        ]

    @property
    def sorts(self) -> list[tuple[str, str]]:
        """The orders to choose from, with their names."""
        relevance, newest, oldest = SORTS
        if self.search.parts:
            words = (_("nearest first"), _("newest of the nearest"), _("oldest of the nearest"))
            return list(zip(SORTS, words, strict=True))
        latest = newest if self.search.sort == newest else relevance  # without a query they are the same
        return [(latest, _("newest first")), (oldest, _("oldest first"))]

    @property
    def dates(self) -> tuple[str, str]:
        """The first and last day of the filter by date, in the format of date fields; empty if there is no limit."""
        return first_day(self.filters.taken_from), last_day(self.filters.taken_to)

    @cached_property
    def timeline(self) -> Timeline | None:
        """The timeline of the photos; None if no date is known or asked for."""
        facets = self.facets or Facets()
        first, last = self.filters.taken_from, self.filters.taken_to
        if not (facets.taken or first or last):
            return None

        linked = self._can_link(BARS)

        def address(period: str | None) -> str | None:
            return self.address(fragment="taken", taken_from=period, taken_to=period) if linked else None

        return make_timeline(facets, first=first, last=last, address=address)

    @cached_property
    def world_map(self) -> WorldMap | None:
        """The map of the photos; None if no place is known or asked for."""
        places = self.facets.place if self.facets else ()
        if not (places or self.filters.place):
            return None

        linked = self._can_link(DOTS)

        def address(place: Place | None) -> str | None:
            return self.address(fragment="place", place=place) if linked else None

        return make_map(places, place=self.filters.place, address=address)


def value_words(facet: KeywordFacet, value: str) -> str:
    """Return a facet's value in words; in the reader's language if the facet has a fixed set of values."""
    return str(_(value)) if facet.choices else value


def period_tag(first: str | None, last: str | None) -> str:
    """Return a filter by date in words."""
    first, last = (period_words(given) if given else None for given in (first, last))
    if first == last:
        words = _("Taken: %(period)s", period=first)
    elif first and last:
        words = _("Taken: %(first)s to %(last)s", first=first, last=last)
    else:
        words = _("Taken from %(first)s", first=first) if first else _("Taken until %(last)s", last=last)
    return str(words)


def _choices(facet: KeywordFacet, buckets: list[Bucket], chosen: list[str]) -> Iterator[Choices]:
    choices = [
        Choice(bucket.value, value_words(facet, bucket.value), bucket.count, bucket.value in chosen)
        for bucket in with_chosen(buckets, chosen)
    ]
    yield from _split(facet.name, str(_(facet.label)), choices)


def _column_choices(column: str, buckets: list[Bucket], chosen: list[str]) -> Iterator[Choices]:
    choices = [
        Choice(f"{column}={bucket.value}", bucket.value, bucket.count, bucket.value in chosen)
        for bucket in with_chosen(buckets, chosen)
    ]
    yield from _split("column", column, choices)


def with_chosen(buckets: list[Bucket], chosen: list[str]) -> list[Bucket]:
    """Return the counts, and after them the chosen values that have no photos, with a count of 0."""
    known = {bucket.value for bucket in buckets}
    return [*buckets, *(Bucket(value=value, count=0) for value in chosen if value not in known)]


def _split(name: str, label: str, choices: list[Choice]) -> Iterator[Choices]:
    """Yield the choices of a filter, if there are any."""
    shown = [*choices[:FEW], *(choice for choice in choices[FEW:] if choice.chosen)]
    listed = [choice for choice in choices[FEW:] if not choice.chosen]
    if shown:
        yield Choices(name, label, shown, listed[:LISTED])
