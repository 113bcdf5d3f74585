"""Rebuild the sample photos in app/static/images. The same version of Pillow makes the same bytes.

    apt-get install budgie-core enlightenment-data gcompris-qt-data lomiri-wallpapers-16.04 lxqt-themes
    apt-get install mate-backgrounds palapeli-data plasma-workspace-wallpapers tuxpaint-data tuxpaint-stamps-default
    pip install pillow scikit-image==0.26.0 scikit-learn==1.9.1
    python tools/sample_photos.py

The packages are those of Debian 12. They need not be installed into the system. Instead, apt-get download PACKAGE and
dpkg -x PACKAGE_*.deb FOLDER unpack each into the same folder, and --root FOLDER reads them there.

tools/sample_photos.csv lists the photos and the files that they are made from. A cut-out is cut to its content, put on
white and scaled to a suitable size. A scene is shown whole, at most 1,600 pixels wide or high, and never enlarged. Both
are saved as progressive JPEGs without metadata. CREDITS.md beside the photos says who made them.
"""

import argparse
import csv
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageFilter

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tools" / "sample_photos.csv"
IMAGES = ROOT / "app" / "static" / "images"
SYSTEM = Path("/")
# The folder that the paths of the table start from, in each Debian package.
DEBIAN_FOLDERS = {
    "budgie-core": "usr/share/backgrounds/budgie",
    "enlightenment-data": "usr/share/enlightenment/data/backgrounds",
    "gcompris-qt-data": "usr/share/gcompris-qt/rcc",
    "lomiri-wallpapers-16.04": "usr/share/backgrounds",
    "lxqt-themes": "usr/share/lxqt/wallpapers",
    "mate-backgrounds": "usr/share/backgrounds/mate/nature",
    "palapeli-data": "usr/share/palapeli/collection",
    "plasma-workspace-wallpapers": "usr/share/wallpapers",
    "tuxpaint-data": "usr/share/tuxpaint/templates",
    "tuxpaint-stamps-default": "usr/share/tuxpaint/stamps",
}
MODULES = {"scikit-image": "skimage", "scikit-learn": "sklearn"}

MAX_SIDE = 640
MIN_SIDE = 320
MAX_ENLARGEMENT = 3.0  # with more, a stamp is only a blur
MAX_ASPECT = 1.5  # CLIP sees only the square at the centre, so the short side of longer images is padded
MARGIN = 0.04
QUALITY = 80
OUTLINE_BLUR = 0.8  # pixels of the source; smooths the steps of an outline that is enlarged
COLOUR_BLEED = 3.0  # pixels of the source; how far the colours are extended beyond the outline

SCENE_SIDE = 1600
SCENE_QUALITY = 82


class SourceMissingError(Exception):
    """The source of a photo is not on this machine. The message says what to install."""


class Kind(StrEnum):
    """What a photo shows: one thing on white, or everything in front of the camera."""

    CUT_OUT = "cut-out"
    SCENE = "scene"


@dataclass(frozen=True)
class Row:
    """One line of the table: the file that a package ships, and the photo made from it.

    `offset` is the byte at which the image begins, if a file contains several, such as a theme. Else it is 0.
    """

    source: str
    source_path: str
    offset: int
    kind: Kind
    target: str


