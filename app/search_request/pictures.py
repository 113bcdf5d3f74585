"""Uploaded query photos on pages: as they are kept nowhere, each page carries small copies of its own along.

It is the copy that is searched by, on the first page too: else a photo could come on two pages, or on none.
"""

import base64
import re
from io import BytesIO
from typing import NamedTuple

from PIL import Image
from werkzeug.datastructures import FileStorage

from app.photo_files import decode_image
from app.search_request import crops
from app.search_request.uploads import query_image
from image_embeddings import errors

# Pixels, and WebP's quality: 15 to 20 kB, whose embeddings have cosine 0.999 to those of the photos (conse, the
# samples, also six times as large); with quality 80 it is half the size and 0.99.
SIDE, QUALITY = 448, 95
SHOWN_SIDE, SHOWN_QUALITY = 240, 80
_ADDRESS = re.compile(r"data:image/webp;base64,(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class Picture(NamedTuple):
    """An uploaded query photo."""

    image: Image.Image
    copy: str  # the address that holds it in small

    @property
    def shown(self) -> str:
        """The address of a smaller one yet, to be looked at."""
        return _address(self.image, SHOWN_SIDE, SHOWN_QUALITY)


def of_upload(upload: FileStorage | None) -> Picture:
    """The photo that was chosen just now; errors as `query_image`."""
    return _picture(query_image(upload))


def of_copy(address: str) -> Picture:
    """The photo that a page carried along, or the part of it that is named.

    Raises:
        QueryError: that is no address as these pages have them, or the part lies outside.
        ImageError: it holds no image.
    """
    address, box = crops.named(address)
    if not _ADDRESS.fullmatch(address):
        raise errors.QueryError("The copy of your photo was damaged on its way. Choose the photo again.")
    image = _image(address)
    if not box:
        return Picture(image, address)
    return _picture(box.checked().cut(image))


def _picture(image: Image.Image) -> Picture:
    copy = _address(image, SIDE, QUALITY)
    return Picture(_image(copy), copy)


def _image(address: str) -> Image.Image:
    return decode_image(base64.b64decode(address.partition(",")[2]), what="The copy of your photo")


def _address(image: Image.Image, side: int, quality: int) -> str:
    small = image.copy()
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
