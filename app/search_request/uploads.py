"""Uploaded query photos: checked by content, kept in memory only."""

from PIL import Image
from werkzeug.datastructures import FileStorage

from app.photo_files import decode_image
from image_embeddings import errors


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
    return decode_image(data, what=f"The upload '{upload.filename}'")
