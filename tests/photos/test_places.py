import json

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from image_embeddings.photos.photo import PhotoBytes, content_hash, decode_photo
from image_embeddings.photos.places import Place, place
from image_embeddings.photos.xmp import Xmp, read
from tests.pictures import save
from tests.worded_photos import XMP

SYDNEY = {1: "S", 2: (33.0, 52.0, 4.8), 3: "E", 4: (151.0, 12.0, 36.0)}
NAMESPACE = ' xmlns:exif="http://ns.adobe.com/exif/1.0/"'


def gps(values):
    made = Image.Exif()
    made.get_ifd(ExifTags.IFD.GPSInfo).update(values)
    return made


def in_exif(values):
    return place(gps(values), Xmp())


def in_xmp(attributes=False, **values):
    """Return the place in a packet with these properties, as attributes or as elements."""
    short = "".join(f' exif:GPS{name}="{value}"' for name, value in values.items()) if attributes else ""
    long = "" if attributes else "".join(f"<exif:GPS{name}>{value}</exif:GPS{name}>" for name, value in values.items())
    packet = XMP.format(long).replace(' rdf:about=""', f' rdf:about=""{NAMESPACE}{short}')
    return place(Image.Exif(), read(packet.encode()))


def coordinates(found):
    return (found.latitude, found.longitude) if found else None


def spellings(letter, word):
    """Return the ways to write a reference: text, bytes and numbers, padded, in capitals or not."""
    texts = [letter, letter.lower(), word, word.lower(), word.upper()]
    padded = [text + padding for text in texts for padding in ("", "\0", "\0\0\0", " ", " \0", "\n")]
    padded += [blank + letter for blank in (" ", "\0", "\t ")]
    written = [form for text in padded for form in (text, text.encode(), tuple(text.encode()))]
    return [*written, ord(letter)]


@pytest.mark.parametrize(
    ("letter", "word", "sign"), [("N", "North", 1), ("S", "South", -1), ("E", "East", 1), ("W", "West", -1)]
)
def test_a_reference_is_read_however_it_is_written(letter, word, sign):
    of_latitude = letter in "NS"
    for written in spellings(letter, word):
        found = in_exif({**SYDNEY, 1 if of_latitude else 3: written})
        value, size = (found.latitude, 33.868) if of_latitude else (found.longitude, 151.21)
        assert value == pytest.approx(sign * size), written


@pytest.mark.parametrize("written", ["", "\0", " ", "?", "O", "0", b"", b"\xff", (), (300, 0), 0, None, 1.5])
@pytest.mark.parametrize("tag", [1, 3])
def test_a_place_without_a_known_reference_is_none(written, tag):
    assert in_exif({**SYDNEY, tag: written}) is None
    assert in_exif({name: value for name, value in SYDNEY.items() if name != tag}) is None


def test_the_reference_of_the_other_coordinate_is_none():
    assert in_exif({**SYDNEY, 1: "E"}) is None
    assert in_exif({**SYDNEY, 3: "S"}) is None


@pytest.mark.parametrize(
    "written",
    [
        (33.868,),
        33.868,
        IFDRational(33868, 1000),
        (33.0, 52.08),
        (33, 52, IFDRational(48, 10)),
        (IFDRational(33, 1), IFDRational(5208, 100), IFDRational(0, 0)),
        (IFDRational(33868, 1000), IFDRational(0, 0), IFDRational(0, 0)),
        (-33.0, -52.0, -4.8),
        "33.868",
        "33 52 4.8",
        "33,52.08",
        "33/1 52/1 48/10",
        b"33.868\0",
    ],
)
def test_degrees_are_read_in_one_to_three_parts_of_any_type(written):
    assert coordinates(in_exif({**SYDNEY, 2: written})) == pytest.approx((-33.868, 151.21))


