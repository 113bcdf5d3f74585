"""Dates as cameras, programs and file names write them. The forms are those that public bug reports name."""

import pytest

from image_embeddings.photos.dates import (
    date_of_name,
    is_within_a_day,
    last_day,
    parse_date,
    parse_date_in_digits,
    parse_date_in_words,
    parse_timestamp,
    says_no_more,
)

WRITTEN = {
    "2019:08:14 17:05:06": "2019-08-14T17:05:06",
    "2019-08-14 17-05-06": "2019-08-14T17:05:06",
    "2019;08;14 17;05;06": "2019-08-14T17:05:06",
    "2019/8/4 7:05": "2019-08-04T07:05:00",
    " 2019.08.14  17.05.06": "2019-08-14T17:05:06",
    "2019-08-14T17:05:06": "2019-08-14T17:05:06",
    "2019-08-14T17:05:06.25+02:00": "2019-08-14T17:05:06.25+02:00",
    "2019-08-14T17:05:06Z": "2019-08-14T17:05:06+00:00",
    "2019:08:14 17:05:06-0930": "2019-08-14T17:05:06-09:30",
    "2019:08:14 24:05:06": "2019-08-14T00:05:06",
    "2016:12:31 23:59:60": "2016-12-31T23:59:59",
    "2012:01:05 03:20:11 PM": "2012-01-05T15:20:11",
    "2012:01:05 12:20:11 am": "2012-01-05T00:20:11",
    "2012:01:05 12:20:11 p.m.": "2012-01-05T12:20:11",
    "2019:08:14": "2019-08-14",
    "2019:08:14 17:05:06\0\0": "2019-08-14T17:05:06",
    "2019-08-14T17:05-05:00": "2019-08-14T17:05:00-05:00",
    "2019-08-14T17:05+0200": "2019-08-14T17:05:00+02:00",
    "2019-08-14T17:05Z": "2019-08-14T17:05:00+00:00",
    # A part of a date stays one.
    "1960": "1960",
    "1960-05": "1960-05",
    "1960:05\0": "1960-05",
    "1960:00:00 00:00:00": "1960",
    "1960:05:00 00:00:00": "1960-05",
    "1960-05-06": "1960-05-06",
}
NO_DATES = (
    *(
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:13:01 12:30:00",
        "2024:02:30 12:30:00",
        "2024:05:01 25:30:00",
    ),
    *(
        "2024:05:01 12:60:00",
        "2024:05:01 12:30:61",
        "0001:01:01 00:00:00",
        "9999:12:31 23:59:59",
        "yesterday",
        "20240501",
    ),
    *("2024-13", "0000", "9999", "0000-05", "2024:00:05 00:00:00", "2024:13:00 00:00:00", "20", "2024-5"),
    *("", None, "\0" * 20, "9" * 100_000, ": " * 100_000),
)
NAMES = {
    "IMG_20231224_153005.jpg": "2023-12-24T15:30:05",
    "a/IMG-20231224-WA0003.jpg": "2023-12-24",
    "PXL_20240501_103045123.jpg": "2024-05-01T10:30:45.123+00:00",
    "Screenshot_20240915-101500_Chrome.png": "2024-09-15T10:15:00",
    "Screenshot 2024-09-15 at 10.15.00.png": "2024-09-15T10:15:00",
    "WhatsApp Image 2023-12-24 at 10.11.12.jpeg": "2023-12-24T10:11:12",
    "2019-08-14 17.05.06.jpg": "2019-08-14T17:05:06",
    "photo_2023-12-24_10-11-12.jpg": "2023-12-24T10:11:12",
    "signal-2023-12-24-101112.jpg": "2023-12-24T10:11:12",
    "20190814_170506(1).jpg": "2019-08-14T17:05:06",
    "Urlaub 2019-08-14.jpg": "2019-08-14",
    "FB_IMG_1703412345678.jpg": "2023-12-24T10:05:45.678+00:00",
    "mmexport1703412345678.jpg": "2023-12-24T10:05:45.678+00:00",
    "1703412345678.jpg": "2023-12-24T10:05:45.678+00:00",
}
NO_DATES_OF_NAMES = (
    *("IMG_0007.jpg", "DSC01234.jpg", "2024.jpg", "2024-05.jpg", "20241301.jpg", "18991231.jpg", "12345678.jpg"),
    *("2024-05-01/IMG_1.jpg", "120240501.jpg", "202405011.jpg", "9999999999999.jpg", "", "9" * 10_000 + ".jpg"),
)


def test_dates_are_read_however_they_are_written():
    assert {written: parse_date(written) for written in WRITTEN} == WRITTEN


def test_an_impossible_date_is_none():
    assert [written for written in NO_DATES if parse_date(written) is not None] == []


def test_the_offset_beside_a_date_belongs_to_it_if_it_is_one():
    offsets = {"+02:00": "+02:00", "-0930": "-09:30", "Z": "+00:00", "+02:00\0x": "+02:00", " +14:00 ": "+14:00"}
    for offset, expected in {**offsets, "": "", "   :  ": "", "+2": "", "+99:00": "", "+02:60": ""}.items():
        assert parse_date("2024:05:01 12:30:00", offset=offset) == "2024-05-01T12:30:00" + expected, offset


