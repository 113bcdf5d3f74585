"""The library that tools/many_photos.py makes of the samples."""

import csv
import hashlib

from PIL import Image

from image_embeddings.photos import exif, xmp
from image_embeddings.photos.places import place
from tools import many_photos


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_tool_makes_the_same_photos_each_time_with_data_for_filters(tmp_path):
    many_photos.make(tmp_path / "one", count=60)
    many_photos.make(tmp_path / "two", count=60)
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two")
    photos = sorted(name for name in one if name.endswith(".jpg"))
    assert (len(photos), len({one[name] for name in photos})) == (60, 60)
    read = []
    for name in photos:
        with Image.open(tmp_path / "one" / name) as image:
            found = image.getexif()
            read.append((place(found, xmp.read(b"")), exif.taken(found), exif.camera_model(found)))
    assert [sum(value is not None for value in column) > 20 for column in zip(*read, strict=True)] == [True] * 3
    assert len({camera for _, _, camera in read}) == len(many_photos.CAMERAS)
    with (tmp_path / "one" / "photos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["file"] for row in rows) == photos
    assert all(row["label"] == row["file"].split("/")[0] for row in rows)
