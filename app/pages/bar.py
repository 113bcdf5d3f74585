"""The search bar: the parts of a query as chips and in its field, and the picker of collections."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.search_request import crops
from app.search_request.crops import Box
from app.search_request.page_form import ALL, IN, OPPOSITE
from app.search_request.request import QueryPart, SearchRequest, parameters_of_parts
from app.web.addresses import address_with
from image_embeddings import Collection, Collections, ImageDocument

WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)


class Chip(NamedTuple):
    """A part of the query as it is shown."""

    number: int  # its place among the chips of the bar, from 0; the form's `edit` uses this number
    part: QueryPart
    document: ImageDocument | None = None  # of an indexed photo
    box: Box | None = None  # of a part of one
    upload: int = 0  # its place among several uploaded photos, from 1; else 0
    steps: Sequence[float] = WEIGHTS

    @property
    def can_turn(self) -> bool:
        """Whether the part can be turned from wanted to unwanted and back."""
        return self.part.name in OPPOSITE


class SearchBar(NamedTuple):
    """The contents of the bar: the text in its field, the chips before the field, and all parts of the query."""

    text: str
    chips: Sequence[Chip]
    parts: Sequence[Chip]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names and values of the hidden fields of the chips."""
        return fields_of([chip.part for chip in self.chips])


def make_bar(parts: Sequence[QueryPart], documents: Mapping[str, ImageDocument]) -> SearchBar:
    """Return the search bar for a query.

    If there is exactly one text and it has the usual weight, it is in the field, where people can edit it. All other
    parts are chips. `documents` maps the image_id of each indexed photo among the parts to its document.
    """
    texts = [part for part in parts if part.name == "q"]
    text = texts[0] if len(texts) == 1 and texts[0].is_usual else None
    others = [part for part in parts if part is not text]
    chips = [_make_chip(number, part, documents) for number, part in enumerate(others)]
    uploads = [chip for chip in chips if chip.part.name == "image"]
    if len(uploads) > 1:
        numbers = {chip.number: number for number, chip in enumerate(uploads, start=1)}
        chips = [chip._replace(upload=numbers.get(chip.number, 0)) for chip in chips]
    return SearchBar(str(text.value), chips, [Chip(-1, text), *chips]) if text else SearchBar("", chips, chips)


def image_ids_of(parts: Sequence[QueryPart]) -> list[str]:
    """Return the image_ids of the indexed photos among the parts."""
    return [crops.split_fragment(part.value)[0] for part in parts if isinstance(part.value, str) and not part.is_text]


def fields_of(parts: Sequence[QueryPart]) -> list[tuple[str, str]]:
    """Return names and values of the hidden fields from which these parts can be read again."""
    return [(name, value) for name, values in parameters_of_parts(parts).items() for value in values]


def _make_chip(number: int, part: QueryPart, documents: Mapping[str, ImageDocument]) -> Chip:
    if not isinstance(part.value, str) or part.is_text:
        return Chip(number, part)
    image_id, box = crops.split_fragment(part.value)
    return Chip(number, part, documents[image_id], box)


class Card(NamedTuple):
    """A collection to start from."""

    name: str
    filter_name: str
    value: str  # of the filter
    photos: int
    examples: tuple[ImageDocument, ...]

    @property
    def href(self) -> str:
        """The address of the page with its photos."""
        return address_with("pages.image_search", {self.filter_name: self.value})


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
    return Card(found.name, collections.filter_name, value, found.count, found.examples)
