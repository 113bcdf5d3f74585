"""Uploaded query photos on pages: as they are kept nowhere, each page carries small copies of its own along."""

import base64
import re
from io import BytesIO
from typing import NamedTuple

from PIL import Image
from werkzeug.datastructures import FileStorage

from app import crops
from app.uploads import decoded, query_image
from image_embeddings import errors

SIDE = 448  # pixels: enough to be searched by again
SHOWN_SIDE = 240
_ADDRESS = re.compile(r"data:image/webp;base64,((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)")


class Picture(NamedTuple):
    """An uploaded query photo."""

    image: Image.Image
    copy: str  # the address that holds it in small

    @property
    def shown(self) -> str:
        """The address of a smaller one yet, to be looked at."""
        return _address(self.image, SHOWN_SIDE)


def of_upload(upload: FileStorage | None) -> Picture:
    """The photo that was chosen just now; errors as `query_image`."""
    image = query_image(upload)
    return Picture(image, _address(image, SIDE))


def of_copy(address: str) -> Picture:
    """The photo that a page carried along, or the part of it that is named.

    Raises:
        QueryError: that is no address as these pages have them, or the part lies outside.
        ImageError: it holds no image.
    """
    address, box = crops.named(address)
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise errors.QueryError("The copy of your photo was damaged on its way. Choose the photo again.")
    image = decoded(base64.b64decode(found[1]), what="The copy of your photo")
    if not box:
        return Picture(image, address)
    part = box.checked().cut(image)
    return Picture(part, _address(part, SIDE))


def _address(image: Image.Image, side: int) -> str:
    small = image.copy()
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
