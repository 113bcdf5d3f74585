import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from image_embeddings.photos.exif import (
    NAME_LENGTH,
    camera_make,
    camera_model,
    changed,
    digitized,
    lens,
    number,
    plain,
    taken,
)
from image_embeddings.photos.orientation import orientation

NOON = "2024:05:01 12:30:00"
ORIGINAL, DIGITIZED, ORIGINAL_OFFSET, DIGITIZED_OFFSET, LENS_MODEL = 36867, 36868, 36881, 36882, 42036
SUBSEC_ORIGINAL = 37521


def detailed(details=None, **tags):
    """Return EXIF with these tags (by the names of Pillow), and with the details below them."""
    made = Image.Exif()
    made.update({ExifTags.Base[name]: value for name, value in tags.items()})
    made.get_ifd(ExifTags.IFD.Exif).update(details or {})
    return made


def test_the_date_is_local_time_without_an_assumed_zone():
    assert taken(detailed({ORIGINAL: NOON})) == "2024-05-01T12:30:00"


@pytest.mark.parametrize("offset", ["+02:00", "-09:30", "+00:00", "+14:00"])
def test_the_offset_belongs_to_the_date_if_it_is_given(offset):
    assert taken(detailed({ORIGINAL: NOON, ORIGINAL_OFFSET: offset})) == f"2024-05-01T12:30:00{offset}"


@pytest.mark.parametrize("offset", ["", "   :  ", "+2", "+99:00", "+02:00\0\0x", 2, b"+02"])
def test_an_absurd_offset_is_ignored(offset):
    found = taken(detailed({ORIGINAL: NOON, ORIGINAL_OFFSET: offset}))
    assert found in ("2024-05-01T12:30:00", "2024-05-01T12:30:00+02:00")


@pytest.mark.parametrize(
    "written", [NOON, "2024-05-01 12:30:00", "2024-05-01T12:30:00", "2024:05:01 12:30", NOON + "\0"]
)
def test_dates_as_programs_write_them_are_read(written):
    assert taken(detailed({ORIGINAL: written})) == "2024-05-01T12:30:00"


@pytest.mark.parametrize(
    "written",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:13:01 12:30:00",
        "2024:02:30 12:30:00",
        "2024:05:01 25:30:00",
        "0001:01:01 00:00:00",
        "9999:12:31 23:59:59",
        "yesterday",
        "\0" * 20,
        "",
        "9" * 1_000_000,
        12,
        b"\xff\xfe",
        (1, 2),
        None,
    ],
)
def test_an_absurd_date_is_ignored(written):
    assert taken(detailed({ORIGINAL: written})) is None


def test_the_date_of_digitizing_is_another_thing():
    made = detailed({ORIGINAL: "0000:00:00 00:00:00", DIGITIZED: NOON, DIGITIZED_OFFSET: "+01:00"})
    assert (taken(made), digitized(made)) == (None, "2024-05-01T12:30:00+01:00")


def test_the_date_of_the_last_change_is_another_thing():
    made = detailed(DateTime=NOON, Software="An image program")
    assert (taken(made), changed(made)) == (None, "2024-05-01T12:30:00")


def test_tags_one_level_too_high_are_found():
    assert taken(detailed(DateTimeOriginal=NOON, OffsetTimeOriginal="+02:00")) == "2024-05-01T12:30:00+02:00"


def test_fractions_of_a_second_belong_to_the_date():
    for written, fraction in (("10", ".10"), ("007", ".007"), ("5\0", ".5"), ("  ", ""), ("x", "")):
        assert taken(detailed({ORIGINAL: NOON, SUBSEC_ORIGINAL: written})) == "2024-05-01T12:30:00" + fraction


@pytest.mark.parametrize(("date", "expected"), [(NOON, "2024-05-01T12:30:00"), ("1970:01:01 00:00:00", None)])
def test_the_date_that_libraw_gives_a_preview_is_used_unless_it_is_its_zero(date, expected):
    assert changed(detailed(DateTime=date, Software="dcraw v9.26")) == expected


def test_camera_and_lens_have_names():
    exif = detailed({LENS_MODEL: "24-70mm F2.8\0\0"}, Make="Maker \0", Model="  Camera\n2 ")
    assert (camera_make(exif), camera_model(exif), lens(exif)) == ("Maker", "Camera 2", "24-70mm F2.8")


@pytest.mark.parametrize("value", ["", " ", "\0", 5, 1.5, (1, 2), None, b""])
def test_a_name_that_is_empty_or_no_text_is_ignored(value):
    exif = detailed({LENS_MODEL: value}, Make=value, Model=value)
    assert (camera_make(exif), camera_model(exif), lens(exif)) == (None, None, None)


def test_a_name_of_a_megabyte_is_cut():
    assert camera_model(detailed(Model="x" * 1_000_000)) == "x" * NAME_LENGTH


def test_damaged_directories_are_ignored():
    made = Image.Exif()
    made.load(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\xff\xff\xff\x7f\0\0\0\0")
    assert (taken(made), lens(made), orientation(made)) == (None, None, 1)


def test_plain_text_comes_from_bytes_of_either_encoding():
    assert plain("Küste".encode(), length=9) == plain("Küste".encode("cp1252"), length=9) == "Küste"


@pytest.mark.parametrize(
    "value", ["Kamera Gr\u00fcn", "Kamera Grün".encode(), "Kamera Grün".encode().decode("latin-1")]
)
@pytest.mark.parametrize("padding", ["", "\0", "\0\0\0", " ", " \0 "])
def test_a_name_is_read_whatever_its_type_encoding_and_padding(value, padding):
    padded = value + (padding.encode() if isinstance(value, bytes) else padding)
    for written in (padded, tuple(padded.encode("latin-1") if isinstance(padded, str) else padded)):
        made = detailed({LENS_MODEL: written}, Model=written)
        assert (camera_model(made), lens(made)) == ("Kamera Grün", "Kamera Grün")


def test_a_lens_in_the_first_directory_is_read():
    assert lens(detailed(LensModel="50mm F1.8")) == "50mm F1.8"


@pytest.mark.parametrize("filler", ["----", "0.0 mm f/0.0", "0mm", "N/A", "Unknown", " - ", "0.0-0.0 mm f/0.0-0.0"])
def test_a_filler_is_no_lens(filler):
    assert lens(detailed({LENS_MODEL: filler})) is None


@pytest.mark.parametrize(
    "value", [6, (6,), (6, 0), b"\6", b"\6\0", "\6", "6", b"6", "6\0", 6.0, IFDRational(6, 1), IFDRational(12, 2)]
)
def test_an_orientation_is_read_whatever_its_type(value):
    assert orientation(detailed(Orientation=value)) == 6


@pytest.mark.parametrize("value", [0, 9, -1, 1.5, b"", b"\0", "", "x", (), None, IFDRational(0, 0), b"\xff\xff"])
def test_an_absurd_orientation_is_upright(value):
    assert orientation(detailed(Orientation=value)) == 1


@pytest.mark.parametrize("value", [None, "", "x", b"", (), IFDRational(0, 0), IFDRational(1, 0), float("inf"), "."])
def test_what_is_no_number_is_none(value):
    assert number(value) is None
