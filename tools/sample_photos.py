"""Rebuild the sample photos in app/static/images, bit for bit given the same Pillow.

    apt-get install tuxpaint-stamps-default     (2022.06.04-1)
    pip install pillow scikit-image==0.26.0 scikit-learn==1.9.1
    python tools/sample_photos.py

What is made, and from which file, is in tools/sample_photos.csv. Each photo is cut to its content, put on white,
brought to a sensible size and saved as a progressive JPEG without metadata. CREDITS.md beside the photos says whose
they are.
"""

import argparse
import csv
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tools" / "sample_photos.csv"
IMAGES = ROOT / "app" / "static" / "images"
STAMPS = Path("/usr/share/tuxpaint/stamps")
STAMPS_PACKAGE = "tuxpaint-stamps-default"
MODULES = {"scikit-image": "skimage", "scikit-learn": "sklearn"}

MAX_SIDE = 640
MIN_SIDE = 320
MAX_ENLARGEMENT = 4.0  # beyond this a stamp is only a blur
MAX_ASPECT = 1.5  # CLIP sees the centre square: pad what is longer, or it loses its ends
MARGIN = 0.04
QUALITY = 80


class SourceMissingError(Exception):
    """A photo's source is not on this machine; the message says what to install."""


@dataclass(frozen=True)
class Row:
    """One line of the table: the file that a package ships, and the photo made from it."""

    source: str
    source_path: str
    target: str


def read_table(path: Path = TABLE) -> list[Row]:
    """Return the rows of the table, in its order."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [Row(**line) for line in csv.DictReader(lines)]


def source_folder(source: str, stamps: Path = STAMPS) -> Path:
    """Return the folder that a source's paths start from; raise SourceMissingError with the remedy."""
    if source == STAMPS_PACKAGE:
        if not stamps.is_dir():
            raise SourceMissingError(
                f"No stamps in {stamps}. Install Debian's package: apt-get install {STAMPS_PACKAGE}, or name their "
                "folder with --stamps."
            )
        return stamps
    if source not in MODULES:
        raise SourceMissingError(f"{TABLE.name} names the unknown source {source!r}.")
    spec = importlib.util.find_spec(MODULES[source])
    if spec is None or spec.origin is None:
        raise SourceMissingError(f"{source} is not installed for {sys.executable}. Install it: pip install {source}.")
    return Path(spec.origin).parent


def source_file(row: Row, stamps: Path = STAMPS) -> Path:
    """Return the file that a photo is made from; raise SourceMissingError where this version does not ship it."""
    path = source_folder(row.source, stamps) / row.source_path
    if not path.is_file():
        raise SourceMissingError(f"{row.source} here has no {row.source_path}, which {row.target} is made from.")
    return path


def on_white(image: Image.Image) -> Image.Image:
    """Return the image in RGB; one with transparency is cut to its content and centred on white with a margin."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    content = image.crop(image.getchannel("A").getbbox())
    width, height = canvas_size(content.size)
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(content, ((width - content.width) // 2, (height - content.height) // 2), content)
    return canvas


def canvas_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size with a margin around it, and with the short side padded up to MAX_ASPECT."""
    margin = max(2, round(MARGIN * max(size)))
    width, height = size[0] + 2 * margin, size[1] + 2 * margin
    shortest = round(max(width, height) / MAX_ASPECT)
    return max(width, shortest), max(height, shortest)


def resized(image: Image.Image) -> Image.Image:
    """Return the image with its long side within MIN_SIDE and MAX_SIDE, enlarged by MAX_ENLARGEMENT at most."""
    longest = max(image.size)
    factor = min(MAX_SIDE / longest, max(1.0, min(MAX_ENLARGEMENT, MIN_SIDE / longest)))
    if factor == 1.0:
        return image
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def make_photo(source: Path, target: Path) -> None:
    """Write the sample photo that a source file becomes; a new image carries no metadata."""
    with Image.open(source) as image:
        photo = resized(on_white(image))
    photo.info.clear()
    target.parent.mkdir(parents=True, exist_ok=True)
    photo.save(target, "JPEG", quality=QUALITY, optimize=True, progressive=True)


def make_all(rows: Sequence[Row], images: Path, stamps: Path = STAMPS) -> None:
    """Write every photo of the table; look for all sources first, so that a missing one leaves nothing half done."""
    sources = [source_file(row, stamps) for row in rows]
    for row, source in zip(rows, sources, strict=True):
        make_photo(source, images / row.target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild the photos; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stamps", type=Path, default=STAMPS, help="folder of the stamps (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder to write to (default: app/static/images)")
    options = parser.parse_args(arguments)
    rows = read_table()
    try:
        make_all(rows, options.out, options.stamps)
    except SourceMissingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(rows)} photos in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
