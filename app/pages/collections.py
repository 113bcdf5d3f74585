"""The collections as the pages offer them: to be picked in the search bar, and as cards to start from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import url_for
from werkzeug.datastructures import MultiDict

from app.services import services
from image_embeddings import Collection, Collections, ImageDocument, errors

FIELD = "collection"  # of the search bar's form: `all`, `in <value>`, or empty where it stays as it is
ALL, IN = "all", "in"


class Card(NamedTuple):
    """A collection to start from."""

    name: str
    value: str  # of the filter
    photos: int
    examples: tuple[ImageDocument, ...]
    href: str


class Option(NamedTuple):
    """What may be picked."""

    words: str  # empty for all photos
    photos: int | None
    sent: str
    chosen: bool


class Picker(NamedTuple):
    """The collections, and what the search is limited to of them."""

    cards: list[Card]
    chosen: list[str]  # values of the filter; none for all photos

    @property
    def collection(self) -> str | None:
        """The name of the one collection that is searched in, if it is one."""
        return next((card.name for card in self.cards if [card.value] == self.chosen), None)

    @property
    def options(self) -> list[Option]:
        """All photos, the collections by name, and what is chosen if it is none of these: several, or a subfolder.

        The one that is chosen sends nothing: the filters in force stand in hidden fields already.
        """
        found = [Option("", None, ALL if self.chosen else "", not self.chosen)]
        for card in sorted(self.cards, key=lambda card: card.name.casefold()):
            chosen = [card.value] == self.chosen
            found.append(Option(card.name, card.photos, "" if chosen else f"{IN} {card.value}", chosen))
        if not any(option.chosen for option in found):
            names = {card.value: card.name for card in self.cards}
            found.append(Option(" + ".join(names.get(value, value) for value in self.chosen), None, "", True))
        return found


def picker_of(collections: Collections, query: Mapping[str, Any]) -> Picker:
    """The picker for a search: it stands at what the search is limited to."""
    cards = [_card(collections, found) for found in collections.found]
    given = query.get(collections.filter_name) or []
    return Picker(cards, [value for value in given if collections.is_filter(value)])


def pick(values: MultiDict[str, str]) -> None:
    """Puts what was picked into the values of a form, in the place of what the search was limited to.

    Raises:
        QueryError: that cannot be picked.
    """
    what, _, value = values.get(FIELD, "").partition(" ")
    if not what:
        return
    if what not in (ALL, IN) or (what == IN) != bool(value):
        raise errors.QueryError(f"{FIELD} is '{values[FIELD]}'. It is '{ALL}', or '{IN}' and a value of the filter.")
    collections = services().collections()
    name = collections.filter_name
    others = [given for given in values.getlist(name) if not collections.is_filter(given)]
    values.setlist(name, [*others, *([value] if value else ())])


def _card(collections: Collections, found: Collection) -> Card:
    value = collections.filter_value(found.name)
    limit: dict[str, Any] = {collections.filter_name: value}
    href = url_for("pages.image_search", **limit)
    return Card(found.name, value, found.count, found.examples, href)