@pytest.mark.parametrize(
    "written",
    [
        None,
        (),
        "",
        "south",
        b"\xff\xfe",
        (IFDRational(0, 0),),
        (IFDRational(0, 0), 52.0, 4.8),
        (IFDRational(1, 0), 0.0, 0.0),
        (91.0, 0.0, 0.0),
        (213.0, 0.0, 0.0),
        (float("nan"), 0.0, 0.0),
        (float("inf"), 0.0, 0.0),
    ],
)
def test_a_missing_or_damaged_coordinate_is_no_place(written):
    assert in_exif({**SYDNEY, 2: written}) is None


def test_a_negative_number_of_degrees_is_read_as_exiftool_reads_it():
    assert in_exif({**SYDNEY, 2: (-33.0, 52.0, 4.8)}).latitude == pytest.approx(-32.132)


ZEROS = [(0.0, 0.0, 0.0), (0.0,), (IFDRational(0, 1),) * 3]


@pytest.mark.parametrize("zero", ZEROS)
def test_zero_degrees_both_ways_are_no_place(zero):
    for north, east in (("N", "E"), ("S", "W")):
        assert in_exif({1: north, 2: zero, 3: east, 4: zero}) is None
    assert coordinates(in_exif({**SYDNEY, 2: zero})) == pytest.approx((0, 151.21))  # a place at the equator
    assert coordinates(in_exif({**SYDNEY, 4: zero})) == pytest.approx((-33.868, 0))
    assert in_xmp(Latitude="0,0.0N", Longitude="0,0.0E") is None


@pytest.mark.parametrize("written", ["V", "v", "V\0", "Void", b"V\0\0\0", (86, 0), " V "])
def test_a_void_fix_is_no_place(written):
    assert in_exif({**SYDNEY, 9: written}) is None
    assert in_exif({**SYDNEY, 9: "A"}) is not None


@pytest.mark.parametrize(
    ("height", "reference", "expected"),
    [
        (35.5, b"\0", 35.5),
        (35.5, b"\1", -35.5),
        (35.5, 1, -35.5),
        (35.5, (1,), -35.5),
        (35.5, "1", -35.5),
        (35.5, b"1", -35.5),
        (35.5, "\1", -35.5),
        (35.5, b"\2", 35.5),
        (35.5, b"\3", -35.5),
        (35.5, None, 35.5),
        (-35.5, b"\1", -35.5),
        (-35.5, b"\0", -35.5),
        ((35.5,), b"\0", 35.5),
        ("35.5", b"\0", 35.5),
        (0.0, b"\0", 0),
        (IFDRational(0, 0), b"\0", None),
        (IFDRational(1, 0), b"\0", None),
        (float("inf"), b"\0", None),
        (4294967295.0, b"\0", None),
        (-20_000.0, b"\0", None),
        (None, b"\1", None),
        ("high", b"\0", None),
    ],
)
def test_the_altitude_is_in_metres_and_negative_below_the_sea(height, reference, expected):
    found = in_exif({**SYDNEY, 6: height, 5: reference})
    assert found == Place(latitude=pytest.approx(-33.868), longitude=pytest.approx(151.21), altitude=expected)


@pytest.mark.parametrize("attributes", [True, False])
@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        ("33,52.08S", "151,12.6E"),
        ("33,52,4.8S", "151,12,36E"),
        ("33.868S", "151.21E"),
        ("33,52.08s", " 151,12.6 e "),
        ("S33,52.08", "E 151,12.6"),
        ("33.868 South", "151.21 East"),
        ("33° 52' 4.8&quot; S", "151° 12' 36&quot; E"),
        ("33 deg 52' 4.8&quot; S", "151 deg 12' 36.0&quot; E"),
        ("-33.868", "151.21"),
        ("-33.868°", "+151.21°"),
    ],
)
def test_the_place_in_xmp_is_read_if_exif_has_none(latitude, longitude, attributes):
    found = in_xmp(attributes, Latitude=latitude, Longitude=longitude, Altitude="355/10", AltitudeRef="1")
    assert found == Place(latitude=pytest.approx(-33.868), longitude=pytest.approx(151.21), altitude=-35.5)


