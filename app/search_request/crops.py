"""Parts of photos, as W3C Media Fragments name them: https://www.w3.org/TR/media-frags/#naming-space"""

import re
from typing import NamedTuple

from PIL import Image

from app.photo_files import decode_image, read_photo
from image_embeddings import SHORT_SIDE, errors

MOST_DETAIL = 4_000  # pixels of the short side that a photo is decoded to for a part of it

_NUMBER = r"(\d{1,3}(?:\.\d{1,6})?)"
_WITH_FRAGMENT = re.compile(rf"(.+)#xywh=percent:{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}", re.DOTALL)
_SLACK = 1e-6  # of shares that were rounded


class Box(NamedTuple):
    """A part of a photo, by shares of its upright picture."""

    left: float
    top: float
    width: float
    height: float

    def check(self) -> "Box":
        """Return the same box.

        Raises:
            QueryError: it lies outside the picture, or is nothing.
        """
        if 0 < self.width <= 1 - self.left + _SLACK and 0 < self.height <= 1 - self.top + _SLACK:
            return self
        raise errors.QueryError("The part of the photo lies outside it. It is x,y,width,height in percent, inside 100.")

    def cut(self, whole: Image.Image) -> Image.Image:
        """That part of the picture, a pixel at least."""
        left, top = round(self.left * whole.width), round(self.top * whole.height)
        right, bottom = round((self.left + self.width) * whole.width), round((self.top + self.height) * whole.height)
        return whole.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def split_fragment(photo: str) -> tuple[str, Box | None]:
    """Return the image_id or data URL of a whole photo, and the part of it that is meant, if any."""
    found = _WITH_FRAGMENT.fullmatch(photo)
    return (found[1], Box(*(float(number) / 100 for number in found.groups()[1:]))) if found else (photo, None)


def crop_indexed(image_id: str, box: Box) -> Image.Image:
    """Return a part of an indexed photo: an RGB image of what the file shows now.

    Raises:
        QueryError: the part lies outside the picture, or is nothing.
        ImageNotFoundError, ImageError: there is no such photo, or it cannot be read.
    """
    detail = min(MOST_DETAIL, round(SHORT_SIDE / min(box.check().width, box.height)))
    return box.cut(decode_image(read_photo(image_id), what=image_id, short_side=detail))
