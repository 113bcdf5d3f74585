"""An album for tests of filters: sample photos with dates, places and cameras, and a metadata file."""

import csv
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.browser.webapp import PHOTOS

ROME, OSLO, FIJI, TONGA = (41.9, 12.5), (59.9, 10.7), (-17.5, 178.5), (-21.1, -175.2)


@dataclass(frozen=True, kw_only=True)
class AlbumPhoto:
    """A sample photo under another name, with its metadata."""

    image_id: str
    of: str
    taken: str | None = None  # in the form of EXIF
    place: tuple[float, float] | None = None
    camera: str = ""
    shelf: str = ""
    label: str = ""
    size: tuple[int, int] | None = None


ALBUM = (
    AlbumPhoto(
        image_id="italy/tabby.jpg", of="cats/tabby-cat.jpg", taken="2024:05:01 12:30:00", place=ROME, camera="R5"
    ),
    AlbumPhoto(image_id="italy/tiger.jpg", of="cats/tiger.jpg", taken="2024:05:03 09:00:00", place=ROME, camera="R5"),
    AlbumPhoto(
        image_id="italy/lion.jpg", of="cats/lion.jpg", taken="2024:07:31 23:59:00", place=(45.4, 9.2), label="zoo"
    ),
    AlbumPhoto(image_id="norway/husky.jpg", of="dogs/husky.jpg", taken="2019:01:01 08:00:00", place=OSLO, shelf="3"),
    AlbumPhoto(image_id="norway/dingo.jpg", of="dogs/dingo.jpg", taken="2021:02:03 08:00:00", label="zoo", shelf="4"),
    AlbumPhoto(image_id="pacific/truck.jpg", of="vehicles/fire-truck.jpg", place=FIJI, camera="Pixel 8", shelf="4"),
    AlbumPhoto(
        image_id="pacific/islands/balloon.jpg", of="vehicles/hot-air-balloon.jpg", place=TONGA, size=(1400, 1000)
    ),
)


def make_album(folder: Path) -> Path:
    """Make the photos below `folder`; return the metadata file that belongs to them."""
    for photo in ALBUM:
        target = folder / photo.image_id
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(PHOTOS / photo.of) as image:
            image.resize(photo.size or image.size).save(target, exif=_exif(photo))
    table = folder.parent / "album.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label", "shelf"))
        rows.writerows((photo.image_id, photo.label, photo.shelf) for photo in ALBUM)
    return table


def _exif(photo: AlbumPhoto) -> Image.Exif:
    exif = Image.Exif()
    if photo.camera:
        exif.update({271: "Maker", 272: photo.camera})
    if photo.taken:
        exif.get_ifd(0x8769)[36867] = photo.taken
    if photo.place:
        lat, lon = photo.place
        north, east = "S" if lat < 0 else "N", "W" if lon < 0 else "E"
        exif.get_ifd(0x8825).update({1: north, 2: _degrees(lat), 3: east, 4: _degrees(lon)})
    return exif


def _degrees(value: float) -> tuple[float, float, float]:
    degrees, minutes = divmod(abs(value) * 60, 60)
    return degrees, minutes, 0.0
