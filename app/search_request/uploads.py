"""Uploaded query photos: they are checked by their content, and never kept on the server.

The form of a page carries a small copy of each photo along. Every page searches by this copy, the first one too. If the
first page searched by the photo itself, a hit could be on two pages or on none.
"""

import base64
import re
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image
from werkzeug.datastructures import FileStorage

from app.photo_files import decode_from_visitor
from app.search_request import crops
from image_embeddings import SHORT_SIDE, errors

# The quality of WebP. A copy then has 15 to 20 kB, and its embedding a cosine of 0.999 to that of the photo (measured
# with conse on the samples, also on samples enlarged six times). With quality 80 it is half as large, and the cosine is
# 0.99.
QUALITY = 95
SHOWN_SIDE, SHOWN_QUALITY = 240, 80  # of the copy that is only shown
MAX_COPY = 400_000  # characters of a copy that a form sends; that of a picture of mere noise is about as long
_DATA_URL = re.compile(r"data:image/webp;base64,(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@dataclass(frozen=True)
class CarriedPhoto:
    """An uploaded query photo in the form in which pages carry it along."""

    image: Image.Image = field(compare=False)
    copy: str  # the data URL of a small copy

    @property
    def shown(self) -> str:
        """The data URL of a still smaller copy, for the page to show."""
        return _data_url(self.image, SHOWN_SIDE, SHOWN_QUALITY)


def decode_upload(upload: FileStorage | None) -> Image.Image:
    """Return the uploaded photo as an upright RGB image.

    Raises:
        QueryError: if there is no file.
        ImageError: if the file is no image, is damaged, or is too large.
    """
    if upload is None or not upload.filename:
        raise errors.QueryError("No photo was sent. Choose an image file first.")
    with upload.stream:
        data = upload.read()
    return decode_from_visitor(data, what=f"The upload '{errors.shorten(upload.filename)}'")


def carry_upload(upload: FileStorage | None) -> CarriedPhoto:
    """Return a new upload in the form in which pages carry it along.

    Raises:
        QueryError, ImageError: as in `decode_upload`.
    """
    return _carry(decode_upload(upload))


def read_copy(address: str) -> CarriedPhoto:
    """Return the photo that a page carries along, or only a part of it if the address names one.

    Raises:
        QueryError: if the address is no data URL of these pages, or the part lies outside the photo.
        ImageError: if the data URL contains no image.
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
    return decode_from_visitor(base64.b64decode(address.partition(",")[2]), what="The copy of your photo")


def _data_url(image: Image.Image, side: int, quality: int) -> str:
    small = image.copy()
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
