"""The request for a search: the parts of its query, its filters, and which of the hits are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from werkzeug.datastructures import FileStorage

from app.search_request import crops
from app.search_request.uploads import CarriedPhoto, decode_upload
from app.services import services
from app.web.request_record import record, record_result
from image_embeddings import KEYWORD_FACETS, MAX_PARTS, SORTS, Filters, Indexed, Part, Place, SearchResult, errors

USUAL = 1.0
AGAINST = 0.5  # usual weight of an unwanted part; with a weight of 1 it would often outweigh the other parts
TEXTS = ("q", "without")
UNWANTED = ("without", "unlike")
PART_NAMES = ("q", "like", "image", "without", "unlike")  # the parameters, in the order in which weights are given
PLAIN_FILTERS = ("column", "from", "to", "place", "min_width", "min_height")

Parameters = dict[str, list[str]]  # of an address or a form: name -> values


@dataclass(frozen=True)
class QueryPart:
    """A text, an indexed photo (its image_id, perhaps with a crop) or an upload, with the name of its parameter."""

    name: str  # one of PART_NAMES
    value: str | FileStorage | CarriedPhoto
    weight: float

    @property
    def wanted(self) -> bool:
        """Whether hits should be like this part; if not, they should be unlike it."""
        return self.name not in UNWANTED

    @property
    def is_text(self) -> bool:
        """Whether the part is a text; if not, it is a photo."""
        return self.name in TEXTS

    @property
    def is_usual(self) -> bool:
        """Whether the part has the weight that is used if none is given."""
        return self.weight == usual_weight(self.name)


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What one search asks for; the pages and the API both make it."""

    parts: tuple[QueryPart, ...] = ()  # in the order of PART_NAMES; if there are none: all photos, by date
    filters: Filters = field(default_factory=Filters)
    k: int
    offset: int = 0
    sort: str = SORTS[0]
    words: bool = True  # whether words of texts are also looked for in names, captions and labels
    facets: bool = False  # whether photos are counted by facet
    verdict: bool = False  # whether to tell which hits really match
    fold: bool = False  # whether near-duplicates are folded under the first of them

    @property
    def has_upload(self) -> bool:
        """Whether an uploaded photo is among the parts; such a search has no address."""
        return any(part.name == "image" for part in self.parts)

    @property
    def is_empty(self) -> bool:
        """Whether the request has no part and no filter, and the usual order."""
        return not (self.parts or self.filters or self.sort != SORTS[0])

    def with_parts(self, parts: Iterable[QueryPart]) -> SearchRequest:
        """Return the same request with these parts in place of the present ones."""
        return replace(self, parts=sort_parts(parts))

    @property
    def part_parameters(self) -> Parameters:
        """The texts and indexed photos as parameters of an address."""
        return parameters_of_parts(part for part in self.parts if part.name != "image")

    @property
    def filter_parameters(self) -> Parameters:
        """The filters as parameters of an address."""
        return parameters_of_filters(self.filters)

    @property
    def order_parameters(self) -> Parameters:
        """Order and words as parameters of an address; empty for the usual ones."""
        sort = {"sort": [self.sort]} if self.sort != SORTS[0] else {}
        return {**sort, **({} if self.words else {"words": ["false"]})}

    @property
    def parameters(self) -> Parameters:
        """All parameters of the search's address, from its first hit on."""
        return {**self.part_parameters, **self.filter_parameters, **self.order_parameters, "k": [str(self.k)]}


def make_part(name: str, value: str | FileStorage | CarriedPhoto) -> QueryPart:
    """Return a part with the usual weight."""
    return QueryPart(name, value, usual_weight(name))


def usual_weight(name: str) -> float:
    """Return the weight of a part if none is given."""
    return AGAINST if name in UNWANTED else USUAL


def sort_parts(parts: Iterable[QueryPart]) -> tuple[QueryPart, ...]:
    """Return the parts in the order of PART_NAMES, in which weights are given."""
    return tuple(sorted(parts, key=lambda part: PART_NAMES.index(part.name)))


