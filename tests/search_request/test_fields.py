"""Values of parameters that are refused before anything is made of them, and what their refusals say."""

import re
from datetime import date, timedelta

import pytest
from marshmallow import ValidationError

from app.search_request.fields import BOX, DATE, BoxOfDegrees, ColumnValue, Day, Number, PhotoName, Several, WholeNumber
from app.search_request.schemas import QuerySchema, UploadSchema, UploadsSchema
from image_embeddings import errors

DAY, PLACE, COLUMN, PHOTO = Day("When."), BoxOfDegrees("Where."), ColumnValue(max_bytes=50), PhotoName()
EASTERN_DIGITS = "".join(map(chr, range(0x0660, 0x066A)))


def is_date(text):
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def test_the_pattern_of_dates_has_exactly_the_days_of_the_calendar():
    years = ("0000", "0001", "0004", "0100", "0400", "1900", "2000", "2023", "2024", "2100", "9999")
    texts = [f"{year}-{month:02}-{day:02}" for year in years for month in range(14) for day in range(33)]
    assert [text for text in texts if bool(re.fullmatch(DATE, text)) != is_date(text)] == []
    every = [(date(2023, 12, 1) + timedelta(days)).isoformat() for days in range(500)]
    assert all(re.fullmatch(DATE, text) for text in every)


@pytest.mark.parametrize("given", ["2024", "2024-05", "2024-02-29", "0001"])
def test_years_months_and_days_are_taken(given):
    assert DAY.deserialize(given) == given


@pytest.mark.parametrize(
    "given", ["yesterday", "2024-5", "2023-02-29", "0000", EASTERN_DIGITS[:4], "2024\n", " 2024", "9" * 5000]
)
def test_what_is_no_date_is_refused(given):
    with pytest.raises(ValidationError):
        DAY.deserialize(given)


@pytest.mark.parametrize(
    ("given", "box"),
    [
        ("41,12,42,13", (41, 12, 42, 13)),
        ("-20.5, 179, 0, -179.25", (-20.5, 179, 0, -179.25)),
        ("-90,-180,90,180.0", (-90, -180, 90, 180)),
        ("0,0,1e-05,1e-05", (0, 0, 1e-5, 1e-5)),
    ],
)
def test_boxes_are_taken(given, box):
    assert PLACE.deserialize(given) == box


@pytest.mark.parametrize(
    "given",
    [
        "1,2,3",
        "9,0,-9,1",
        "0,0,91,0",
        "0,181,0,0",
        "0,0,0,5e-324",
        "nan,0,0,0",
        ",".join(EASTERN_DIGITS[:4]),
        "1" * 500,
    ],
)
def test_what_is_no_box_is_refused(given):
    with pytest.raises(ValidationError):
        PLACE.deserialize(given)


@pytest.mark.parametrize("given", ["shelf", "x" * 101 + "=1", "x=" + "ä" * 25])
def test_what_is_no_column_is_refused(given):
    with pytest.raises(ValidationError):
        COLUMN.deserialize(given)
    assert COLUMN.deserialize("shelf=3=4") == ("shelf", "3=4")


@pytest.mark.parametrize("part", ["0,0,0,0", "50,50,60,10", "0,0,10,0.0"])
def test_a_part_outside_of_a_photo_is_refused(part):
    with pytest.raises(ValidationError):
        PHOTO.deserialize(f"a.jpg#xywh=percent:{part}")


def test_a_name_longer_than_that_of_any_photo_is_not_found():
    longest = "x" * 512
    assert PHOTO.deserialize(longest) == longest
    assert PHOTO.deserialize(part := f"{longest}#xywh=percent:10.000001,10.000001,50.000001,50.000001") == part
    with pytest.raises(errors.ImageNotFoundError, match=r"x{100}…'"):
        PHOTO.deserialize(longest + "x")


@pytest.mark.parametrize("field", [WholeNumber(), Number()])
@pytest.mark.parametrize("given", [EASTERN_DIGITS[3], "1_0", "", "nan", "inf", "9" * 5000, "0x1"])
def test_a_number_has_ascii_digits_only(field, given):
    with pytest.raises(ValidationError) as refusal:
        field.deserialize(given)
    assert len(str(refusal.value)) < 200


def test_numbers_are_taken():
    assert (WholeNumber().deserialize(" 20 "), Number().deserialize("1e1"), Number().deserialize(".5")) == (20, 10, 0.5)


class Unread(WholeNumber):
    """A field that must not be asked for its value."""

    def deserialize(self, value, *args, **options):
        raise AssertionError(value)


def test_none_of_too_many_values_is_looked_at():
    with pytest.raises(ValidationError, match="There are 4 values; 3 at most"):
        Several(Unread(), most=3).deserialize(["1"] * 4)


@pytest.mark.parametrize("schema", [UploadSchema(), UploadsSchema()])
def test_an_empty_text_is_no_photo(schema):
    with pytest.raises(ValidationError, match="It is empty"):
        schema.load({"q": ["red"], "image": [""]})


def test_a_search_has_ten_thousand_characters_of_filters_at_most():
    asked = {"q": ["red"], "label": ["x" * 5000], "column": [f"shelf={'x' * 4994}"]}
    with pytest.raises(ValidationError, match="10001 characters"):
        QuerySchema().load({**asked, "camera": ["xx"]})
    assert QuerySchema().load({**asked, "camera": ["x"]}).filters.columns == (("shelf", "x" * 4994),)


def test_the_description_of_the_api_has_the_bounds():
    from app import create_app
    from image_embeddings.config import load_settings

    answer = create_app(load_settings({})).test_client().get("/api/openapi.json").json
    parameters = answer["paths"]["/api/v1/search"]["get"]["parameters"]
    described = {parameter["name"]: parameter["schema"] for parameter in parameters}
    assert (described["from"]["pattern"], described["place"]["pattern"]) == (f"^({DATE})$", f"^({BOX})$")
    assert (described["weight"]["items"]["minimum"], described["weight"]["items"]["maximum"]) == (0.01, 10)
    bounded = {name for name, schema in described.items() if "maxItems" in schema}
    assert bounded == {name for name, schema in described.items() if schema["type"] == "array"}
    assert (described["q"]["items"]["maxLength"], described["like"]["items"]["minLength"]) == (1000, 1)
