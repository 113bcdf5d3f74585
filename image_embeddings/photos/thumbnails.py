"""Small WebP pictures of photos: thumbnails, which are made once for each content, and tiny previews."""

import base64
import uuid
from io import BytesIO
from pathlib import Path

from PIL import Image

from image_embeddings.documents import is_content_hash
from image_embeddings.errors import DataDirError

SIZE = 400  # pixels of the longer side
QUALITY = 78
METHOD = 2  # of 6: takes half the time of 4, and the files are hardly larger
PREVIEW_SIDE = 12  # pixels of the longer side
PREVIEW_QUALITY = 20


def preview(image: Image.Image) -> str:
    """Return a tiny WebP of an RGB image in base64, of about 100 characters."""
    small = image.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BOX)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=PREVIEW_QUALITY, method=2)
    return base64.b64encode(buffer.getvalue()).decode()


class Thumbnails:
    """A folder of thumbnails, each with the content hash of its photo as its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, content_hash: str) -> Path:
        """Return where the thumbnail of the photo with this hash is, or would be.

        Raise ValueError if it is no content hash, because the path could then lead out of the folder.
        """
        if not is_content_hash(content_hash):
            raise ValueError(f"not a content hash: {content_hash!r:.80}")
        return self._folder / content_hash[:2] / f"{content_hash}.webp"

    def make(self, image: Image.Image, *, content_hash: str) -> Path:
        """Return the path of the thumbnail of an upright RGB image; write the file if it does not exist.

        Raises:
            DataDirError: if it cannot be written.
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
            unfinished.replace(path)  # complete or not there at all, even with two writers
        finally:
            unfinished.unlink(missing_ok=True)
