"""The parts of a query: texts and photos, wanted or not, each with its weight."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from PIL import Image
from werkzeug.datastructures import FileStorage

from app.search_request import crops
from app.search_request.pictures import Picture
from app.search_request.uploads import query_image
from image_embeddings import Indexed, Part, errors

USUAL = 1.0
AGAINST = 0.5  # weight of what is to be left out, where none is given: as much as 1 would often outweigh the rest
NAMES = ("q", "like", "image", "without", "unlike")  # the parameters, in the order in which weights are given
OPPOSITE = {"q": "without", "without": "q", "like": "unlike", "unlike": "like"}


class QueryPart(NamedTuple):
    """A text, an indexed photo (its image_id) or an uploaded one, by the parameter that it was given as."""

    name: str
    value: Any
    weight: float

    @property
    def wanted(self) -> bool:
        """Whether hits are to be like it; else they are to be unlike it."""
        return self.name not in ("without", "unlike")

    @property
    def is_text(self) -> bool:
        """Whether it is a text; else it is a photo."""
        return self.name in ("q", "without")

    @property
    def is_usual(self) -> bool:
        """Whether it is of the weight that is taken where none is given."""
        return self.weight == usual(self.name)


def part(name: str, value: Any) -> QueryPart:
    """A part of the usual weight."""
    return QueryPart(name, value, usual(name))


def usual(name: str) -> float:
    """The weight of a part where none is given."""
    return AGAINST if name in ("without", "unlike") else USUAL


def parts_of(query: Mapping[str, Any]) -> list[QueryPart]:
    """The parts of a query as the schemas of app/search_request/parameters.py load it.

    Raises:
        QueryError: there are not as many weights as parts.
    """
    found = [part(name, value) for name in NAMES for value in query.get(name, ())]
    weights = query.get("weight") or [each.weight for each in found]
    if len(weights) != len(found):
        raise errors.QueryError(f"There are {len(weights)} weights for {len(found)} parts. Give one for each, or none.")
    return [each._replace(weight=float(weight)) for each, weight in zip(found, weights, strict=True)]


def in_order(parts: Iterable[QueryPart]) -> list[QueryPart]:
    """The parts in the order of their weights."""
    return sorted(parts, key=lambda each: NAMES.index(each.name))


def parameters_of(parts: Iterable[QueryPart]) -> dict[str, list[Any]]:
    """The parameters that give these parts; weights only where one is not the usual one."""
    parts = in_order(parts)
    found: dict[str, list[Any]] = {}
    for each in parts:
        found.setdefault(each.name, []).append(each.value)
    if not all(each.is_usual for each in parts):
        found["weight"] = [f"{each.weight:g}" for each in parts]
    return found


def as_searched(asked: QueryPart) -> Part:
    """The part as the library takes it; photos are read for it."""
    what = asked.value if asked.is_text else _photo(asked.value)
    return Part(what=what, weight=asked.weight if asked.wanted else -asked.weight)


def _photo(given: str | FileStorage | Picture) -> Indexed | Image.Image:
    if isinstance(given, FileStorage):
        return query_image(given)
    if isinstance(given, Picture):
        return given.image
    image_id, box = crops.named(given)
    return crops.cropped(image_id, box) if box else Indexed(image_id=image_id)