def test_a_date_without_a_time_has_no_offset():
    assert parse_date("2024:05:01", offset="+02:00", fraction="5") == "2024-05-01"


def test_names_of_files_say_when_they_were_taken():
    assert {name: date_of_name(name) for name in NAMES} == NAMES


def test_other_numbers_in_names_are_no_dates():
    assert [name for name in NO_DATES_OF_NAMES if date_of_name(name) is not None] == []


DIGITS = {
    ("20190814", "170506+0200"): "2019-08-14T17:05:06+02:00",
    ("20190814", "170506"): "2019-08-14T17:05:06",
    ("20190814", "17:05:06-05:00"): "2019-08-14T17:05:06-05:00",
    ("20190814", "1705"): "2019-08-14T17:05:00",
    ("2019:08:14", "x"): "2019-08-14",
    ("2019-08-14", None): "2019-08-14",
    ("19600500", None): "1960-05",
    ("19600000", "120000"): "1960",
    ("00000000", "120000"): None,
    ("20191314", "120000"): None,
    ("20190814", "256060"): None,
    ("1960", None): "1960",
    ("", "120000"): None,
    (None, None): None,
}
IN_WORDS = {
    "Wed, 14 Aug 2019 17:05:06 +0200": "2019-08-14T17:05:06+02:00",
    "Wed, 14 Aug 2019 17:05:06 GMT": "2019-08-14T17:05:06+00:00",
    "Wed 14 Aug 2019 05:05:06 PM CEST": "2019-08-14T17:05:06",
    "Wed 14 Aug 2019 12:05:06 AM CEST": "2019-08-14T00:05:06",
    "Wed Aug 14 17:05:06 2019": "2019-08-14T17:05:06",
    "14 Aug 2019 17:05": "2019-08-14T17:05:00",
    "2019-08-14T17:05:06+02:00": "2019-08-14T17:05:06+02:00",
    "2019:08:14 17:05:06": "2019-08-14T17:05:06",
    "Wed, 14 Foo 2019 17:05:06": None,
    "Wed, 41 Aug 2019 17:05:06": None,
    "14 Aug 9999 17:05:06": None,
    "yesterday": None,
    ", ,": None,
    "": None,
    None: None,
    "1 " * 100_000: None,
}


def test_dates_in_digits_are_read_with_zeros_for_what_is_not_known():
    assert {written: parse_date_in_digits(*written) for written in DIGITS} == DIGITS


def test_dates_in_words_are_read():
    assert {written: parse_date_in_words(written) for written in IN_WORDS} == IN_WORDS


def test_a_timestamp_is_a_moment_in_utc():
    moments = {1519844096: "2018-02-28T18:54:56+00:00", -304_000_000: "1960-05-14T11:33:20+00:00"}
    assert {seconds: parse_timestamp(seconds) for seconds in moments} == moments
    assert [parse_timestamp(seconds) for seconds in (10**11, -(10**11), 10**30, -(10**30))] == [None] * 4


@pytest.mark.parametrize(
    ("taken", "last"), [("1960", "1960-12-31"), ("1960-02", "1960-02-29"), ("1961-02", "1961-02-28")]
)
def test_a_year_or_a_month_has_a_last_day(taken, last):
    assert last_day(taken).isoformat() == last


def test_a_day_and_a_moment_are_no_longer_than_a_day():
    assert [last_day(taken) for taken in ("1960-05-06", "1960-05-06T12:00:00", "1960-05-06T12:00:00.5+02:00")] == (
        [None] * 3
    )


MOMENT = "2019-08-14T17:05:06.25+02:00"


@pytest.mark.parametrize(
    ("taken", "other", "no_more"),
    [
        *((part, MOMENT, True) for part in ("2019", "2019-08", "2019-08-14", "2019-08-14T17:05:06", MOMENT)),
        ("2019-08-14T17:05:06.000", MOMENT, True),
        ("2019-08-14T17:05:06+02:00", MOMENT, True),
        ("2019-08-14T17:05:06+03:00", MOMENT, False),
        ("2019-08-14T17:05:06+02:00", "2019-08-14T17:05:06", False),
        ("2019-08-14T17:05:07", MOMENT, False),
        ("2019-08-14T17:05:06", "2019-08-14", False),
        ("2018", MOMENT, False),
        ("2019-08-14", "2019-08", False),
    ],
)
def test_a_date_says_no_more_if_it_is_the_same_or_a_part(taken, other, no_more):
    assert says_no_more(taken, other) is no_more


@pytest.mark.parametrize(
    ("other", "within"),
    [
        ("2019-08-15T07:05:06+14:00", True),
        ("2019-08-14T05:05:06", True),
        ("2019-08-14", True),
        ("2019-08-15", True),  # at +07:00 and further east
        ("2019-08-13", False),  # 05:05 is the earliest clock of that moment
        ("2019-08", True),
        ("2019", True),
        ("2019-08-13T17:05:05", False),
        ("2019-08-16", False),
        ("2019-07", False),
        ("2018", False),
    ],
)
def test_a_moment_in_utc_is_compared_with_a_clock_of_any_zone(other, within):
    assert is_within_a_day("2019-08-14T17:05:06+00:00", other) is within
