"""Dates as cameras, programs and file names write them. The forms are those that public bug reports name."""

from image_embeddings.photos.dates import date_of_name, parse_date

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
