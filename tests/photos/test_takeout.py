"""The JSON that Google Photos exports. Its form is that of real exports."""

import json

import pytest

from image_embeddings.photos import takeout
from image_embeddings.photos.facts import Facts
from image_embeddings.photos.places import Place

EXPORT = {
    "title": "IMG_1.jpg",
    "description": "Sled dog\n in the snow",
    "imageViews": "9",
    "creationTime": {"timestamp": "1600598769", "formatted": "Sep 20, 2020, 10:46:09 AM UTC"},
    "photoTakenTime": {"timestamp": "1519844096", "formatted": "Feb 28, 2018, 6:54:56 PM UTC"},
    "geoData": {"latitude": 61.5, "longitude": 23.7, "altitude": 12.5, "latitudeSpan": 0.0, "longitudeSpan": 0.0},
    "geoDataExif": {"latitude": 1.0, "longitude": 2.0, "altitude": 3.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0},
    "people": [{"name": "Ada"}, {"name": "Дочь"}, {"name": "Ada"}, {}],
    "favorited": True,
    "url": "https://photos.google.com/photo/AF1",
}
NOWHERE = {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0}


def read(**changes):
    facts, fault = takeout.read(json.dumps({**EXPORT, **changes}).encode())
    assert fault == ""
    return facts


def test_date_place_caption_and_persons_are_read():
    facts = read()
    assert (facts.taken, facts.taken_by, facts.has_zone) == ("2018-02-28T18:54:56+00:00", "sidecar", False)
    assert facts.place == Place(latitude=61.5, longitude=23.7, altitude=12.5)
    assert (facts.words.caption, facts.words.persons) == ("Sled dog in the snow", ("Ada", "Дочь"))
    assert (facts.words.title, facts.rating) == (None, None)


def test_the_place_of_the_camera_is_used_if_there_is_no_other():
    assert read(geoData=NOWHERE).place == Place(latitude=1.0, longitude=2.0, altitude=3.0)
    assert read(geoData=NOWHERE, geoDataExif=NOWHERE).place is None
    assert read(geoData={**NOWHERE, "latitude": 10.0}).place == Place(latitude=10.0, longitude=0.0)


@pytest.mark.parametrize(
    ("timestamp", "taken"),
    [
        (1519844096, "2018-02-28T18:54:56+00:00"),
        ("-304000000", "1960-05-14T11:33:20+00:00"),
        *((absurd, None) for absurd in ("0", 0, "", None, "x", True, 1.5, "9" * 5000, [], "1e9", "99999999999")),
    ],
)
def test_an_absurd_date_is_none(timestamp, taken):
    facts = read(photoTakenTime={"timestamp": timestamp})
    assert (facts.taken, facts.taken_by) == (taken, "sidecar" if taken else None)


@pytest.mark.parametrize("latitude", [91, -91, "48", None, True, 10**400, [], {}])
def test_an_absurd_place_is_none(latitude):
    assert read(geoData={"latitude": latitude, "longitude": 1.0}, geoDataExif=None).place is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_no_coordinate(number):
    facts, fault = takeout.read(f'{{"geoData": {{"latitude": {number}, "longitude": 1.0}}}}'.encode())
    assert (facts, fault) == (Facts(), "")


@pytest.mark.parametrize("other", [[], "text", 5, None, {"shapes": [], "imageData": "x"}, [{"SourceFile": "a.jpg"}]])
def test_json_of_another_kind_says_nothing(other):
    assert takeout.read(json.dumps(other).encode()) == (Facts(), "")


@pytest.mark.parametrize("people", [None, {}, "Ada", [None], ["Ada"], [{"name": 5}], [{"name": ""}]])
def test_persons_of_another_form_are_none(people):
    assert read(people=people).words.persons == ()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "damaged: Expecting value"),
        (b'{"description": "Sled', "damaged: Unterminated string"),
        (b'{"description": "\xff"}', "it is not UTF-8"),
        (b"[" * 500_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b" " * (takeout.MAX_BYTES + 1), "more than 1,048,576 bytes"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "damaged: Exceeds the limit"),
    ],
)
def test_damaged_and_hostile_json_says_nothing_and_what_is_wrong(data, fault):
    facts, found = takeout.read(data)
    assert facts == Facts()
    assert fault in found


def test_a_mark_of_the_byte_order_is_no_damage():
    facts, fault = takeout.read(b"\xef\xbb\xbf" + json.dumps(EXPORT).encode())
    assert (facts.taken, fault) == ("2018-02-28T18:54:56+00:00", "")
