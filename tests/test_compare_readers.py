"""tools/compare_readers.py, on photos whose metadata exiftool has written."""

import subprocess
from dataclasses import replace

import pytest
from PIL import Image

from tests import exiftool, imagemagick
from tests.goldens import check_golden
from tests.pictures import save
from tests.waiting import LONG
from tools import compare_readers
from tools.exiftool_fields import numbers_of_date

with_readers = pytest.mark.skipif(
    not (exiftool.executable() and imagemagick.executable()) and not (exiftool.NEEDED or imagemagick.NEEDED),
    reason=f"{exiftool.MISSING} {imagemagick.MISSING}",
)
FACES = "-XMP-mwg-rs:RegionInfo={RegionList=[{Name=Ben,Type=Face},{Name=left,Type=Focus}]}"
# Name of a photo -> what exiftool writes into it. There is a source of each kind for each field.
WRITTEN = {
    "camera.jpg": (
        *("-Make=Camera Works", "-Model=One", "-ExifIFD:LensModel=50 mm", "-DateTimeOriginal=2019:08:14 17:05:06"),
        *("-GPSLatitude=33.868", "-GPSLatitudeRef=S", "-GPSLongitude=151.21", "-GPSLongitudeRef=E"),
        *("-GPSAltitude=12.5", "-GPSAltitudeRef#=1", "-IFD0:Orientation#=6", "-IFD0:ImageDescription=The bay"),
    ),
    "digitized.tif": ("-ExifIFD:CreateDate=1999:12:31 23:59:59", "-IFD0:XPKeywords=sea; bay;N"),
    "changed.webp": ("-IFD0:ModifyDate=2020:02:29 00:00:00", "-IFD0:Orientation#=3"),
    "default.jpg": (
        *("-IFD0:ImageDescription=OLYMPUS DIGITAL CAMERA", "-ExifIFD:LensModel=----"),
        *("-GPSLatitude=0", "-GPSLatitudeRef=N", "-GPSLongitude=0", "-GPSLongitudeRef=E"),
    ),
    "xmp.png": (
        *("-XMP-dc:Description=Above the sea", "-XMP-dc:Title=Sea", "-XMP-photoshop:Headline=Waves", FACES),
        *("-XMP-dc:Subject=sea", "-XMP-dc:Subject=2019", "-XMP-photoshop:City=Sydney", "-XMP-aux:Lens=35 mm"),
        *("-XMP-photoshop:Country=Australia", "-XMP-iptcExt:PersonInImage=Ada"),
        *("-XMP-exif:GPSLatitude=-33.868", "-XMP-exif:GPSLongitude=151.21", "-XMP-exif:GPSAltitude=3"),
    ),
    "iptc.jpg": (
        *("-IPTC:Caption-Abstract=Old words", "-IPTC:ObjectName=Old title", "-IPTC:Headline=Old headline"),
        *("-IPTC:Keywords=old", "-IPTC:Keywords=words", "-IPTC:City=Rome", "-IPTC:Country-PrimaryLocationName=Italy"),
    ),
    "comment.jpg": ("-ExifIFD:UserComment=Küste", "-XMP-dc:Subject=" + "long " * 40),
    "plain.bmp": (),
}
PICTURE = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
PICTURE.paste("orange", (0, 0, 20, 20))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("photos")
    for name, flags in WRITTEN.items():
        PICTURE.save(made / name)
        if flags:
            command = ["exiftool", "-q", "-overwrite_original", *flags, str(made / name)]
            subprocess.run(command, check=True, timeout=LONG)
    (made / "broken.jpg").write_bytes(b"no photo")
    return made


def read(folder):
    skipped = []
    photos = list(compare_readers.read_photos(folder, skip=skipped.append))
    assert [file.image_id for file in skipped] == ["broken.jpg"]
    return photos


@with_readers
def test_all_fields_of_photos_that_exiftool_wrote_are_the_same(folder):
    check_golden("compare_readers.txt", compare_readers.table(compare_readers.compare(read(folder))))