def read_table(path: Path = TABLE) -> list[Row]:
    """Return the rows of the table, in its order."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            Row(line["source"], line["source_path"], int(line["offset"] or 0), Kind(line["kind"]), line["target"])
            for line in csv.DictReader(lines)
        ]


def source_folder(source: str, root: Path = SYSTEM) -> Path:
    """Return the folder that the paths of a source start from.

    Raise SourceMissingError, which names the remedy, if the source is not on this machine.
    """
    if source in DEBIAN_FOLDERS:
        folder = root / DEBIAN_FOLDERS[source]
        if not folder.is_dir():
            raise SourceMissingError(
                f"No photos of {source} in {folder}. Install Debian's package: apt-get install {source}; or unpack it "
                f"(apt-get download {source}, dpkg -x {source}_*.deb FOLDER) and name the folder with --root."
            )
        return folder
    if source not in MODULES:
        raise SourceMissingError(f"{TABLE.name} names the unknown source {source!r}.")
    spec = importlib.util.find_spec(MODULES[source])
    if spec is None or spec.origin is None:
        raise SourceMissingError(f"{source} is not installed for {sys.executable}. Install it: pip install {source}.")
    return Path(spec.origin).parent


def source_file(row: Row, root: Path = SYSTEM) -> Path:
    """Return the file that a photo is made from. Raise SourceMissingError if this version of the source has none."""
    path = source_folder(row.source, root) / row.source_path
    if not path.is_file():
        raise SourceMissingError(f"{row.source} here has no {row.source_path}, which {row.target} is made from.")
    return path


def enlargement(size: tuple[int, int]) -> float:
    """Return the factor that scales a cut-out with its margin, so that its long side is from MIN_SIDE to MAX_SIDE.

    The factor is MAX_ENLARGEMENT at most.
    """
    longest = max(size)
    return min(MAX_SIDE / longest, max(1.0, min(MAX_ENLARGEMENT, MIN_SIDE / longest)))


def on_white(image: Image.Image) -> Image.Image:
    """Return the image in RGB, resized. If it has transparency, it is cut to its content and centred on white."""
    if not image.has_transparency_data:
        image = image.convert("RGB")
        return resized(image, enlargement(image.size))
    image = image.convert("RGBA")
    content = image.crop(image.getchannel("A").getbbox())
    canvas = canvas_size(content.size)
    factor = enlargement(canvas)
    if factor > 1:
        content = enlarged(content, factor)
        canvas = (round(canvas[0] * factor), round(canvas[1] * factor))
    white = Image.new("RGB", canvas, "white")
    white.paste(content, ((white.width - content.width) // 2, (white.height - content.height) // 2), content)
    return resized(white, min(1.0, factor))


def enlarged(content: Image.Image, factor: float) -> Image.Image:
    """Return an RGBA image, enlarged so that its outline is smooth, although the source has one of whole pixels."""
    border = 2  # pixels of the source, all transparent, so that an outline at the edge of the image is smoothed too
    wide = Image.new("RGBA", (content.width + 2 * border, content.height + 2 * border), (0, 0, 0, 0))
    wide.paste(content, (border, border))
    outline = wide.getchannel("A")
    # A transparent pixel may have any colour, which would show at the outline. So it gets that of its neighbours.
    colours = wide.convert("RGBa").filter(ImageFilter.GaussianBlur(COLOUR_BLEED)).convert("RGBA").convert("RGB")
    colours.paste(wide.convert("RGB"), mask=outline)
    size = (round(wide.width * factor), round(wide.height * factor))
    larger = colours.resize(size, Image.Resampling.LANCZOS)
    outline = outline.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(OUTLINE_BLUR * factor))
    larger.putalpha(outline.point(lambda level: max(0, min(255, round((level - 128) * 1.5 * factor + 128)))))
    return larger


def canvas_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size with a margin, and with the short side padded so that the aspect is MAX_ASPECT at most."""
    margin = max(2, round(MARGIN * max(size)))
    width, height = size[0] + 2 * margin, size[1] + 2 * margin
    shortest = round(max(width, height) / MAX_ASPECT)
    return max(width, shortest), max(height, shortest)


def resized(image: Image.Image, factor: float) -> Image.Image:
    """Return the image scaled by a factor."""
    if factor == 1.0:
        return image
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def scene(image: Image.Image) -> Image.Image:
    """Return the whole image in sRGB, its long side at most SCENE_SIDE."""
    profile = image.info.get("icc_profile")
    image = image.convert("RGB")
    if profile:
        ImageCms.profileToProfile(image, BytesIO(profile), ImageCms.createProfile("sRGB"), inPlace=True)
    return resized(image, min(1.0, SCENE_SIDE / max(image.size)))


def make_photo(source: Path, target: Path, *, kind: Kind = Kind.CUT_OUT, offset: int = 0) -> None:
    """Write the sample photo that is made from a source file. It has no metadata."""
    with Image.open(BytesIO(source.read_bytes()[offset:])) as image:
        photo = on_white(image) if kind is Kind.CUT_OUT else scene(image)
    photo.info.clear()
    target.parent.mkdir(parents=True, exist_ok=True)
    quality = QUALITY if kind is Kind.CUT_OUT else SCENE_QUALITY
    photo.save(target, "JPEG", quality=quality, optimize=True, progressive=True)


def make_all(rows: Sequence[Row], images: Path, root: Path = SYSTEM) -> None:
    """Write every photo of the table. Look for all sources first, so that none is written if one is missing."""
    sources = [source_file(row, root) for row in rows]
    for row, source in zip(rows, sources, strict=True):
        make_photo(source, images / row.target, kind=row.kind, offset=row.offset)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild the photos, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--root", type=Path, default=SYSTEM, help="folder that the Debian packages are in (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder to write to (default: app/static/images)")
    options = parser.parse_args(arguments)
    rows = read_table()
    try:
        make_all(rows, options.out, options.root)
    except SourceMissingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(rows)} photos in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
