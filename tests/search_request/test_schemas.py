"""Parameters that are absent cost little, and have the values that marshmallow gives them."""

import pytest
from marshmallow import ValidationError

from app.search_request.schemas import QuerySchema, UploadSchema, UploadsSchema


def outcome(schema, given):
    try:
        return schema.load(given)
    except ValidationError as error:
        return error.messages


@pytest.mark.parametrize("kind", [QuerySchema, UploadSchema, UploadsSchema])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"q": ["a dog"]},
        {"like": ["a.jpg", "b.jpg"], "k": "5", "weight": ["1", "2"]},
        {"folder": ["a"], "from": "2024", "facets": "true"},
        {"k": "0", "place": "here"},
        {"q": None},
    ],
    ids=str,
)
def test_absent_parameters_have_the_values_that_marshmallow_gives_them(kind, given):
    quick, whole = kind(), kind()
    whole.partial = None
    assert outcome(quick, given) == outcome(whole, given)


def test_parameters_that_have_a_value_in_any_case_or_are_needed_are_always_looked_at():
    assert {"k", "offset", "sort", "words", "facets", "verdict", "fold"}.isdisjoint(QuerySchema().partial)
    assert "image" not in UploadsSchema().partial
    assert {"q", "like", "folder", "place"} <= QuerySchema().partial
