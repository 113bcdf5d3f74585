"""The photos of a folder: which files there are, and what is in one of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from image_embeddings import exif, images
from image_embeddings.documents import ImageDocument
from image_embeddings.errors import CorpusError, ImageTooLargeError

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


@dataclass(frozen=True, kw_only=True)
class PhotoBytes:
    """What was in a file when it was read."""

    image_id: str
    data: bytes
    mtime_ns: int
    content_hash: str


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

    folders = [folder]
    while folders:
        parent = folders.pop()
        try:
            with os.scandir(parent) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if parent == folder:
                raise CorpusError(f"The folder {folder} cannot be opened ({error.strerror}).") from error
            skip(Skipped(image_id=_readable(parent, folder), reason=f"cannot be opened ({error.strerror})"))
            continue
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        inner = [entry for entry in shown if entry.is_dir(follow_symlinks=False)]
        folders += [path for entry in reversed(inner) if (path := Path(entry.path)) != leave_out]
        for entry in shown:
            if not entry.is_dir(follow_symlinks=False) and (photo := _photo_file(entry, folder, skip=skip)):
                yield photo


def _photo_file(entry: os.DirEntry[str], folder: Path, *, skip: Callable[[Skipped], None]) -> PhotoFile | None:
    """The entry as a photo; None where it is none, or goes to `skip`."""
    suffix = entry.name[entry.name.rfind(".") :].lower()
    if suffix not in images.SUFFIXES and suffix not in images.UNREAD_SUFFIXES:
        return None
    path = Path(entry.path)
    try:
        image_id = image_id_of(path, folder)
        stat = entry.stat()
        reason = _unfit(entry, suffix, folder=folder, image_id=image_id)
    except OSError as error:
        reason = f"cannot be opened ({error.strerror})"
    except ValueError as error:
        reason = str(error)
    if reason:
        skip(Skipped(image_id=_readable(path, folder), reason=reason))
        return None
    return PhotoFile(image_id=image_id, path=path, bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)


def _unfit(entry: os.DirEntry[str], suffix: str, *, folder: Path, image_id: str) -> str:
    """Why the entry cannot be indexed; empty where it can."""
    if suffix in images.UNREAD_SUFFIXES:
        return f"{suffix[1:].upper()} files are not read by this version: save a copy as JPEG"
    if entry.is_file(follow_symlinks=False) or resolve(folder, image_id):
        return ""
    return "a link that leads outside the folder: copy the file in" if entry.is_symlink() else "not a regular file"


def image_id_of(path: Path, folder: Path) -> str:
    """The POSIX path of `path` relative to `folder`.

    Raises:
        ValueError: the name is not Unicode, or longer than Elasticsearch allows; says what to do.
    """
    image_id = _relative(path, folder)
    try:
        length = len(image_id.encode())
    except UnicodeEncodeError:
        raise ValueError("its name is not valid UTF-8: rename it") from None
    if length > MAX_IMAGE_ID_BYTES:
        raise ValueError(f"its path takes {length} bytes, {MAX_IMAGE_ID_BYTES} at most: shorten the names")
    return image_id


def _readable(path: Path, folder: Path) -> str:
    """A path as it can be printed, also where its name is not Unicode."""
    return _relative(path, folder).encode(errors="surrogateescape").decode(errors="replace")


def _relative(path: Path, folder: Path) -> str:
    """As `relative_to`, ten times as fast; `path` is below `folder`."""
    return path.as_posix()[len(folder.as_posix()) :].lstrip("/")


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


def load(file: PhotoFile) -> PhotoBytes:
    """What is in `file` now, read once.

    Raises:
        CorpusError: the file cannot be opened just now.
        ImageTooLargeError: it is larger than a photo.
    """
    if file.bytes > MAX_FILE_BYTES:
        raise ImageTooLargeError(f"{file.image_id} has {file.bytes:,} bytes; a photo has {MAX_FILE_BYTES:,} at most.")
    try:
        with file.path.open("rb") as handle:
            mtime_ns = os.fstat(handle.fileno()).st_mtime_ns
            data = handle.read()
    except OSError as error:
        raise CorpusError(f"{file.image_id} cannot be opened ({error.strerror}).") from error
    return PhotoBytes(image_id=file.image_id, data=data, mtime_ns=mtime_ns, content_hash=content_hash(data))


def decode(photo: PhotoBytes, *, max_pixels: int, with_location: bool = True) -> Photo:
    """The photo in these bytes: hash, size, place and picture belong together.

    Raises:
        ImageError: its content cannot be decoded, or is too large.
    """
    decoded = images.decode(photo.data, max_pixels=max_pixels, what=photo.image_id)
    return Photo(
        image=decoded.image,
        document=ImageDocument(
            image_id=photo.image_id,
            width=decoded.width,
            height=decoded.height,
            bytes=len(photo.data),
            mtime_ns=photo.mtime_ns,
            content_hash=photo.content_hash,
            location=exif.location(decoded.exif) if with_location else None,
        ),
    )


def content_hash(data: bytes) -> str:
    """The name of these bytes: half a SHA-256, 32 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:32]
