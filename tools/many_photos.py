"""Make a large library of photos from the sample photos. It is for trying the app, not for measuring quality.

    python tools/many_photos.py FOLDER [--count 20000]
    python -m image_embeddings index FOLDER --metadata FOLDER/photos.csv

Each photo is a part of a sample photo. Some are mirrored, some have a second one beside them. One in twenty is nearly
the same as the one before it, as in a burst. Places, dates and cameras in the EXIF are random, but the same for the
same count. photos.csv has a label and an album for each photo. Folders are those of the samples, with years below.
"""

import argparse
import csv
import random
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

SAMPLES = Path(__file__).resolve().parent.parent / "app" / "static" / "images"
HEIGHTS = (360, 480)  # pixels
BURST, BESIDE, MIRRORED, PLACED, DATED = 0.05, 0.3, 0.5, 0.7, 0.95  # probabilities
CAMERAS = (
    ("Canon", "EOS R6"),
    ("NIKON CORPORATION", "Z 6"),
    ("SONY", "ILCE-7M3"),
    ("Apple", "iPhone 13"),
    ("Google", "Pixel 7"),
)
FIRST, DAYS = datetime(2012, 1, 1), 5_000
PLACES = (  # latitude, longitude, degrees around: places where people take photos, and both sides of the date line
    (52.5, 13.4, 1.5), (48.9, 2.3, 1), (41.9, 12.5, 2), (40.4, -3.7, 2), (51.5, -0.1, 1), (59.3, 18.1, 2),
    (40.7, -74, 1),
    (37.8, -122.4, 1), (-33.9, 151.2, 1), (35.7, 139.7, 1), (-22.9, -43.2, 1), (-33.9, 18.4, 1), (1.3, 103.8, 0.3),
    (64.1, -21.9, 1), (-17.8, 178, 1), (-13.8, -171.8, 0.5), (28.6, 77.2, 2), (-1.3, 36.8, 2), (19.4, -99.1, 1),
)  # fmt: skip


def picture(samples: list[Path], draw: random.Random) -> Image.Image:
    """Return a part of one of these samples, or parts of two beside each other."""
    parts = []
    height = draw.choice(HEIGHTS)
    for path in draw.sample(samples, k=min(len(samples), 2 if draw.random() < BESIDE else 1)):
        with Image.open(path) as sample:
            whole = sample.convert("RGB")
        width, tall = (round(side * draw.uniform(0.55, 1)) for side in whole.size)
        left, top = draw.randint(0, whole.width - width), draw.randint(0, whole.height - tall)
        part = whole.resize((max(1, width * height // tall), height), box=(left, top, left + width, top + tall))
        parts.append(ImageOps.mirror(part) if draw.random() < MIRRORED else part)
    joined = Image.new("RGB", (sum(part.width for part in parts), height))
    for number, part in enumerate(parts):
        joined.paste(part, (sum(before.width for before in parts[:number]), 0))
    return ImageEnhance.Brightness(joined).enhance(draw.uniform(0.8, 1.2))


def facts(draw: random.Random) -> tuple[Image.Exif, datetime]:
    """Return the EXIF that a camera would write, and the time when the photo was taken."""
    exif = Image.Exif()
    taken = FIRST + timedelta(days=draw.triangular(0, DAYS, DAYS))
    exif[Base.Make], exif[Base.Model] = draw.choice(CAMERAS)
    if draw.random() < DATED:
        exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = taken.strftime("%Y:%m:%d %H:%M:%S")
    if draw.random() < PLACED:
        latitude, longitude, around = draw.choice(PLACES)
        place = exif.get_ifd(IFD.GPSInfo)
        for reference, name, value, signs in (
            (GPS.GPSLatitudeRef, GPS.GPSLatitude, latitude, "NS"),
            (GPS.GPSLongitudeRef, GPS.GPSLongitude, longitude, "EW"),
        ):
            drawn = value + draw.gauss(0, around)
            place[reference] = signs[drawn < 0]
            place[name] = (IFDRational(round(abs(drawn) * 10_000), 10_000), IFDRational(0), IFDRational(0))
    return exif, taken


def make(folder: Path, *, count: int) -> None:
    """Write `count` JPEGs and photos.csv into `folder`."""
    draw = random.Random(count)
    samples: dict[str, list[Path]] = {}
    for path in sorted(SAMPLES.rglob("*.jpg")):
        samples.setdefault(path.parent.name, []).append(path)
    last: Image.Image | None = None
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "album"])
        category, exif, taken = "", Image.Exif(), FIRST
        for number in range(count):
            if last is None or draw.random() >= BURST:
                category = draw.choice(list(samples))
                last, (exif, taken) = picture(samples[category], draw), facts(draw)
            else:
                last = last.resize(last.size, box=(2, 2, last.width - 2, last.height - 2))
            path = folder / category / f"{taken:%Y}" / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            last.save(path, "JPEG", quality=85, exif=exif)
            table.writerow([path.relative_to(folder).as_posix(), category, f"{taken:%B} walks"])


def main() -> None:
    """Make the photos that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    given = parser.parse_args()
    make(given.folder, count=given.count)


if __name__ == "__main__":
    main()
