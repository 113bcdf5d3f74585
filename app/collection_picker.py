"""The collections as the pages offer them: to be picked in the search bar, and as cards to start from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import url_for

from image_embeddings import Collection, Collections, ImageDocument


class Card(NamedTuple):
    """A collection to start from."""

    name: str
    value: str  # of the filter
    photos: int
    examples: tuple[ImageDocument, ...]
    href: str


class Picker(NamedTuple):
    """The collections, and the one that is searched in."""

    name: str  # of the parameter
    cards: list[Card]
    chosen: str  # value of the filter; empty for all photos
    collection: str | None  # its name, where it is one
    other: str | None  # the value, where it is none of those that there are, such as a folder further down

    @property
    def picked(self) -> tuple[str, str]:
        """The filter that the picker itself stands for."""
        return self.name, self.chosen


def picker_of(collections: Collections, query: Mapping[str, Any]) -> Picker:
    """The picker for a search: it stands at the one collection that the search is limited to."""
    name = collections.filter_name
    cards = [_card(collections, found) for found in collections.found]
    given = query.get(name) or []
    chosen = given[0] if len(given) == 1 else ""
    collection = next((card.name for card in cards if card.value == chosen), None)
    other = chosen if chosen and not collection else None
    return Picker(name, cards, chosen, collection, other)


def _card(collections: Collections, found: Collection) -> Card:
    value = collections.filter_value(found.name)
    limit: dict[str, Any] = {collections.filter_name: value}
    href = url_for("pages.image_search", **limit)
    return Card(found.name, value, found.count, found.examples, href)
