"""What a page's address or form asks for, after the additions and changes that the search bar's form sends."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from apiflask.fields import List
from flask import request
from marshmallow import EXCLUDE, ValidationError, missing, post_load
from werkzeug.datastructures import MultiDict

from app.search_request.fields import BriefText, PhotoName
from app.search_request.request import (
    PART_NAMES,
    PLAIN_FILTERS,
    QueryPart,
    SearchRequest,
    check_parts,
    make_part,
    sort_parts,
)
from app.search_request.schemas import (
    MAX_UPLOADS,
    QuerySchema,
    part_weight,
    query_text,
    request_of,
    several,
    whole_number,
)
from app.search_request.uploads import MAX_COPY, read_copy
from app.services import services
from app.web.errors import describe_problems
from image_embeddings import KEYWORD_FACETS, MAX_PARTS, MAX_VALUE_BYTES, MAX_WEIGHT, MIN_WEIGHT, errors

DEFAULT_K = 20
MOST_K = 100  # hits of a page: with a thousand it would have more than a megabyte
OPPOSITE = {"q": "without", "without": "q", "like": "unlike", "unlike": "like"}
COLLECTION = "collection"  # a field of the form: `all`, `in <value>`, or empty to leave it as it is
ALL, IN = "all", "in"
UNFILTER = "unfilter"  # an edit that removes all filters
# Fields that only forms send. The address of the resulting search has other parameters in their place.
FORM_FIELDS = {"text", "not", "add", "edit", "image", COLLECTION}
# `beach -people`: a sign before a word, not before a number. Phones write a dash in place of a minus.
_SIGN = re.compile(r"(?:^|\s)([+−–-])(?=[^\W\d_])")
_EDIT = re.compile(r"(remove|turn|only|weigh) ([0-9]{1,3})(?: ([0-9]{1,2}(?:\.[0-9]{1,3})?))?")
_LONGEST_EDIT = len("remove 100 10.000")


class PageSchema(QuerySchema):
    """The parameters of the pages: those of the API, and what forms and links send besides. It loads a dict.

    A page may have neither query nor filter.
    """

    k = whole_number("Number of hits.", least=1, most=MOST_K, load_default=DEFAULT_K)
    text = several(query_text(), "Texts that were typed, with signs before words.", most=MAX_PARTS)
    not_ = several(query_text(), "Texts that photos should not show.", most=MAX_PARTS, data_key="not")
    add = several(PhotoName(), "Further image_ids to find others like.", most=MAX_PARTS)
    edit = BriefText(most=_LONGEST_EDIT)
    collection = BriefText(most=MAX_VALUE_BYTES)
    id = PhotoName()
    picture = several(BriefText(most=MAX_COPY), "Copies of uploads, as data URLs.", most=MAX_UPLOADS)
    # The page of several uploads sends all of them, and the number of the one to be searched for.
    weight = several(part_weight(), "The weight of each part.", most=MAX_PARTS + MAX_UPLOADS)

    def check_something_is_asked_for(self, data: dict[str, Any], **_: Any) -> None:
        """Do nothing: a page may ask for nothing."""

    @post_load
    def make_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Return the values as they are: the form's changes of the query come first."""
        return data


_SCHEMA = PageSchema(unknown=EXCLUDE)  # made once, because making it takes longer than loading a query
_FIELDS = {str(field.data_key or field.name): field for field in _SCHEMA.load_fields.values()}
_ALWAYS = {"verdict": True, "fold": True}  # on pages
_USUAL = {name: field.load_default for name, field in _SCHEMA.load_fields.items() if field.load_default is not missing}
_USUAL |= {"k": DEFAULT_K, **_ALWAYS}


class PageForm(NamedTuple):
    """What a page asks for."""

    search: SearchRequest
    is_edited: bool  # whether the form changed the query, so that the search has another address


