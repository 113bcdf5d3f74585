"""Parts of photos, named as in W3C Media Fragments: https://www.w3.org/TR/media-frags/#naming-space"""

import re
from typing import NamedTuple

from PIL import Image

from app.photo_files import decode_photo, find_photo
from image_embeddings import SHORT_SIDE, errors

MOST_DETAIL = 4_000  # pixels of the shorter side, at most, to which a photo is decoded when a part is cut out

_NUMBER = r"([0-9]{1,3}(?:\.[0-9]{1,6})?)"
_WITH_FRAGMENT = re.compile(rf"(.+)#xywh=percent:{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}", re.DOTALL)
_SLACK = 1e-6  # tolerance for rounded shares


class Box(NamedTuple):
    """A part of a photo, as shares (0 to 1) of the width and height of the upright picture."""

    left: float
    top: float
    width: float
    height: float

    def check(self) -> "Box":
        """Return the same box.

        Raises:
            QueryError: if it lies outside the picture, or is empty.
        """
        if 0 < self.width <= 1 - self.left + _SLACK and 0 < self.height <= 1 - self.top + _SLACK:
            return self
        raise errors.QueryError("The part of the photo lies outside it. It is x,y,width,height in percent, inside 100.")

    def cut(self, whole: Image.Image) -> Image.Image:
        """Return this part of the picture, at least one pixel wide and high."""
        left, top = round(self.left * whole.width), round(self.top * whole.height)
        right, bottom = round((self.left + self.width) * whole.width), round((self.top + self.height) * whole.height)
        return whole.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def split_fragment(photo: str) -> tuple[str, Box | None]:
    """Return the image_id or data URL of the whole photo, and the box of the part, or None for the whole photo."""
    found = _WITH_FRAGMENT.fullmatch(photo)
    return (found[1], Box(*(float(number) / 100 for number in found.groups()[1:]))) if found else (photo, None)


def crop_indexed(image_id: str, box: Box) -> Image.Image:
    """Return a part of an indexed photo as an RGB image, made from the present content of its file.

    Raises:
        QueryError: if the part lies outside the picture, or is empty.
        ImageNotFoundError, ImageError: if there is no such photo, or it cannot be read.
    """
    detail = min(MOST_DETAIL, round(SHORT_SIDE / min(box.check().width, box.height)))
    whole, _ = decode_photo(find_photo(image_id), short_side=detail)
    return box.cut(whole)
