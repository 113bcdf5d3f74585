"""Hold what we read of the photos in a folder against exiftool, and print the rates of agreement by field.

    python tools/compare_readers.py FOLDER [--show FIELD]

Photos are chosen and read as `index` does, and exiftool is asked once for all that can be read. For each photo that is
not upright by exiftool, ImageMagick turns the picture as exiftool says, and the result has to look like ours. The
sources of a field, and what counts as no value, are those of docs/readers.md.

The columns: `exiftool` counts the photos for which exiftool has a value. Of these, `same` agree, `missing` have none
of ours, and `different` have another one. `rate` is the share of `same`. `ours alone` have only a value of ours, and
`neither` has none.

What is the same:
    taken                    as far as both are known, up to the second; the date of a file's name is no value here
    place, altitude          within 0.00001 degrees; within 0.1 metres
    size, orientation        exactly; the pixels of the upright picture, and the number of EXIF's orientation
    keywords, persons        as sets; a text that we cut counts for the whole one
    other texts              on one line; a text that we cut counts for the whole one
"""

from __future__ import annotations

import argparse
import operator
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.documents import ImageDocument  # noqa: E402
from image_embeddings.errors import CorpusError, ImageError  # noqa: E402
from image_embeddings.photos import captions  # noqa: E402
from image_embeddings.photos.photo import decode_photo  # noqa: E402
from image_embeddings.photos.taken import NAME  # noqa: E402
from image_embeddings.sources.photo_folder import walk  # noqa: E402
from image_embeddings.sources.reading import load  # noqa: E402
from image_embeddings.sources.skipped import Skipped, skip_for  # noqa: E402
from tools import exiftool_fields  # noqa: E402

MAX_PIXELS = 200_000_000  # the default of MAX_IMAGE_PIXELS
SIDE = 32  # pixels of the pictures by which turns are told apart
ALIKE = 1.0  # levels of 255: turns that differ by less cannot be told apart
SHOWN = 160  # characters of a value