@pytest.mark.parametrize(
    "values",
    [
        {"Latitude": "33,52.08S"},
        {"Latitude": "33,52.08", "Longitude": "151,12.6E"},
        {"Latitude": "33,52.08E", "Longitude": "151,12.6S"},
        {"Latitude": "x", "Longitude": "y"},
        {"Latitude": "133,52.08S", "Longitude": "151,12.6E"},
        {"Latitude": "33,52.08S", "Longitude": "151,12.6E", "Status": "V"},
    ],
)
def test_half_a_place_in_xmp_is_none(values):
    assert in_xmp(**values) is None


def test_a_reference_of_its_own_is_read_in_xmp():
    found = in_xmp(Latitude="33.868", LatitudeRef="S", Longitude="151.21", LongitudeRef="East")
    assert coordinates(found) == pytest.approx((-33.868, 151.21))


def test_the_place_of_exif_goes_first():
    packet = XMP.format("<exif:GPSLatitude>1,0N</exif:GPSLatitude><exif:GPSLongitude>1,0E</exif:GPSLongitude>")
    xmp = read(packet.replace(' rdf:about=""', f' rdf:about=""{NAMESPACE}').encode())
    assert coordinates(place(gps(SYDNEY), xmp)) == pytest.approx((-33.868, 151.21))
    assert coordinates(place(gps({**SYDNEY, 9: "V"}), xmp)) == (1, 1)


def test_a_damaged_directory_is_no_place():
    made = Image.Exif()
    made.load(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x25\x88\x04\0\x01\0\0\0\xff\xff\xff\x7f\0\0\0\0")
    assert place(made, Xmp()) is None


# Compared with exiftool, which writes the files and reads them as well

WRITTEN = {
    "EXIF": ["-GPSLatitude=-33.868", "-GPSLatitudeRef=S", "-GPSLongitude=151.21", "-GPSLongitudeRef=E"],
    "west": ["-GPSLatitude=40.7", "-GPSLatitudeRef=N", "-GPSLongitude=74.0058", "-GPSLongitudeRef=W"],
    "a height": [
        *("-GPSLatitude=31.5", "-GPSLatitudeRef=N", "-GPSLongitude=35.48", "-GPSLongitudeRef=E"),
        *("-GPSAltitude=430.5", "-GPSAltitudeRef#=1"),
    ],
    "XMP": ["-XMP-exif:GPSLatitude=-33.868", "-XMP-exif:GPSLongitude=-151.21", "-XMP-exif:GPSAltitude=-12.5"],
    "none": ["-Artist=Ada"],
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("flags", WRITTEN.values(), ids=WRITTEN.keys())
def test_places_are_those_that_exiftool_reads(tmp_path, run_exiftool, flags, suffix):
    path = save(tmp_path / f"a{suffix}", colour="red")
    run_exiftool("-q", "-overwrite_original", *flags, str(path))
    fields = ("GPSLatitude", "GPSLongitude", "GPSAltitude")
    asked = [f"-{group}:{field}" for group in ("Composite", "XMP") for field in fields]
    (facts,) = json.loads(run_exiftool("-j", "-n", "-G0", *asked, str(path)))
    latitude, longitude, altitude = (facts.get(f"Composite:{field}", facts.get(f"XMP:{field}")) for field in fields)
    data = path.read_bytes()
    photo = PhotoBytes(image_id=path.name, data=data, mtime_ns=0, content_hash=content_hash(data))
    document = decode_photo(photo, max_pixels=10**6).document
    assert (document.location is None) == (latitude is None) == (flags == WRITTEN["none"])
    if latitude is not None:
        assert document.location == pytest.approx((latitude, longitude), abs=1e-6)
    assert document.altitude == (None if altitude is None else pytest.approx(altitude))
    assert decode_photo(photo, max_pixels=10**6, with_location=False).document.altitude is None
