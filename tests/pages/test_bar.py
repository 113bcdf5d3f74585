"""The parts that the search bar makes of typed text and pressed buttons."""

import pytest
from werkzeug.datastructures import MultiDict

from app.pages.bar import make_bar
from app.search_request.page_form import edit_part, edit_parts, split_text
from app.search_request.request import QueryPart, make_part, parameters_of_parts, weigh_parts
from image_embeddings import errors

BEACH, SUNSET, PEOPLE, LION = (
    make_part("q", "beach"),
    make_part("q", "sunset"),
    make_part("without", "people"),
    make_part("like", "lion.jpg"),
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("beach", [BEACH]),
        ("  beach ", [BEACH]),
        ("beach -people", [BEACH, PEOPLE]),
        ("beach −people +sunset", [BEACH, PEOPLE, SUNSET]),
        ("-people", [PEOPLE]),
        ("a T-shirt – on sale", [make_part("q", "a T-shirt – on sale")]),
        ("at -5 degrees", [make_part("q", "at -5 degrees")]),
        ("beach -", [make_part("q", "beach -")]),
        (" ", []),
    ],
)
def test_a_sign_before_a_word_starts_another_part(text, parts):
    assert list(split_text(text)) == parts


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        ("remove 0", [LION, PEOPLE]),
        ("turn 0", [make_part("without", "beach"), LION, PEOPLE]),
        ("turn 1", [BEACH, make_part("unlike", "lion.jpg"), PEOPLE]),
        ("turn 2", [BEACH, LION, make_part("q", "people")]),
        ("weigh 1 0.25", [BEACH, QueryPart("like", "lion.jpg", 0.25), PEOPLE]),
    ],
)
def test_chips_are_removed_inverted_and_weighted(edit, parts):
    assert edit_part([BEACH, LION, PEOPLE], edit) == parts


def test_a_weight_stays_when_a_part_is_inverted():
    assert edit_part([QueryPart("q", "beach", 4)], "turn 0") == [QueryPart("without", "beach", 4)]


def test_one_of_several_uploads_stays_beside_all_other_parts():
    one, two = make_part("image", 1), make_part("image", 2)
    assert edit_part([BEACH, one, two, PEOPLE], "only 2") == [BEACH, two, PEOPLE]


@pytest.mark.parametrize(
    "edit", ["remove 3", "remove", "remove 0 1", "weigh 0", "weigh 0 1e9", "turn -1", "drop 0", "\0"]
)
def test_an_impossible_change_is_a_query_error(edit):
    with pytest.raises(errors.QueryError, match="edit is"):
        edit_part([BEACH, LION, PEOPLE], edit)


def test_an_uploaded_photo_cannot_be_excluded():
    with pytest.raises(errors.QueryError, match="uploaded"):
        edit_part([make_part("image", 1)], "turn 0")


def test_the_form_adds_to_the_parts_in_the_order_of_the_weights_and_nothing_twice():
    form = MultiDict([("text", "sunset"), ("text", ""), ("not", "people"), ("add", "lion.jpg"), ("add", "lion.jpg")])
    assert edit_parts([BEACH], form) == (BEACH, SUNSET, LION, PEOPLE)


def test_one_text_is_typed_in_the_field_and_several_are_chips():
    one, two = make_bar([BEACH, PEOPLE], {}), make_bar([BEACH, SUNSET], {})
    assert (one.text, [chip.part for chip in one.chips]) == ("beach", [PEOPLE])
    assert (two.text, [chip.part for chip in two.chips]) == ("", [BEACH, SUNSET])


def test_a_text_with_a_weight_is_a_chip():
    assert make_bar([QueryPart("q", "beach", 2)], {}).text == ""


def test_the_parameters_of_parts_lead_to_the_same_parts():
    parts = [BEACH, QueryPart("like", "lion.jpg", 0.25), PEOPLE]
    assert parameters_of_parts(parts) == {
        "q": ["beach"],
        "like": ["lion.jpg"],
        "without": ["people"],
        "weight": ["1", "0.25", "0.5"],
    }
    again = [make_part(name, value) for name in ("q", "like", "without") for value in parameters_of_parts(parts)[name]]
    assert weigh_parts(again, [1, 0.25, 0.5]) == tuple(parts)
