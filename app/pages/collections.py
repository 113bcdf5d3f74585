"""The collections as the pages offer them: as a choice in the search bar, and as cards to start from."""

from typing import NamedTuple

from app.pages.filters import page_address
from app.search_request.page_form import ALL, IN
from app.search_request.request import SearchRequest
from image_embeddings import Collection, Collections, ImageDocument


class Card(NamedTuple):
    """A collection to start from."""

    name: str
    value: str  # of the filter
    photos: int
    examples: tuple[ImageDocument, ...]
    href: str


class Option(NamedTuple):
    """One option of the choice in the search bar."""

    words: str  # empty for all photos
    photos: int | None
    sent: str
    chosen: bool


class Picker(NamedTuple):
    """The collections, and those that the search is limited to."""

    cards: list[Card]
    chosen: list[str]  # values of the filter; none for all photos

    @property
    def collection(self) -> str | None:
        """The name of the collection that the search is limited to; None unless it is exactly one."""
        return next((card.name for card in self.cards if [card.value] == self.chosen), None)

    @property
    def options(self) -> list[Option]:
        """The options: all photos, then the collections by name.

        If several collections or a subfolder are chosen, they are a further option. The chosen option sends nothing,
        because hidden fields hold the present filters already.
        """
        found = [Option("", None, ALL if self.chosen else "", not self.chosen)]
        for card in sorted(self.cards, key=lambda card: card.name.casefold()):
            chosen = [card.value] == self.chosen
            found.append(Option(card.name, card.photos, "" if chosen else f"{IN} {card.value}", chosen))
        if not any(option.chosen for option in found):
            names = {card.value: card.name for card in self.cards}
            found.append(Option(" + ".join(names.get(value, value) for value in self.chosen), None, "", True))
        return found


def make_picker(collections: Collections, search: SearchRequest) -> Picker:
    """Return the picker for a search; its chosen option is what the search is limited to."""
    cards = [_make_card(collections, found) for found in collections.found]
    given = search.filter_parameters.get(collections.filter_name, [])
    return Picker(cards, [value for value in given if value.startswith(collections.value_prefix)])


def _make_card(collections: Collections, found: Collection) -> Card:
    value = collections.value_prefix + found.name
    href = page_address("pages.image_search", {collections.filter_name: value})
    return Card(found.name, value, found.count, found.examples, href)
