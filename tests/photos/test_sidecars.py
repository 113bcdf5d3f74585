"""What sidecars say of a photo, and how that goes together with what its file says."""

import json

import pytest

from image_embeddings.photos.facts import Facts
from image_embeddings.photos.photo import PhotoBytes, content_hash, decode_photo
from image_embeddings.photos.places import Place
from image_embeddings.photos.sidecars import SidecarBytes, read_sidecars
from image_embeddings.photos.xmp import MAX_BYTES
from tests.pictures import save
from tests.worded_photos import XMP, xmp


def packet(**properties):
    """Return XMP with these properties as attributes; two underscores stand for a colon."""
    written = " ".join(f'{name.replace("__", ":")}="{value}"' for name, value in properties.items())
    names = {"exif": "exif", "photoshop": "photoshop", "xmp": "xap"}
    spaces = " ".join(f'xmlns:{name}="http://ns.adobe.com/{uri}/1.0/"' for name, uri in names.items())
    return XMP.format("").replace('rdf:about=""', f'rdf:about="" {spaces} {written}').encode()


def read(data, *, file="a.jpg.xmp"):
    return read_sidecars([SidecarBytes(file=file, data=data)])


def photo(path, *sidecars):
    """Return the document of a photo with these sidecars, and what is wrong with them."""
    data = path.read_bytes()
    found = decode_photo(
        PhotoBytes(
            image_id=path.name,
            data=data,
            mtime_ns=0,
            content_hash=content_hash(data),
            sidecars=tuple(SidecarBytes(file=f"{path.name}.{kind}", data=content) for kind, content in sidecars),
        ),
        max_pixels=10**6,
    )
    return found.document, found.sidecar_faults


def takeout(**fields):
    return "json", json.dumps(fields).encode()


FLAGS = {
    "XMP-photoshop:DateCreated": "1960:05:06 12:00:00",
    "XMP-exif:GPSLatitude": "48.8584",
    "XMP-exif:GPSLongitude": "2.2945",
    "XMP-exif:GPSAltitude": "35",
    "XMP-dc:Description": "In the zoo",
    "XMP-dc:Title": "Zoo",
    "XMP-dc:Subject": "grandfather",
    "XMP-photoshop:City": "Paris",
    "XMP-photoshop:Country": "France",
    "XMP-iptcExt:PersonInImage": "Ada",
    "XMP-xmp:Rating": "4",
}


def test_all_that_exiftool_writes_into_a_sidecar_is_said(tmp_path, run_exiftool):
    sidecar = tmp_path / "a.xmp"
    run_exiftool("-q", *(f"-{name}={value}" for name, value in FLAGS.items()), str(sidecar))
    document, faults = photo(save(tmp_path / "a.jpg", colour="red"), ("xmp", sidecar.read_bytes()))
    assert (document.taken, document.taken_by, faults) == ("1960-05-06T12:00:00", "sidecar", ())
    assert document.location == pytest.approx((48.8584, 2.2945), abs=1e-6)
    assert (document.altitude, document.rating) == (35, 4)
    assert (document.caption, document.title, document.keywords) == ("In the zoo", "Zoo", ("grandfather",))
    assert (document.city, document.country, document.persons) == ("Paris", "France", ("Ada",))


def test_a_sidecar_goes_before_the_file_field_by_field(tmp_path, run_exiftool):
    path = save(tmp_path / "a.jpg", colour="red")
    own = {"DateTimeOriginal": "2019:08:14 17:05:06", "XMP-dc:Description": "Own", "XMP-photoshop:City": "Köln"}
    own |= {"XMP-dc:Subject": "own", "XMP-xmp:Rating": "2", "LensModel": "50mm"}
    run_exiftool("-q", "-overwrite_original", *(f"-{name}={value}" for name, value in own.items()), str(path))
    sidecar = xmp(captions={"x-default": "Sidecar"}, keywords=["sidecar"])
    document, _ = photo(path, ("xmp", sidecar))
    assert (document.caption, document.keywords, document.city) == ("Sidecar", ("sidecar",), "Köln")
    assert (document.taken, document.taken_by) == ("2019-08-14T17:05:06", "exif")
    assert (document.rating, document.lens) == (2, "50mm")
    document, _ = photo(path, ("xmp", packet(xmp__Rating="0", photoshop__DateCreated="1960-05")))
    assert (document.rating, document.taken, document.taken_by) == (0, "1960-05", "sidecar")
    assert (document.caption, document.keywords) == ("Own", ("own",))