@with_readers
def test_planted_differences_are_found_and_shown(folder):
    planted = {
        "camera.jpg": {"location": (33.868, 151.21), "taken": "2019-08-14T17:05:07", "camera_make": None},
        "plain.bmp": {"lens": "50 mm"},
        "xmp.png": {"keywords": ("sea",), "width": 63},
    }
    photos = [
        replace(photo, document=replace(photo.document, **planted.get(photo.path.name, {}))) for photo in read(folder)
    ]
    photos = [
        replace(photo, picture=photo.picture.transpose(Image.Transpose.ROTATE_180))
        if photo.path.name == "changed.webp"
        else photo
        for photo in photos
    ]
    findings = list(compare_readers.compare(photos))
    found = {
        (finding.image_id, finding.field, finding.verdict)
        for finding in findings
        if finding.verdict not in ("same", "neither")
    }
    assert found == {
        ("camera.jpg", "place", "different"),
        ("camera.jpg", "taken", "different"),
        ("camera.jpg", "make", "missing"),
        ("changed.webp", "orientation", "different"),
        ("plain.bmp", "lens", "ours alone"),
        ("xmp.png", "keywords", "different"),
        ("xmp.png", "size", "different"),
    }
    shown = compare_readers.differences(findings, field="make")
    assert shown == "camera.jpg: missing\n    ours     None\n    exiftool Camera Works\n"


@with_readers
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_that_is_not_turned_as_exiftool_says_is_found(tmp_path, turn):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = turn
    corner = Image.new("RGB", (64, 48), "black")
    corner.paste("white", (0, 0, 20, 10))
    corner.paste("gray", (0, 10, 10, 40))
    corner.save(path, exif=exif)
    (photo,) = compare_readers.read_photos(tmp_path, skip=print)
    turns = {operation: photo.picture.transpose(operation) for operation in Image.Transpose}
    tags = {"IFD0:Orientation": str(turn)}
    assert compare_readers.turn_seen(photo, tags) == turn
    for picture in turns.values():
        assert compare_readers.turn_seen(replace(photo, picture=picture), tags) == 0


@with_readers
def test_a_file_that_imagemagick_cannot_read_has_no_turn(tmp_path):
    path = save(tmp_path / "a.jpg", colour="red")
    (photo,) = compare_readers.read_photos(tmp_path, skip=print)
    path.write_bytes(b"no photo")
    assert compare_readers.turn_seen(photo, {"IFD0:Orientation": "6"}) is None


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("2019:08:14 17:05:06.25+02:00", (2019, 8, 14, 17, 5, 6)),
        ("2019-08-14T00:00:00", (2019, 8, 14, 0, 0, 0)),
        ("2019:08:14", (2019, 8, 14)),
        ("2019:08", (2019, 8)),
        ("2019:00:00", (2019,)),
        ("0000:00:00 00:00:00", ()),
        ("    :  :  ", ()),
    ],
)
def test_the_numbers_of_a_date_are_read_as_far_as_they_are_known(written, numbers):
    assert numbers_of_date(written) == numbers


@pytest.mark.parametrize(
    ("field", "ours", "theirs", "is_same"),
    [
        ("caption", "x" * 2000, "x" * 3000, True),
        ("caption", "The", "The sea", False),
        ("keywords", frozenset({"y" * 100}), frozenset({"y" * 150}), True),
        ("keywords", frozenset(map(str, range(100))), frozenset(map(str, range(200))), True),
        ("keywords", frozenset({"a"}), frozenset({"a", "b"}), False),
        ("place", (1.000001, 2.0), (1.0, 2.0), True),
        ("place", (1.0001, 2.0), (1.0, 2.0), False),
        ("altitude", 1.05, 1.0, True),
        ("altitude", 1.2, 1.0, False),
    ],
)
def test_what_counts_as_the_same(field, ours, theirs, is_same):
    (compared,) = (row for row in compare_readers.FIELDS if row.name == field)
    assert compared.is_same(ours, theirs) == is_same
