"""Small WebP pictures of photos: thumbnails, which are made once for each content, and tiny previews."""

import base64
import os
import time
import uuid
from contextlib import suppress
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
UNFINISHED = ".tmp"
ABANDONED_SECONDS = 3600  # age of a file that nobody finishes any more


def preview(image: Image.Image) -> str:
    """Return a tiny WebP of an RGB image in base64, of about 100 characters."""
    small = image.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BOX)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=PREVIEW_QUALITY, method=2)
    return base64.b64encode(buffer.getvalue()).decode()


def encode(image: Image.Image) -> bytes:
    """Return the thumbnail of an upright RGB image."""
    thumbnail = image.copy()
    thumbnail.thumbnail((SIZE, SIZE), Image.Resampling.HAMMING, reducing_gap=2.0)
    buffer = BytesIO()
    thumbnail.save(buffer, "WEBP", quality=QUALITY, method=METHOD)
    return buffer.getvalue()


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
        return self._folder.joinpath(content_hash[:2], f"{content_hash}.webp")

    def make(self, image: Image.Image, *, content_hash: str) -> Path:
        """Return the path of the thumbnail of an upright RGB image; write the file if it does not exist or is damaged.

        Raises:
            DataDirError: if it cannot be written.
        """
        path = self.path(content_hash)
        if _is_whole_file(path):
            return path
        try:
            self._write(image, path)
        except OSError as error:
            raise DataDirError(
                f"No thumbnail can be written below {self._folder} ({error.strerror or error}). Make room there, or "
                "set DATA_DIR to a folder that this user may write to."
            ) from error
        return path

    @property
    def local(self) -> "Thumbnails":
        """Those on this machine, in which processes that decode make them; `share` has to be called after that."""
        return self

    def share(self, content_hash: str) -> None:
        """Let all see the thumbnail that was made in `local`. Here they do already."""

    def keep(self, image: Image.Image, *, content_hash: str) -> bytes:
        """Return the thumbnail of an upright RGB image, which is kept for all.

        Raises: as `make`.
        """
        return self.make(image, content_hash=content_hash).read_bytes()

    def read(self, content_hash: str) -> bytes | None:
        """Return the thumbnail of the photo with this hash, or None if there is none, or if it is damaged.

        The hash may be any text. Raise DataDirError if the thumbnail is there but cannot be read.
        """
        if not is_content_hash(content_hash):
            return None
        try:
            data = self.path(content_hash).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataDirError(
                f"A thumbnail below {self._folder} cannot be read ({error.strerror or error}). Let this user read "
                "DATA_DIR, or look after the disk."
            ) from error
        return data if is_whole_thumbnail(data) else None

    def remove(self, content_hash: str) -> None:
        """Remove the thumbnail of the photo with this hash, if there is one. It is made anew if it is needed."""
        if is_content_hash(content_hash):
            with suppress(OSError):  # a thumbnail that stays is shown to nobody
                self.path(content_hash).unlink()

    def remove_abandoned(self) -> None:
        """Remove the unfinished files of runs that were killed, if they are older than an hour."""
        before = time.time() - ABANDONED_SECONDS
        with suppress(OSError):  # another user's file does no harm
            for path in self._folder.glob(f"*/*{UNFINISHED}"):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _write(self, image: Image.Image, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = encode(image)
        unfinished = path.with_name(f"{uuid.uuid4().hex}{UNFINISHED}")
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # the name must not be on the disk before the content
            unfinished.replace(path)  # complete or not there at all, even with two writers
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(path.parent)


HEADER_BYTES = 16  # with the name of the first chunk


def _is_whole_file(path: Path) -> bool:
    """Return whether there is a whole thumbnail at `path`."""
    try:
        with path.open("rb") as file:
            return _is_whole(file.read(HEADER_BYTES), size=os.fstat(file.fileno()).st_size)
    except OSError:
        return False


def is_whole_thumbnail(data: bytes) -> bool:
    """Return whether the bytes are a whole thumbnail."""
    return _is_whole(data[:HEADER_BYTES], size=len(data))


def _is_whole(header: bytes, *, size: int) -> bool:
    """Return whether a file of `size` bytes that begins so is a WebP, and as long as its header says (RFC 9649)."""
    length = int.from_bytes(header[4:8], "little") + 8
    return header[:4] == b"RIFF" and header[8:15] == b"WEBPVP8" and length == size


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
