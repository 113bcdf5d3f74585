"""The query of a page: what its address or form says, with what the form adds and changes."""

from typing import Any

from flask import request
from werkzeug.datastructures import MultiDict

from app.pages import bar, collections
from app.pages.filters import PARAMETERS
from app.search_request import parameters, pictures
from app.search_request.parts import NAMES, QueryPart, in_order, parameters_of, parts_of

DEFAULT_K = 20
# What only forms send: addresses have what comes of it.
FORM_FIELDS = (*bar.FORM_FIELDS, collections.FIELD)


def page_query(*added: QueryPart) -> dict[str, Any]:
    """What the address or the form asks for, with these parts, too.

    Besides what `parameters.search` takes: `parts`, and the hidden `fields` that give them again; `sent`, whether
    uploads are among them, so that no address can name the search; `by_form`, whether a shorter address says the same.

    Raises:
        QueryError: a value cannot be used; says which.
        ImageError: a photo that the page carried along cannot be read.
    """
    values: MultiDict[str, str] = MultiDict(request.values)
    if values.get("edit") == bar.UNFILTER:
        for name in PARAMETERS:
            values.poplist(name)
    collections.pick(values)
    asked = parameters.from_page(values, k=DEFAULT_K)
    if request.method == "POST":
        asked["image"] = [pictures.of_copy(copy) for copy in request.form.getlist("picture")]
    before = parts_of(asked)
    parts = in_order([*bar.changed(before, values), *added])
    return {
        **{name: value for name, value in asked.items() if name not in (*NAMES, "weight")},
        **parameters_of(parts),
        "parts": parts,
        "fields": bar.fields_of(parts),
        "sent": any(each.name == "image" for each in parts),
        "by_form": parts != before or "" in request.args.values() or not set(FORM_FIELDS).isdisjoint(request.args),
        "verdict": True,
        "fold": True,
        "facets": not asked["offset"],
    }
