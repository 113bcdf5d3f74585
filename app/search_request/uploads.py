"""Uploaded query photos: checked by content, and kept nowhere on the server.

A page carries a small copy of each along in its form. It is the copy that is searched by, on the first page too: else a
photo could come on two pages, or on none.
"""

import base64
import re
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image
from werkzeug.datastructures import FileStorage

from app.photo_files import decode_image
from app.search_request import crops
from image_embeddings import SHORT_SIDE, errors

# WebP's quality: 15 to 20 kB, whose embeddings have cosine 0.999 to those of the photos (conse, the samples, also six
# times as large); with quality 80 it is half the size and 0.99.
QUALITY = 95
SHOWN_SIDE, SHOWN_QUALITY = 240, 80  # of the copy that is only looked at
_DATA_URL = re.compile(r"data:image/webp;base64,(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@dataclass(frozen=True)
class CarriedPhoto:
    """An uploaded query photo as pages carry it along."""

    image: Image.Image = field(compare=False)
    copy: str  # the data URL that holds it in small

    @property
    def shown(self) -> str:
        """The data URL of a yet smaller one, to be looked at."""
        return _data_url(self.image, SHOWN_SIDE, SHOWN_QUALITY)


def decode_upload(upload: FileStorage | None) -> Image.Image:
    """Return the upright RGB image that was uploaded.

    Raises:
        QueryError: no file came.
        ImageError: it is no image, damaged, or too large.
    """
    if upload is None or not upload.filename:
        raise errors.QueryError("No photo was sent. Choose an image file first.")
    with upload.stream:
        data = upload.read()
    return decode_image(data, what=f"The upload '{upload.filename}'")


def carry_upload(upload: FileStorage | None) -> CarriedPhoto:
    """Return the photo that was chosen just now, as pages carry it along.

    Raises:
        QueryError, ImageError: as `decode_upload`.
    """
    return _carry(decode_upload(upload))


def read_copy(address: str) -> CarriedPhoto:
    """Return the photo that a page carried along, or the part of it that is named.

    Raises:
        QueryError: that is no data URL as these pages have them, or the part lies outside.
        ImageError: it holds no image.
    """
    address, box = crops.split_fragment(address)
    if not _DATA_URL.fullmatch(address):
        raise errors.QueryError("The copy of your photo was damaged on its way. Choose the photo again.")
    image = _decode_copy(address)
    return _carry(box.check().cut(image)) if box else CarriedPhoto(image, address)


def _carry(image: Image.Image) -> CarriedPhoto:
    copy = _data_url(image, SHORT_SIDE, QUALITY)
    return CarriedPhoto(_decode_copy(copy), copy)


def _decode_copy(address: str) -> Image.Image:
    return decode_image(base64.b64decode(address.partition(",")[2]), what="The copy of your photo")


def _data_url(image: Image.Image, side: int, quality: int) -> str:
    small = image.copy()
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
