"""Small WebP pictures of the photos: thumbnails, made once and kept by content, and tiny previews."""

import base64
import uuid
from io import BytesIO
from pathlib import Path

from PIL import Image

from image_embeddings.errors import DataDirError

SIZE = 400  # pixels, the longer side
QUALITY = 78
METHOD = 2  # of 6: half the time of 4, and hardly larger files
PREVIEW_SIDE = 12  # pixels of the longer side
PREVIEW_QUALITY = 20


def preview(image: Image.Image) -> str:
    """A tiny WebP of an RGB image, in base64: about 100 characters."""
    small = image.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BOX)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=PREVIEW_QUALITY, method=2)
    return base64.b64encode(buffer.getvalue()).decode()


class Thumbnails:
    """A folder of thumbnails named by the content hash of their photo."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, content_hash: str) -> Path:
        """Where the thumbnail of that photo is, or would be."""
        return self._folder / content_hash[:2] / f"{content_hash}.webp"

    def make(self, image: Image.Image, *, content_hash: str) -> Path:
        """The path of the thumbnail of an upright RGB image, written unless it is there.

        Raises:
            DataDirError: it cannot be written.
        """
        path = self.path(content_hash)
        if path.exists():
            return path
        try:
            self._write(image, path)
        except OSError as error:
            raise DataDirError(
                f"No thumbnail can be written below {self._folder} ({error.strerror or error}). Make room there, or "
                "set DATA_DIR to a folder that this user may write to."
            ) from error
        return path

    def _write(self, image: Image.Image, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        thumbnail = image.copy()
        thumbnail.thumbnail((SIZE, SIZE), Image.Resampling.HAMMING, reducing_gap=2.0)
        unfinished = path.with_name(f"{uuid.uuid4().hex}.tmp")
        try:
            thumbnail.save(unfinished, "WEBP", quality=QUALITY, method=METHOD)
            unfinished.replace(path)  # whole or not at all, also with two writers
        finally:
            unfinished.unlink(missing_ok=True)
