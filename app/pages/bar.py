"""The search bar: what its form adds to a query and changes in it, and how the parts are shown as chips."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from werkzeug.datastructures import MultiDict

from app.search_request import crops
from app.search_request.crops import Box
from app.search_request.parts import OPPOSITE, QueryPart, in_order, parameters_of, part
from app.services import services
from image_embeddings import ImageDocument, errors

WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
# What only the form sends: addresses have what comes of it.
FORM_FIELDS = ("text", "not", "add", "edit", "image")
UNFILTER = "unfilter"
# `beach -people`: a sign before a word, not before a number. Phones write dashes for minus.
_SIGN = re.compile(r"(?:^|\s)([+−–-])(?=[^\W\d_])")
_EDIT = re.compile(r"(remove|turn|only|weigh) (\d{1,3})(?: (\d{1,2}(?:\.\d{1,3})?))?")


class Chip(NamedTuple):
    """A part of the query as it is shown."""

    number: int  # among the chips of the bar, from 0: the form's `edit` names it so
    part: QueryPart
    document: ImageDocument | None = None  # of an indexed photo
    box: Box | None = None  # of a part of one
    upload: int = 0  # among several uploaded ones, from 1
    steps: Sequence[float] = WEIGHTS

    @property
    def can_turn(self) -> bool:
        """Whether it can be wanted as well as unwanted."""
        return self.part.name in OPPOSITE


class Bar(NamedTuple):
    """What the bar holds: the text in its field, the chips before it, and both as all the parts of the query."""

    text: str
    chips: Sequence[Chip]
    parts: Sequence[Chip]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names and values of the hidden fields that stand for the chips."""
        return fields_of([chip.part for chip in self.chips])


def bar_of(parts: Sequence[QueryPart]) -> Bar:
    """The bar for a query: a single text of the usual weight stands in the field, where it is changed by typing."""
    texts = [each for each in parts if each.name == "q"]
    text = texts[0] if len(texts) == 1 and texts[0].is_usual else None
    chips = [_chip(number, each) for number, each in enumerate(each for each in parts if each is not text)]
    uploads = [chip for chip in chips if chip.part.name == "image"]
    if len(uploads) > 1:
        numbers = {chip.number: number for number, chip in enumerate(uploads, start=1)}
        chips = [chip._replace(upload=numbers.get(chip.number, 0)) for chip in chips]
    return Bar(text.value, chips, [Chip(-1, text), *chips]) if text else Bar("", chips, chips)


def fields_of(parts: Sequence[QueryPart]) -> list[tuple[str, str]]:
    """Names and values of the hidden fields that give these parts again; uploads as the copies that pages carry."""
    return [
        ("picture", value.copy) if name == "image" else (name, value)
        for name, values in parameters_of(parts).items()
        for value in values
    ]


def changed(parts: Sequence[QueryPart], form: MultiDict[str, str]) -> list[QueryPart]:
    """The parts, with what the form changes in them and adds to them.

    Raises:
        QueryError: it names a chip or change that there is not.
    """
    edit = form.get("edit", "")
    found = list(parts) if edit in ("", UNFILTER) else edited(parts, edit)
    found = [new for old in found for new in (typed(old.value) if old.name == "q" and old.is_usual else [old])]
    found += [new for text in form.getlist("text") for new in typed(text)]
    found += [part("without", text.strip()) for text in form.getlist("not") if text.strip()]
    found += [part("like", photo) for photo in form.getlist("add") if photo]
    return in_order(each for place, each in enumerate(found) if each not in found[:place])


def typed(text: str) -> Iterator[QueryPart]:
    """The parts of a text as people type it: `beach -people +sunset`."""
    first, *signed = _SIGN.split(text)
    for sign, words in [("+", first), *zip(signed[::2], signed[1::2], strict=True)]:
        if words.strip():
            yield part("q" if sign == "+" else "without", words.strip())


def edited(parts: Sequence[QueryPart], edit: str) -> list[QueryPart]:
    """The parts after one change.

    `remove 0`; `turn 0`, from plus to minus or back; `weigh 0 0.5`; `only 0`, of all uploaded photos.

    Raises:
        QueryError: there is no such change or part.
    """
    found = _EDIT.fullmatch(edit)
    if not found or int(found[2]) >= len(parts) or (found[1] == "weigh") != bool(found[3]):
        raise errors.QueryError(f"edit is '{edit}'. Nothing of the query can be changed so; go back and try again.")
    place = int(found[2])
    before, old, after = list(parts[:place]), parts[place], list(parts[place + 1 :])
    if found[1] == "remove":
        return before + after
    if found[1] == "only":
        return [each for number, each in enumerate(parts) if each.name != "image" or number == place]
    return [*before, _turned(old) if found[1] == "turn" else old._replace(weight=float(found[3])), *after]


def _turned(old: QueryPart) -> QueryPart:
    name = OPPOSITE.get(old.name)
    if name is None:
        raise errors.QueryError("An uploaded photo can only be searched for, not left out.")
    return part(name, old.value) if old.is_usual else QueryPart(name, old.value, old.weight)


def _chip(number: int, shown: QueryPart) -> Chip:
    if not isinstance(shown.value, str) or shown.is_text:
        return Chip(number, shown)
    image_id, box = crops.named(shown.value)
    return Chip(number, shown, services().search.get(image_id), box)
