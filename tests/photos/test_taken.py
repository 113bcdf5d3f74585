"""When a photo was taken, by the metadata in its file, compared with exiftool."""

import json
from itertools import pairwise

import pytest
from PIL import PngImagePlugin

from image_embeddings.photos.photo import PhotoBytes, content_hash, decode_photo
from tests.pictures import save

ORIGINAL, OTHER = "2019:08:14 17:05:06", "2021:01:02 03:04:05"


def taken(path):
    data = path.read_bytes()
    photo = PhotoBytes(image_id=path.name, data=data, mtime_ns=0, content_hash=content_hash(data))
    document = decode_photo(photo, max_pixels=10**6).document
    return document.taken, document.taken_by


def written(tmp_path, run_exiftool, *flags, name="a.jpg"):
    path = save(tmp_path / name, colour="red")
    run_exiftool("-q", "-overwrite_original", *flags, str(path))
    return path


TAGS = {
    "EXIF:DateTimeOriginal": "exif",
    "EXIF:CreateDate": "exif",
    "EXIF:ModifyDate": "exif",
    "XMP-exif:DateTimeOriginal": "xmp",
    "XMP-exif:DateTimeDigitized": "xmp",
    "XMP-photoshop:DateCreated": "xmp",
    "XMP-xmp:CreateDate": "xmp",
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize(("tag", "source"), TAGS.items())
def test_a_date_is_read_from_where_exiftool_writes_it(tmp_path, run_exiftool, tag, source, suffix):
    path = written(tmp_path, run_exiftool, f"-{tag}={ORIGINAL}", name=f"a{suffix}")
    (facts,) = json.loads(run_exiftool("-j", "-d", "%Y-%m-%dT%H:%M:%S", f"-{tag}", str(path)))
    assert taken(path) == (facts[tag.partition(":")[2]], source)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
@pytest.mark.parametrize(
    ("date", "time"), [("DateCreated", "TimeCreated"), ("DigitalCreationDate", "DigitalCreationTime")]
)
def test_the_dates_of_iptc_are_read(tmp_path, run_exiftool, date, time, suffix):
    path = written(tmp_path, run_exiftool, f"-IPTC:{date}=2019:08:14", name=f"a{suffix}")
    assert taken(path) == ("2019-08-14", "iptc")
    run_exiftool("-q", "-overwrite_original", f"-IPTC:{time}=17:05:06+02:00", str(path))
    assert taken(path) == ("2019-08-14T17:05:06+02:00", "iptc")


def test_the_zone_and_the_fraction_of_xmp_belong_to_the_date(tmp_path, run_exiftool):
    path = written(tmp_path, run_exiftool, "-XMP-photoshop:DateCreated=2019:08:14 17:05:06.25-05:00")
    assert taken(path) == ("2019-08-14T17:05:06.25-05:00", "xmp")


@pytest.mark.parametrize("part", ["1960", "1960-05"])
def test_a_part_of_a_date_stays_one(tmp_path, run_exiftool, part):
    path = written(tmp_path, run_exiftool, f"-XMP-photoshop:DateCreated={part.replace('-', ':')}")
    assert taken(path) == (part, "xmp")


# The tags from the one that goes before all others to the one that goes last.
ORDER = (
    "EXIF:DateTimeOriginal",
    "XMP-exif:DateTimeOriginal",
    "XMP-photoshop:DateCreated",
    "IPTC:DateCreated",
    "EXIF:CreateDate",
    "XMP-exif:DateTimeDigitized",
    "XMP-xmp:CreateDate",
    "IPTC:DigitalCreationDate",
    "EXIF:ModifyDate",
)


@pytest.mark.parametrize(("first", "second"), [*pairwise(ORDER)])
def test_the_date_of_what_is_shown_goes_before_that_of_its_digital_form(tmp_path, run_exiftool, first, second):
    path = written(tmp_path, run_exiftool, f"-{first}={ORIGINAL}", f"-{second}={OTHER}")
    assert taken(path)[0].startswith("2019-08-14")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["-XMP-photoshop:DateCreated=1960", "-IPTC:DateCreated=1960:05:06"], ("1960-05-06", "iptc")),
        (
            ["-XMP-exif:DateTimeOriginal=2019:08:14", f"-XMP-photoshop:DateCreated={ORIGINAL}"],
            ("2019-08-14T17:05:06", "xmp"),
        ),
        (["-XMP-photoshop:DateCreated=1960", "-IPTC:DateCreated=1961:05:06"], ("1960", "xmp")),
        (["-XMP-photoshop:DateCreated=2019", f"-EXIF:CreateDate={ORIGINAL}"], ("2019", "xmp")),
        (
            [f"-DateTimeOriginal={ORIGINAL}", f"-XMP-photoshop:DateCreated={ORIGINAL}+02:00"],
            ("2019-08-14T17:05:06", "exif"),
        ),
    ],
)
def test_of_several_dates_of_one_kind_a_part_gives_way_to_what_says_more_of_it(tmp_path, run_exiftool, flags, expected):
    assert taken(written(tmp_path, run_exiftool, *flags)) == expected


def test_a_date_in_the_metadata_goes_before_that_of_the_name(tmp_path, run_exiftool):
    path = written(tmp_path, run_exiftool, f"-XMP-xmp:CreateDate={ORIGINAL}", name="IMG-20231224-WA0003.jpg")
    assert taken(path) == ("2019-08-14T17:05:06", "xmp")
    assert taken(save(path, colour="red")) == ("2023-12-24", "name")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Creation Time", "Wed, 14 Aug 2019 17:05:06 +0200", ("2019-08-14T17:05:06+02:00", "png")),
        ("Creation Time", "2019:08:14 17:05:06", ("2019-08-14T17:05:06", "png")),
        ("exif:DateTimeOriginal", "2019:08:14 17:05:06", ("2019-08-14T17:05:06", "png")),
        ("date:create", "2019-08-14T17:05:06+02:00", (None, None)),
        ("date:modify", "2019-08-14T17:05:06+02:00", (None, None)),
        ("Creation Time", "a while ago", (None, None)),
    ],
)
def test_of_the_texts_of_a_png_those_count_that_say_when_the_picture_was_made(tmp_path, name, value, expected):
    texts = PngImagePlugin.PngInfo()
    texts.add_text(name, value)
    assert taken(save(tmp_path / "a.png", colour="red", pnginfo=texts)) == expected


def test_the_creation_time_that_exiftool_writes_is_read(tmp_path, run_exiftool):
    path = written(tmp_path, run_exiftool, f"-PNG:CreationTime={ORIGINAL}", name="a.png")
    assert taken(path) == ("2019-08-14T17:05:06", "png")


def test_the_time_of_the_last_change_of_a_png_is_no_date_of_the_picture(tmp_path, run_exiftool):
    path = written(tmp_path, run_exiftool, f"-PNG:ModifyDate={ORIGINAL}", name="a.png")
    assert b"tIME" in path.read_bytes()
    assert taken(path) == (None, None)