def test_a_title_in_a_sidecar_does_not_hide_the_description_in_the_file(tmp_path, run_exiftool):
    path = save(tmp_path / "a.jpg", colour="red")
    run_exiftool("-q", "-overwrite_original", "-XMP-dc:Description=Own", str(path))
    sidecar = XMP.format('<dc:title><rdf:Alt><rdf:li xml:lang="x-default">T</rdf:li></rdf:Alt></dc:title>').encode()
    document, _ = photo(path, ("xmp", sidecar))
    assert (document.caption, document.title) == ("Own", "T")


def test_the_first_sidecar_goes_before_the_second(tmp_path):
    path = save(tmp_path / "a.jpg", colour="red")
    first, second = xmp(captions={"x-default": "First"}), xmp(captions={"x-default": "Second"}, keywords=["second"])
    document, _ = photo(path, ("xmp", first), ("XMP", second), takeout(description="Third", people=[{"name": "Ada"}]))
    assert (document.caption, document.keywords, document.persons) == ("First", ("second",), ("Ada",))


WRITTEN = "2019:08:14 17:05:06"


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [
        # The same moment, with less of it: the camera knows more.
        (packet(exif__DateTimeOriginal="2019-08-14T17:05:06"), ("2019-08-14T17:05:06.25+02:00", "exif")),
        (packet(exif__DateTimeOriginal="2019:08:14 17:05:06.000"), ("2019-08-14T17:05:06.25+02:00", "exif")),
        (packet(photoshop__DateCreated="2019-08"), ("2019-08-14T17:05:06.25+02:00", "exif")),
        # Another one: somebody has corrected it.
        (packet(exif__DateTimeOriginal="2019-08-14T18:05:06"), ("2019-08-14T18:05:06", "sidecar")),
        (packet(photoshop__DateCreated="1960"), ("1960", "sidecar")),
    ],
)
def test_a_date_that_says_no_more_than_that_of_the_camera_is_not_used(tmp_path, run_exiftool, sidecar, expected):
    path = save(tmp_path / "a.jpg", colour="red")
    tags = {"DateTimeOriginal": WRITTEN, "SubSecTimeOriginal": "25", "OffsetTimeOriginal": "+02:00"}
    run_exiftool("-q", "-overwrite_original", *(f"-{name}={value}" for name, value in tags.items()), str(path))
    document, _ = photo(path, ("xmp", sidecar))
    assert (document.taken, document.taken_by) == expected


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("1565795106", ("2019-08-14T17:05:06", "exif")),  # 15:05:06 in UTC, two hours behind
        ("1519844096", ("2018-02-28T18:54:56+00:00", "sidecar")),
    ],
)
def test_the_moment_of_an_export_is_used_if_no_zone_explains_the_clock_of_the_camera(
    tmp_path, run_exiftool, timestamp, expected
):
    path = save(tmp_path / "a.jpg", colour="red")
    run_exiftool("-q", "-overwrite_original", f"-DateTimeOriginal={WRITTEN}", str(path))
    document, _ = photo(path, takeout(photoTakenTime={"timestamp": timestamp}))
    assert (document.taken, document.taken_by) == expected