SAME, MISSING, DIFFERENT, OURS_ALONE, NEITHER = VERDICTS = ("same", "missing", "different", "ours alone", "neither")
ORIENTATION = "orientation"
# ImageMagick's names of EXIF's orientations, 1 to 8
_TURNS = ("TopLeft", "TopRight", "BottomRight", "BottomLeft", "LeftTop", "RightTop", "RightBottom", "LeftBottom")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that we can read: our document, and our picture as a small square."""

    path: Path
    document: ImageDocument
    picture: Image.Image


@dataclass(frozen=True)
class Field:
    """A field: our value in a document, exiftool's in its tags, and whether two values are the same."""

    name: str
    ours: Callable[[ImageDocument], Any]
    theirs: Callable[[exiftool_fields.Tags], Any]
    is_same: Callable[[Any, Any], bool] = operator.eq


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one field of one photo; the verdict is one of VERDICTS."""

    image_id: str
    field: str
    ours: Any
    theirs: Any
    verdict: str


def read_photos(folder: Path, *, skip: Callable[[Skipped], None]) -> Iterator[Photo]:
    """Yield the photos below `folder` as `index` reads them, without their sidecars: exiftool reads the file alone.

    Those that cannot be read go to `skip`.

    Raises:
        CorpusError: if `folder` is not a folder.
    """
    for file in walk(folder, skip=skip):
        try:
            photo = decode_photo(load(replace(file, sidecars=()), folder), max_pixels=MAX_PIXELS)
        except (CorpusError, ImageError) as error:
            skip(skip_for(error, image_id=file.image_id))
            continue
        picture = photo.image.resize((SIDE, SIDE), Image.Resampling.BOX)
        yield Photo(path=folder / file.image_id, document=photo.document, picture=picture)


def compare(photos: Sequence[Photo]) -> Iterator[Finding]:
    """Yield what became of each field of each photo."""
    said = exiftool_fields.ask_exiftool([photo.path for photo in photos])
    for photo in photos:
        tags = said.get(photo.path, {})
        for field in FIELDS:
            values = field.ours(photo.document), field.theirs(tags)
            yield _finding(photo, field.name, *values, is_same=field.is_same)
        turn = exiftool_fields.turn(tags)
        seen = turn_seen(photo, tags) if turn != 1 else None
        yield _finding(photo, ORIENTATION, seen, None if seen is None else turn)


def _finding(
    photo: Photo, field: str, ours: Any, theirs: Any, *, is_same: Callable[[Any, Any], bool] = operator.eq
) -> Finding:
    has_ours, has_theirs = (value not in (None, frozenset()) for value in (ours, theirs))
    if has_ours and has_theirs:
        verdict = SAME if is_same(ours, theirs) else DIFFERENT
    else:
        verdict = MISSING if has_theirs else OURS_ALONE if has_ours else NEITHER
    return Finding(image_id=photo.document.image_id, field=field, ours=ours, theirs=theirs, verdict=verdict)


def turn_seen(photo: Photo, tags: exiftool_fields.Tags) -> int | None:
    """Return exiftool's turn if our picture looks like the stored one turned so, and 0 if another turn is more like it.

    Return None if ImageMagick cannot read the file without errors.
    """
    turn = exiftool_fields.turn(tags)
    is_upright = exiftool_fields.is_of_boxes(tags)  # ImageMagick turns HEIF and AVIF when it reads them
    picture = _picture_by_imagemagick(photo.path, turn=1 if is_upright else turn)
    if picture is None:
        return None
    ours = np.asarray(photo.picture, np.int16)
    turned = [picture, *(picture.transpose(operation) for operation in Image.Transpose)]
    unlike = [float(np.abs(np.asarray(candidate, np.int16) - ours).mean()) for candidate in turned]
    return turn if unlike[0] <= min(unlike) + ALIKE else 0


def _picture_by_imagemagick(path: Path, *, turn: int) -> Image.Image | None:
    options = f"-orient {_TURNS[turn - 1]} -auto-orient -background white -alpha remove"
    output = f"-colorspace sRGB -resize {SIDE}x{SIDE}! -depth 8 rgb:-"
    command = ["convert", f"{path}[0]", *options.split(), *output.split()]
    made = subprocess.run(command, capture_output=True, check=False)
    return None if made.returncode else Image.frombytes("RGB", (SIDE, SIDE), made.stdout)


def _is_same_text(ours: str, theirs: str) -> bool:
    return theirs == ours or (len(ours) >= captions.KEYWORD_LENGTH - 1 and theirs.startswith(ours))


def _are_same_texts(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    """Return whether two sets of texts are the same but for the ends of long ones, and for those beyond our limit."""
    shortened = frozenset(text[: captions.KEYWORD_LENGTH].rstrip() for text in theirs)
    return ours == shortened or (len(ours) == captions.MAX_KEYWORDS and ours < shortened)


def _is_same_date(ours: str, theirs: tuple[int, ...]) -> bool:
    numbers = exiftool_fields.numbers_of_date(ours)
    known = min(len(numbers), len(theirs))
    return numbers[:known] == theirs[:known]


def _is_same_place(ours: tuple[float, float], theirs: tuple[float, float]) -> bool:
    return all(abs(one - other) <= 1e-5 for one, other in zip(ours, theirs, strict=True))


def _taken(document: ImageDocument) -> str | None:
    return None if document.taken_by == NAME else document.taken


FIELDS = (
    Field("taken", _taken, exiftool_fields.taken, _is_same_date),
    Field("place", lambda document: document.location, exiftool_fields.place, _is_same_place),
    Field(
        "altitude",
        lambda document: document.altitude,
        exiftool_fields.altitude,
        lambda ours, theirs: abs(ours - theirs) <= 0.1,
    ),
    Field("size", lambda document: (document.width, document.height), exiftool_fields.size),
    Field("make", lambda document: document.camera_make, exiftool_fields.make, _is_same_text),
    Field("model", lambda document: document.camera_model, exiftool_fields.model, _is_same_text),
    Field("lens", lambda document: document.lens, exiftool_fields.lens, _is_same_text),
    Field("caption", lambda document: document.caption, exiftool_fields.caption, _is_same_text),
    Field("title", lambda document: document.title, exiftool_fields.title, _is_same_text),
    Field("headline", lambda document: document.headline, exiftool_fields.headline, _is_same_text),
    Field("keywords", lambda document: frozenset(document.keywords), exiftool_fields.keywords, _are_same_texts),
    Field("city", lambda document: document.city, exiftool_fields.city, _is_same_text),
    Field("country", lambda document: document.country, exiftool_fields.country, _is_same_text),
    Field("persons", lambda document: frozenset(document.persons), exiftool_fields.persons, _are_same_texts),
)
NAMES = (*(field.name for field in FIELDS), ORIENTATION)


def table(findings: Iterable[Finding]) -> str:
    """Return the rates by field as text."""
    counts = {name: Counter[str]() for name in NAMES}
    for finding in findings:
        counts[finding.field][finding.verdict] += 1
    lines = [f"{'field':12}{'exiftool':>9}" + "".join(f"{verdict:>12}" for verdict in VERDICTS) + f"{'rate':>9}"]
    for name, count in counts.items():
        known = count[SAME] + count[MISSING] + count[DIFFERENT]
        rate = f"{count[SAME] / known:.1%}" if known else "-"
        lines.append(f"{name:12}{known:9}" + "".join(f"{count[verdict]:12}" for verdict in VERDICTS) + f"{rate:>9}")
    return "\n".join(lines) + "\n"


def differences(findings: Iterable[Finding], *, field: str) -> str:
    """Return what is not the same in a field, as text: the file, the verdict, our value and exiftool's."""
    return "".join(
        f"{finding.image_id}: {finding.verdict}\n"
        f"    ours     {str(finding.ours)[:SHOWN]}\n    exiftool {str(finding.theirs)[:SHOWN]}\n"
        for finding in findings
        if finding.field == field and finding.verdict in (MISSING, DIFFERENT, OURS_ALONE)
    )


def main() -> None:
    """Print the table of the folder that the command line names, or what differs in one field."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", choices=NAMES, metavar="FIELD", help="list what differs: " + ", ".join(NAMES))
    given = parser.parse_args()
    skipped: list[Skipped] = []
    photos = list(read_photos(given.folder.resolve(), skip=skipped.append))
    findings = list(compare(photos))
    print(f"{len(photos)} photos are read, {len(skipped)} files are skipped\n")
    print(table(findings))
    if given.show:
        print(differences(findings, field=given.show))


if __name__ == "__main__":
    main()
