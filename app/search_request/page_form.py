"""What a page's address or form asks for, after the additions and changes that the search bar's form sends."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from apiflask.fields import List, Raw
from flask import request
from marshmallow import EXCLUDE, ValidationError
from werkzeug.datastructures import MultiDict

from app.search_request.request import (
    PLAIN_FILTERS,
    QueryPart,
    SearchRequest,
    make_part,
    sort_parts,
)
from app.search_request.schemas import QuerySchema
from app.search_request.uploads import CarriedPhoto, read_copy
from app.services import services
from app.web.errors import problems_of
from image_embeddings import KEYWORD_FACETS, errors

DEFAULT_K = 20
OPPOSITE = {"q": "without", "without": "q", "like": "unlike", "unlike": "like"}
COLLECTION = "collection"  # a field of the form: `all`, `in <value>`, or empty to leave it as it is
ALL, IN = "all", "in"
UNFILTER = "unfilter"  # an edit that removes all filters
# Fields that only forms send. The address of the resulting search has other parameters in their place.
FORM_FIELDS = {"text", "not", "add", "edit", "image", COLLECTION}
# `beach -people`: a sign before a word, not before a number. Phones write a dash in place of a minus.
_SIGN = re.compile(r"(?:^|\s)([+−–-])(?=[^\W\d_])")
_EDIT = re.compile(r"(remove|turn|only|weigh) (\d{1,3})(?: (\d{1,2}(?:\.\d{1,3})?))?")


class PageSchema(QuerySchema):
    """The query of the API; but a page may have neither query nor filter, and sends copies of its uploads again."""

    image = List(Raw())

    def check_something_is_asked_for(self, data: dict[str, Any], **_: Any) -> None:
        """Do nothing: a page may ask for nothing."""


_SCHEMA = PageSchema(unknown=EXCLUDE)  # made once, because making it takes longer than loading a query


class PageForm(NamedTuple):
    """What a page asks for."""

    search: SearchRequest
    is_edited: bool  # whether the form changed the query, so that the search has another address


def parse_page(*added: QueryPart) -> PageForm:
    """Return what the current request's address or form asks for, with the parts `added`.

    Raises:
        QueryError: if a value cannot be used. The message names it.
        ImageError: if the copy of an upload that the page carries along cannot be read.
    """
    values: MultiDict[str, str] = MultiDict(request.values)
    if values.get("edit") == UNFILTER:
        for name in (*KEYWORD_FACETS, *PLAIN_FILTERS):
            values.poplist(name)
    _pick_collection(values)
    carried = request.form.getlist("picture") if request.method == "POST" else []
    asked = _load(values, images=[read_copy(copy) for copy in carried])
    search = asked.with_parts([*edit_parts(asked.parts, values), *added])
    is_edited = search.parts != asked.parts or "" in request.args.values() or not FORM_FIELDS.isdisjoint(request.args)
    return PageForm(replace(search, facets=not search.offset), is_edited)


def parse_k() -> int:
    """Return how many hits the current request's address asks for.

    Raises:
        QueryError: if a value of the address cannot be used. The message names it.
    """
    return _load(request.args, images=[]).k


def _load(values: MultiDict[str, str], *, images: Sequence[CarriedPhoto]) -> SearchRequest:
    """Return what these values ask for; an empty field of a form counts as not given."""
    fields = {str(field.data_key or field.name): field for field in _SCHEMA.load_fields.values()}
    given = {name: [value for value in values.getlist(name) if value.strip()] for name in fields}
    asked = {name: found if isinstance(fields[name], List) else found[-1] for name, found in given.items() if found}
    try:
        loaded: SearchRequest = _SCHEMA.load({"k": DEFAULT_K, **asked, "image": images, "verdict": True, "fold": True})
    except ValidationError as error:
        raise errors.QueryError("; ".join(problems_of(error.messages))) from None
    return loaded


def edit_parts(parts: Sequence[QueryPart], form: MultiDict[str, str]) -> tuple[QueryPart, ...]:
    """Return the parts after the changes and additions of the form.

    Raises:
        QueryError: if the form names a chip or a change that does not exist.
    """
    edit = form.get("edit", "")
    parts = list(parts) if edit in ("", UNFILTER) else edit_part(parts, edit)
    edited = [new for old in parts for new in (_split_typed(old) if old.name == "q" and old.is_usual else [old])]
    edited += [new for text in form.getlist("text") for new in split_text(text)]
    edited += [make_part("without", text.strip()) for text in form.getlist("not") if text.strip()]
    edited += [make_part("like", photo) for photo in form.getlist("add") if photo]
    return sort_parts(part for place, part in enumerate(edited) if part not in edited[:place])


def split_text(text: str) -> Iterator[QueryPart]:
    """Yield the parts of a text as people type it: `beach -people +sunset`."""
    first, *signed = _SIGN.split(text)
    for sign, words in [("+", first), *zip(signed[::2], signed[1::2], strict=True)]:
        if words.strip():
            yield make_part("q" if sign == "+" else "without", words.strip())


def edit_part(parts: Sequence[QueryPart], edit: str) -> list[QueryPart]:
    """Return the parts after one change, which names a part by its number from 0.

    `remove 0` removes the part. `turn 0` turns it from plus to minus or back. `weigh 0 0.5` gives it this weight.
    `only 0` removes all other uploaded photos.

    Raises:
        QueryError: if there is no such change or part.
    """
    words = _EDIT.fullmatch(edit)
    if not words or int(words[2]) >= len(parts) or (words[1] == "weigh") != bool(words[3]):
        raise errors.QueryError(f"edit is '{edit}'. Nothing of the query can be changed so; go back and try again.")
    place = int(words[2])
    before, old, after = list(parts[:place]), parts[place], list(parts[place + 1 :])
    if words[1] == "remove":
        return before + after
    if words[1] == "only":
        return [part for number, part in enumerate(parts) if part.name != "image" or number == place]
    return [*before, _turn(old) if words[1] == "turn" else replace(old, weight=float(words[3])), *after]


def _split_typed(part: QueryPart) -> Iterator[QueryPart]:
    return split_text(str(part.value))


def _turn(old: QueryPart) -> QueryPart:
    name = OPPOSITE.get(old.name)
    if name is None:
        raise errors.QueryError("An uploaded photo can only be searched for, not left out.")
    return make_part(name, old.value) if old.is_usual else replace(old, name=name)


def _pick_collection(values: MultiDict[str, str]) -> None:
    """Replace the collections among the values of a form by the collection that the form's choice names.

    Raises:
        QueryError: if the choice has another value than its options.
    """
    what, _, value = values.get(COLLECTION, "").partition(" ")
    if not what:
        return
    if what not in (ALL, IN) or (what == IN) != bool(value):
        raise errors.QueryError(
            f"{COLLECTION} is '{values[COLLECTION]}'. It is '{ALL}', or '{IN}' and a value of the filter."
        )
    collections = services().collections()
    name, prefix = collections.filter_name, collections.value_prefix
    others = [given for given in values.getlist(name) if not given.startswith(prefix)]
    values.setlist(name, [*others, *([value] if value else ())])