def parse_page(*added: QueryPart, by_id: bool = False) -> PageForm:
    """Return what the current request's address or form asks for, with the parts `added`.

    If `by_id`, the parameter `id` is one more photo to find others like.

    Raises:
        QueryError: if a value cannot be used. The message names it.
        ImageNotFoundError: if an image_id is longer than any.
        ImageError: if the copy of an upload that the page carries along cannot be read.
    """
    values = _sent_values()
    _pick_collection(values)
    loaded = _load(values)
    asked = _undecoded_request_of(loaded)
    liked = [make_part("like", loaded["id"])] if by_id and "id" in loaded else []
    parts = sort_parts([*edit_parts(asked.parts, values), *liked, *added])
    search = _decode_copies(asked.with_parts(parts))
    is_edited = parts != asked.parts or "" in request.args.values() or not FORM_FIELDS.isdisjoint(request.args)
    return PageForm(replace(search, facets=not search.offset), is_edited)


def parse_valid() -> SearchRequest:
    """Return what of the current request can be used: the valid values, without the form's changes of the query.

    Raises:
        ImageSearchError: if the copy of an upload cannot be read, or an image_id is longer than any.
    """
    try:
        valid = _load_given(_sent_values())
    except ValidationError as error:
        given: Any = error.valid_data
        valid = {**_USUAL, **given}
        if "filters" in error.messages_dict:  # each may be short enough, but not all together
            valid = _without(valid, (*KEYWORD_FACETS, "column"))
    for names in ((), ("weight",), (*PART_NAMES, "picture", "weight")):
        try:
            return _decode_copies(_undecoded_request_of(_without(valid, names)))
        except errors.QueryError as error:  # another number of weights, or too many parts
            refusal = error
    raise refusal


def _without(loaded: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in loaded.items() if name not in names}


def parse_k() -> int:
    """Return how many hits the current request's address asks for.

    Raises:
        QueryError: if a value of the address cannot be used. The message names it.
    """
    k: int = _load(request.args)["k"]
    return k


def _sent_values() -> MultiDict[str, str]:
    """Return the fields of address and form, without filters if an edit removes these."""
    values: MultiDict[str, str] = MultiDict(request.values)
    if values.get("edit") == UNFILTER:
        for name in (*KEYWORD_FACETS, *PLAIN_FILTERS):
            values.poplist(name)
    return values


def _load(values: MultiDict[str, str]) -> dict[str, Any]:
    try:
        return _load_given(values)
    except ValidationError as error:
        raise errors.QueryError(describe_problems(error.messages)) from None


def _load_given(values: MultiDict[str, str]) -> dict[str, Any]:
    """Return the loaded values of these fields; an empty field of a form counts as not given."""
    given = {name: [value for value in values.getlist(name) if value.strip()] for name in _FIELDS}
    asked = {name: found if isinstance(_FIELDS[name], List) else found[-1] for name, found in given.items() if found}
    loaded: dict[str, Any] = _SCHEMA.load({"k": DEFAULT_K, **asked, **_ALWAYS})
    return loaded


def _undecoded_request_of(loaded: Mapping[str, Any]) -> SearchRequest:
    """Return the request of these loaded values, with copies of uploads as data URLs. It may have too many parts."""
    return request_of({**loaded, "image": loaded.get("picture", ())})


def _decode_copies(search: SearchRequest) -> SearchRequest:
    """Return the same request with the copies of uploads decoded, if it has not too many parts.

    Raises:
        QueryError, ImageError: if it has too many parts, or if a copy cannot be read.
    """
    return search.with_parts(
        replace(part, value=read_copy(part.value)) if part.name == "image" and isinstance(part.value, str) else part
        for part in check_parts(search.parts)
    )


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
    return sort_parts(dict.fromkeys(edited))


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
        raise errors.QueryError(
            f"edit is '{errors.shorten(edit)}'. Nothing of the query can be changed so; go back and try again."
        )
    if words[3] and not MIN_WEIGHT <= float(words[3]) <= MAX_WEIGHT:
        raise errors.QueryError(f"edit is '{edit}'. A weight is from {MIN_WEIGHT} to {MAX_WEIGHT}.")
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
    chosen = values.get(COLLECTION, "")
    what, _, value = chosen.partition(" ")
    if not what:
        return
    if what not in (ALL, IN) or (what == IN) != bool(value):
        raise errors.QueryError(
            f"{COLLECTION} is '{errors.shorten(chosen)}'. It is '{ALL}', or '{IN}' and a value of the filter."
        )
    collections = services().collections()
    name, prefix = collections.filter_name, collections.value_prefix
    others = [given for given in values.getlist(name) if not given.startswith(prefix)]
    values.setlist(name, [*others, *([value] if value else ())])
