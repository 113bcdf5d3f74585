"""The files of indexed photos, and the decoding of photos, a few at a time."""

from pathlib import Path
from threading import BoundedSemaphore

from PIL import Image

from app.services import services
from image_embeddings import SHORT_SIDE, ImageDocument, decode, errors, read_bytes, rendition, resolve

DECODING = BoundedSemaphore(2)  # large photos at a time: each may take a gigabyte while it is decoded


def find_photo(image_id: str) -> tuple[ImageDocument, Path]:
    """Return the document and the file of an indexed photo.

    Raises:
        ImageNotFoundError: it is not in the index, or not in IMAGE_DIR.
    """
    document = services().search.get(image_id)
    path = resolve(services().settings.image_dir, image_id)
    if path is None:
        raise errors.ImageNotFoundError(
            f"'{image_id}' is in the index but not in the folder {services().settings.image_dir}. "
            "Is IMAGE_DIR the folder that was indexed, and its drive mounted?"
        )
    return document, path


def read_photo(image_id: str) -> bytes:
    """Return the bytes of an indexed photo's file as they are now.

    Raises:
        ImageNotFoundError: as `find_photo`.
        CorpusError, ImageTooLargeError: the file cannot be read.
    """
    _, path = find_photo(image_id)
    return read_bytes(path, what=image_id)[0]


def decode_image(data: bytes, *, what: str, short_side: int = SHORT_SIDE) -> Image.Image:
    """Return the upright RGB image in these bytes, shrunk to no less than `short_side` pixels.

    Raises:
        ImageError: it is no image, damaged, or too large; begins with `what`.
    """
    with DECODING:
        return decode(data, max_pixels=_max_pixels(), what=what, short_side=short_side).image


def make_rendition(data: bytes, *, what: str) -> bytes:
    """Return the photo as a JPEG for browsers that cannot show it as it is.

    Raises:
        ImageError: as `decode_image`.
    """
    with DECODING:
        return rendition(data, max_pixels=_max_pixels(), what=what)


def _max_pixels() -> int:
    return services().settings.max_image_pixels