def test_a_sidecar_goes_before_the_name_of_the_file(tmp_path):
    path = save(tmp_path / "IMG-20231224-WA0003.jpg", colour="red")
    document, _ = photo(path, takeout(photoTakenTime={"timestamp": "1519844096"}))
    assert (document.taken, document.taken_by) == ("2018-02-28T18:54:56+00:00", "sidecar")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_20240101_001500.jpg", ("2024-01-01T00:15:00", "name")),  # New Year in Berlin, 23:15 in UTC
        ("IMG_20240101_131500.jpg", ("2024-01-01T13:15:00", "name")),  # in Kiribati
        ("IMG-20240101-WA0003.jpg", ("2024-01-01", "name")),
        ("IMG-20231231-WA0003.jpg", ("2023-12-31T23:15:00+00:00", "sidecar")),  # the day says less than the moment
        ("IMG-20240102-WA0003.jpg", ("2023-12-31T23:15:00+00:00", "sidecar")),  # no zone explains it
        ("IMG_20240102_001500.jpg", ("2023-12-31T23:15:00+00:00", "sidecar")),
        ("DSC01234.jpg", ("2023-12-31T23:15:00+00:00", "sidecar")),
    ],
)
def test_the_clock_in_a_name_goes_before_the_moment_of_an_export_if_a_zone_explains_it(tmp_path, name, expected):
    export = takeout(photoTakenTime={"timestamp": "1704064500"})
    document, _ = photo(save(tmp_path / name, colour="red"), export)
    assert (document.taken, document.taken_by) == expected
    corrected = packet(exif__DateTimeOriginal="2023-12-31T23:15:00+00:00")  # somebody wrote this zone
    document, _ = photo(tmp_path / name, ("xmp", corrected), export)
    assert (document.taken, document.taken_by) == ("2023-12-31T23:15:00+00:00", "sidecar")


def test_the_height_of_the_file_is_kept_if_the_sidecar_names_the_same_place_without_one():
    own = Facts(place=Place(latitude=48.0, longitude=2.0, altitude=35.0))
    near, far = Place(latitude=48.0005, longitude=2.0), Place(latitude=49.0, longitude=2.0)
    assert Facts(place=near).over(own).place == Place(latitude=48.0005, longitude=2.0, altitude=35.0)
    assert Facts(place=far).over(own).place == far


@pytest.mark.parametrize(
    ("written", "rating"),
    [("5", 5), ("-1", -1), ("0", 0), ("3.0", 3), ("6", None), ("-2", None), ("x", None), ("NaN", None), ("", None)],
)
def test_a_rating_is_a_number_from_minus_one_to_five(written, rating):
    assert read(packet(xmp__Rating=written))[0].rating == rating


@pytest.mark.parametrize(("tag", "rating"), [("Rating", 3), ("XMP-xmp:Rating", 3)])
def test_the_rating_in_the_file_is_read(tmp_path, run_exiftool, tag, rating):
    path = save(tmp_path / "a.jpg", colour="red")
    run_exiftool("-q", "-overwrite_original", f"-{tag}={rating}", str(path))
    assert photo(path)[0].rating == rating


# What is broken

BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "it is damaged: no element found"),
        (b"\0" * 500, "it is damaged"),
        (b"{}", "it is damaged: not well-formed"),
        (b"<html/>", "it is no XMP: it has no rdf:RDF"),
        (BOMB.encode() + xmp(captions={"x-default": "A"}), "it has a document type, which XMP never has"),
        (b"<a>" * 101, "nested deeper than 100"),
        (xmp(captions={"x-default": "A" * MAX_BYTES}), "it has more than 4,194,304 bytes"),
    ],
)
def test_a_broken_or_hostile_sidecar_says_nothing_and_is_named_with_a_remedy(tmp_path, data, fault):
    path = save(tmp_path / "IMG-20231224-WA0003.jpg", colour="red")
    document, faults = photo(path, ("xmp", data))
    assert (document.taken, document.caption) == ("2023-12-24", None)
    assert [found.file for found in faults] == ["IMG-20231224-WA0003.jpg.xmp"]
    assert faults[0].reason.startswith(fault) or fault in faults[0].reason
    assert faults[0].reason.endswith("let the program that made it write it again, or remove it")


def test_what_stands_before_the_damage_is_used():
    facts, faults = read(xmp(captions={"x-default": "The sea"}, keywords=["sea"]).replace(b"</rdf:RDF>", b"</x>"))
    assert (facts.words.caption, len(faults)) == ("The sea", 1)


def test_a_broken_sidecar_costs_nothing_of_another(tmp_path):
    path = save(tmp_path / "a.jpg", colour="red")
    document, faults = photo(path, ("xmp", b"<"), takeout(description="Sled dog"))
    assert (document.caption, [found.file for found in faults]) == ("Sled dog", ["a.jpg.xmp"])
