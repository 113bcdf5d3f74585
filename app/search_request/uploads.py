"""Uploaded query photos: checked by content, kept in memory only."""

from threading import BoundedSemaphore

from PIL import Image
from werkzeug.datastructures import FileStorage

from app.services import services
from image_embeddings import decode, errors

DECODING = BoundedSemaphore(2)  # large photos at a time: each may take a gigabyte while it is decoded


def query_image(upload: FileStorage | None) -> Image.Image:
    """The upright RGB image that was uploaded.

    Raises:
        QueryError: no file came.
        ImageError: it is no image, damaged, or too large.
    """
    if upload is None or not upload.filename:
        raise errors.QueryError("No photo was sent. Choose an image file first.")
    with upload.stream:
        data = upload.read()
    return decoded(data, what=f"The upload '{upload.filename}'")


def decoded(data: bytes, *, what: str) -> Image.Image:
    """The upright RGB image in these bytes; ImageError as above, which begins with `what`."""
    with DECODING:
        return decode(data, max_pixels=services().settings.max_image_pixels, what=what).image
