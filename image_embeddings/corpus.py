"""The photos of a folder: which files there are, and what is in one of them."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from image_embeddings import exif, images
from image_embeddings.documents import ImageDocument
from image_embeddings.errors import CorpusError, ImageError, ImageSearchError, ImageTooLargeError

MAX_IMAGE_ID_BYTES = 512  # Elasticsearch's limit for `_id`
MAX_FILE_BYTES = 2 * 2**30  # a photo is smaller


@dataclass(frozen=True, kw_only=True)
class PhotoFile:
    """A file that looks like a photo, and what tells whether it changed."""

    image_id: str
    path: Path
    bytes: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file that was left out, and why, with what to do about it."""

    image_id: str
    reason: str
    unusable: bool = False  # its content was read, and is no photo that can be indexed


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that was read: its document and its upright RGB image."""

    document: ImageDocument
    image: Image.Image


def check_folder(folder: Path) -> None:
    """Returns if `folder` is one.

    Raises:
        CorpusError: it is not.
    """
    if not folder.is_dir():
        raise CorpusError(f"There is no folder {folder}. Name the folder of your photos: index FOLDER, or IMAGE_DIR.")


def walk(folder: Path, *, skip: Callable[[Skipped], None], leave_out: Path | None = None) -> Iterator[PhotoFile]:
    """The photos below `folder`, in the order of their image_ids within each folder; links to folders are not followed.

    Files and folders whose name begins with a dot, and the folder `leave_out`, are passed over; what cannot be indexed
    goes to `skip`.

    Raises:
        CorpusError: `folder` is not a folder, or cannot be read.
    """
    check_folder(folder)

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise CorpusError(f"The folder {folder} cannot be opened ({error.strerror}).") from error
        skip(Skipped(image_id=_readable(Path(error.filename), folder), reason=f"cannot be opened ({error.strerror})"))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and Path(parent, name) != leave_out)
        for name in sorted(names):
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in images.UNREAD_SUFFIXES:
                reason = f"{suffix[1:].upper()} files are not read by this version: save a copy as JPEG"
                skip(Skipped(image_id=_readable(Path(parent, name), folder), reason=reason))
            elif suffix in images.SUFFIXES:
                photo = _photo_file(Path(parent, name), folder, skip=skip)
                if photo:
                    yield photo


def _photo_file(path: Path, folder: Path, *, skip: Callable[[Skipped], None]) -> PhotoFile | None:
    shown = _readable(path, folder)
    try:
        stat = path.stat()
        image_id = image_id_of(path, folder)
    except OSError as error:
        skip(Skipped(image_id=shown, reason=f"cannot be opened ({error.strerror})"))
        return None
    except ValueError as error:
        skip(Skipped(image_id=shown, reason=str(error)))
        return None
    if resolve(folder, image_id) is None:
        reason = "a link that leads outside the folder: copy the file in" if path.is_symlink() else "not a regular file"
        skip(Skipped(image_id=shown, reason=reason))
        return None
    return PhotoFile(image_id=image_id, path=path, bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)


def image_id_of(path: Path, folder: Path) -> str:
    """The POSIX path of `path` relative to `folder`.

    Raises:
        ValueError: the name is not Unicode, or longer than Elasticsearch allows; says what to do.
    """
    image_id = path.relative_to(folder).as_posix()
    try:
        length = len(image_id.encode())
    except UnicodeEncodeError:
        raise ValueError("its name is not valid UTF-8: rename it") from None
    if length > MAX_IMAGE_ID_BYTES:
        raise ValueError(f"its path takes {length} bytes, {MAX_IMAGE_ID_BYTES} at most: shorten the names")
    return image_id


def _readable(path: Path, folder: Path) -> str:
    """A path as it can be printed, also where its name is not Unicode."""
    return path.relative_to(folder).as_posix().encode(errors="surrogateescape").decode(errors="replace")


def resolve(folder: Path, image_id: str) -> Path | None:
    """The file of that photo inside `folder`; None where there is none or the path leads outside."""
    parts = PurePosixPath(image_id).parts
    if not parts or image_id.startswith("/") or ".." in parts or "\0" in image_id:
        return None
    try:
        path = (folder / image_id).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, RuntimeError):  # may not be looked at; links in a circle
        return None


def read(file: PhotoFile, *, max_pixels: int, with_location: bool = True) -> Photo:
    """The photo in `file`: hash, size and picture all come from the same bytes, read once.

    Raises:
        CorpusError: the file cannot be opened just now.
        ImageError: its content cannot be decoded, or is too large.
    """
    if file.bytes > MAX_FILE_BYTES:
        raise ImageTooLargeError(f"{file.image_id} has {file.bytes:,} bytes; a photo has {MAX_FILE_BYTES:,} at most.")
    try:
        with file.path.open("rb") as handle:
            mtime_ns = os.fstat(handle.fileno()).st_mtime_ns
            data = handle.read()
    except OSError as error:
        raise CorpusError(f"{file.image_id} cannot be opened ({error.strerror}).") from error
    decoded = images.decode(data, max_pixels=max_pixels, what=file.image_id)
    return Photo(
        image=decoded.image,
        document=ImageDocument(
            image_id=file.image_id,
            width=decoded.width,
            height=decoded.height,
            bytes=len(data),
            mtime_ns=mtime_ns,
            content_hash=content_hash(data),
            location=exif.location(decoded.exif) if with_location else None,
        ),
    )


def content_hash(data: bytes) -> str:
    """The name of these bytes: half a SHA-256, 32 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:32]


def try_read(file: PhotoFile, *, max_pixels: int, with_location: bool = True) -> Photo | Skipped:
    """The photo in `file`, or why it is left out."""
    try:
        return read(file, max_pixels=max_pixels, with_location=with_location)
    except ImageSearchError as error:
        return Skipped(image_id=file.image_id, reason=str(error), unusable=isinstance(error, ImageError))