def check_parts(parts: Sequence[QueryPart]) -> Sequence[QueryPart]:
    """Return the same parts.

    Raises:
        QueryError: if there are too many to be searched for together.
    """
    if len(parts) > MAX_PARTS:
        raise errors.QueryError(f"The query has {len(parts)} parts; {MAX_PARTS} at most.")
    return parts


def weigh_parts(parts: Iterable[QueryPart], weights: list[float] | None) -> tuple[QueryPart, ...]:
    """Return the parts in order, with these weights if there are any.

    Raises:
        QueryError: if the number of weights differs from the number of parts.
    """
    parts = sort_parts(parts)
    if not weights:
        return parts
    if len(weights) != len(parts):
        raise errors.QueryError(f"There are {len(weights)} weights for {len(parts)} parts. Give one for each, or none.")
    return tuple(replace(part, weight=float(weight)) for part, weight in zip(parts, weights, strict=True))


def parameters_of_parts(parts: Iterable[QueryPart]) -> Parameters:
    """Return the parameters of an address or form that give these parts.

    Uploads are given as the copies that pages carry along. Weights are included only if one of them is not usual.
    """
    parts = sort_parts(parts)
    found: Parameters = {}
    for part in parts:
        name, value = ("picture", part.value.copy) if isinstance(part.value, CarriedPhoto) else (part.name, part.value)
        found.setdefault(name, []).append(str(value))
    if not all(part.is_usual for part in parts):
        found["weight"] = [f"{part.weight:g}" for part in parts]
    return found


def parameters_of_filters(filters: Filters) -> Parameters:
    """Return the parameters that give these filters."""
    found: Parameters = {name: list(filters.values.get(name, ())) for name in KEYWORD_FACETS}
    found["column"] = [f"{name}={value}" for name, value in filters.columns]
    single = {
        "from": filters.taken_from,
        "to": filters.taken_to,
        "place": format_place(filters.place) if filters.place else None,
        "min_width": filters.min_width,
        "min_height": filters.min_height,
    }
    found |= {name: [str(value)] for name, value in single.items() if value is not None}
    return {name: values for name, values in found.items() if values}


def format_place(place: Place) -> str:
    """Return a box in the format of the parameter `place`: south,west,north,east in degrees."""
    return ",".join(str(degrees).removesuffix(".0") for degrees in place)


def search(request: SearchRequest) -> SearchResult:
    """Return the result of a request, and count it in the metrics.

    Raises:
        ImageSearchError: if it cannot be answered.
    """
    record().search_kind = _kind(request.parts)
    parts = [_searched_part(part) for part in request.parts]
    page = {"k": request.k, "offset": request.offset}
    limits: Mapping[str, object] = {
        name: getattr(request, name) for name in ("filters", "sort", "words", "facets", "verdict", "fold")
    }
    limits = {**limits, "partial": True}  # the answer tells
    engine = services().search
    result = engine.by_parts(parts, **page, **limits) if parts else engine.browse(**page, **limits)  # type: ignore[arg-type]
    return record_result(result)


def _kind(parts: tuple[QueryPart, ...]) -> str:
    """Return the kind of search, for the metrics: text, like, upload, several or browse."""
    if len(parts) > 1:
        return "several"
    return {"q": "text", "like": "like", "image": "upload"}.get(parts[0].name, "several") if parts else "browse"


def _searched_part(part: QueryPart) -> Part:
    """Return the part in the form that the library takes; read the photo if that needs it.

    Raises:
        QueryError, ImageNotFoundError, ImageError: if the part cannot be used.
    """
    value = part.value
    weight = part.weight if part.wanted else -part.weight
    if isinstance(value, FileStorage):
        return Part(what=decode_upload(value), weight=weight)
    if isinstance(value, CarriedPhoto):
        return Part(what=value.image, weight=weight)
    if part.is_text:
        return Part(what=value, weight=weight)
    image_id, box = crops.split_fragment(value)
    return Part(what=crops.crop_indexed(image_id, box) if box else Indexed(image_id=image_id), weight=weight)
