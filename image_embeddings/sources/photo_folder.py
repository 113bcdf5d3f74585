"""The photos of a folder: which files there are, and the bytes of each."""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader, FileIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from image_embeddings.documents import MAX_IMAGE_ID_BYTES
from image_embeddings.errors import CorpusError, ImageError, ImageMemoryError, ImageTooLargeError
from image_embeddings.photos import decoding
from image_embeddings.photos.photo import PhotoBytes, content_hash
from image_embeddings.sources.left_out import IGNORE_FILE, NO_MEDIA, Rules

MAX_FILE_BYTES = 2 * 2**30  # no photo is larger

NO_FILE = "a pipe, socket or device, not a file: move it elsewhere"
_SUFFIX = re.compile(r"\.\w{1,10}")
_REMEDIES = {
    errno.EACCES: "let this user read it",
    errno.EPERM: "let this user read it",
    errno.ENOENT: "it is gone, or a link to nothing: index again",
    errno.ELOOP: "it is a link in a circle: remove it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoFile:
    """A file with the name of a photo; the other values show whether it may have changed."""

    image_id: str
    path: Path
    bytes: int
    mtime_ns: int
    ctime_ns: int = 0  # this and `inode` as in ImageDocument
    inode: int = 0


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file or folder that is left out, with the reason and the remedy."""

    image_id: str
    reason: str
    unusable: bool = False  # True if its content was read and is no photo that can be indexed
    is_folder: bool = False


def check_folder(folder: Path) -> None:
    """Check that `folder` is a folder.

    Raises:
        CorpusError: if it is not.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises if a network drive is away
        remedy = "Name the folder of your photos: index FOLDER, or IMAGE_DIR."
        if os.path.exists(folder):  # noqa: PTH110 - as above
            raise CorpusError(f"{folder} is not a folder. {remedy}")
        raise CorpusError(f"There is no folder {folder}. Is its drive mounted? {remedy}")


@dataclass(kw_only=True)
class PassedOver:
    """What a walk passes over, counted. Files and folders whose names begin with a dot are not counted."""

    other_files: Counter[str] = field(default_factory=Counter)  # by suffix, in lower case; empty for none
    linked_folders: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # files and folders by the reason of `left_out.Rules`


def walk(
    folder: Path,
    *,
    skip: Callable[[Skipped], None],
    leave_out: Path | None = None,
    exclude: Iterable[str] = (),
    passed: PassedOver | None = None,
) -> Iterator[PhotoFile]:
    """Yield the photos below `folder`, sorted by image_id within each folder.

    `skip` gets everything that is named like a photo and cannot be indexed. What else is passed over is counted in
    `passed`. `leave_out` and `exclude` are those of `walk_folders`.

    Raises:
        CorpusError: if `folder` is not a folder, or cannot be read.
    """
    passed = PassedOver() if passed is None else passed
    for _, files in walk_folders(folder, skip=skip, leave_out=leave_out, exclude=exclude, passed=passed):
        for entry in files:
            if not named_like_a_photo(entry.name):
                passed.other_files[_kind(entry.name)] += 1
            elif photo := _photo_file(entry, folder, skip=skip):
                yield photo


def walk_folders(
    folder: Path,
    *,
    skip: Callable[[Skipped], None],
    passed: PassedOver,
    leave_out: Path | None = None,
    exclude: Iterable[str] = (),
    is_entered: Callable[[str], bool] = lambda path: True,
) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Yield `folder` and the folders below it that are looked at, each with the files in it, sorted by name.

    Links to folders are not followed. Files and folders whose name begins with a dot are passed over, and so are the
    folder `leave_out`, whatever path leads to it, and what the rules of `left_out` leave out: `exclude` are the globs
    of EXCLUDE. A folder with a file .nomedia is yielded without files, and those below it are not; but `folder` itself
    is looked at in any case. A folder that cannot be opened goes to `skip`. A folder for whose path `is_entered` is
    false is not opened.

    Raises:
        CorpusError: if `folder` is not a folder, or cannot be read.
    """
    check_folder(folder)

    own_data = _status(leave_out)
    waiting = [(folder, Rules.at_root(folder, exclude=exclude))]
    while waiting:
        parent, rules = waiting.pop()
        try:
            with os.scandir(parent) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            rules = rules.with_ignore_file(parent)
        except OSError as error:
            what = IGNORE_FILE if error.filename and Path(error.filename).name == IGNORE_FILE else ""
            if parent == folder:
                path = folder / what
                raise CorpusError(f"The {'file' if what else 'folder'} {path} {_why_unopened(error)}.") from error
            reason = f"its file {what} {_why_unopened(error)}" if what else _why_unopened(error)
            skip(Skipped(image_id=_readable(parent, folder), reason=reason, is_folder=True))
            continue
        if parent != folder and any(entry.name == NO_MEDIA for entry in entries):
            passed.left_out[NO_MEDIA] += 1
            yield parent, []
            continue
        files, inner = _sort_out(entries, rules, own_data=own_data, passed=passed)
        inner = [entry for entry in inner if is_entered(entry.path)]
        waiting += [(Path(entry.path), rules.below(entry.name)) for entry in reversed(inner)]
        yield parent, files


def _sort_out(
    entries: Iterable[os.DirEntry[str]], rules: Rules, *, own_data: os.stat_result | None, passed: PassedOver
) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Return the files and the folders among the entries of a folder that are looked at; count the others."""
    files: list[os.DirEntry[str]] = []
    folders: list[os.DirEntry[str]] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        is_link = not is_folder and _is_linked_folder(entry)
        if reason := rules.why_left_out(entry.name, is_folder=is_folder or is_link):
            passed.left_out[reason] += 1
        elif is_link:
            passed.linked_folders += 1
        elif not is_folder:
            files.append(entry)
        elif not _is_same(entry, own_data):
            folders.append(entry)
    return files, folders


def _is_linked_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # links in a circle
        return False


def _status(path: Path | None) -> os.stat_result | None:
    try:
        return path.stat() if path else None
    except OSError:
        return None


def _is_same(entry: os.DirEntry[str], status: os.stat_result | None) -> bool:
    try:
        return status is not None and os.path.samestat(entry.stat(follow_symlinks=False), status)
    except OSError:  # it has gone in the meantime
        return False


def named_like_a_photo(name: str) -> bool:
    """Return whether a file of this name counts as a photo."""
    suffix = _suffix(name)
    return suffix in decoding.SUFFIXES or suffix in decoding.UNREAD_SUFFIXES


def _suffix(name: str) -> str:
    return name[name.rfind(".") :].lower()


def _kind(name: str) -> str:
    """Return the suffix of a file that is no photo; empty if what follows the last dot does not look like one."""
    suffix = _suffix(name)
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _photo_file(entry: os.DirEntry[str], folder: Path, *, skip: Callable[[Skipped], None]) -> PhotoFile | None:
    """Return the entry as a photo; None if it is no photo, or if it goes to `skip`."""
    if not named_like_a_photo(entry.name):
        return None
    path = Path(entry.path)
    try:
        image_id = image_id_of(path, folder)
        status = entry.stat()
        reason = _why_unfit(entry, folder=folder, image_id=image_id)
    except OSError as error:
        reason = _why_unopened(error)
    except ValueError as error:
        reason = str(error)
    if reason:
        skip(Skipped(image_id=_readable(path, folder), reason=reason))
        return None
    return PhotoFile(
        image_id=image_id,
        path=path,
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=_signed(status.st_ino),
    )


def _signed(inode: int) -> int:
    """Return the number of an inode in the range of Elasticsearch's `long`; some drives number them beyond it."""
    return (inode + 2**63) % 2**64 - 2**63


def _why_unopened(error: OSError) -> str:
    remedy = _REMEDIES.get(error.errno or 0, "look after its drive and index again")
    return f"cannot be opened ({error.strerror or error}): {remedy}"


def _why_unfit(entry: os.DirEntry[str], *, folder: Path, image_id: str) -> str:
    """Return why the entry cannot be indexed; an empty text if it can."""
    suffix = _suffix(entry.name)
    if suffix in decoding.UNREAD_SUFFIXES:
        return f"{suffix[1:].upper()} files are not read by this version: save a copy as JPEG"
    if entry.is_file(follow_symlinks=False) or resolve(folder, image_id):
        return ""
    outside = entry.is_symlink() and stat.S_ISREG(entry.stat().st_mode)
    return "a link that leads outside the folder: copy the file in" if outside else NO_FILE


def image_id_of(path: Path, folder: Path) -> str:
    """Return the image_id of the photo at `path`: its POSIX path relative to `folder`.

    Raises:
        ValueError: if the name is not Unicode, has a control character, which addresses and headers of the web cannot
            hold, or is longer than Elasticsearch allows. The message says what to do.
    """
    image_id = _relative(path, folder)
    try:
        length = len(image_id.encode())
    except UnicodeEncodeError:
        raise ValueError("its name is not valid UTF-8: rename it") from None
    if controls := [character for character in image_id if unicodedata.category(character) == "Cc"]:
        raise ValueError(f"its name has the control character {controls[0]!r}: rename it")
    if length > MAX_IMAGE_ID_BYTES:
        raise ValueError(f"its path takes {length} bytes, {MAX_IMAGE_ID_BYTES} at most: shorten the names")
    return image_id


def _readable(path: Path, folder: Path) -> str:
    """Return a path that can be printed, even if its name is not Unicode."""
    return _relative(path, folder).encode(errors="surrogateescape").decode(errors="replace")


def _relative(path: Path, folder: Path) -> str:
    """Return the relative path ten times as fast as `relative_to` does; `path` has to be below `folder`."""
    return path.as_posix()[len(folder.as_posix()) :].lstrip("/")


def resolve(folder: Path, image_id: str) -> Path | None:
    """Return the file of a photo inside `folder`; None if there is no file, or if the path leads outside."""
    parts = PurePosixPath(image_id).parts
    if not parts or image_id.startswith("/") or ".." in parts or "\0" in image_id:
        return None
    try:
        path = (folder / image_id).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, RuntimeError):  # no permission to look at it; links in a circle
        return None


def load(file: PhotoFile) -> PhotoBytes:
    """Return the present content of `file`, which is read once.

    Raises:
        CorpusError: if the file cannot be opened at present, or changes while it is read.
        ImageTooLargeError: if it has more than MAX_FILE_BYTES.
    """
    data, status = read_bytes(file.path, what=file.image_id)
    return PhotoBytes(
        image_id=file.image_id,
        data=data,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=_signed(status.st_ino),
        content_hash=content_hash(data),
    )


def read_bytes(path: Path, *, what: str) -> tuple[bytes, os.stat_result]:
    """Return all bytes of a file, and its status; never wait for a pipe. `what` names the file in errors.

    Raises:
        CorpusError: if it cannot be opened at present, is no regular file, or changes while it is read.
        ImageTooLargeError: if it has more than MAX_FILE_BYTES.
    """
    try:
        with BufferedReader(FileIO(path, opener=_open_nonblocking)) as handle:
            return contents(handle, what=what)
    except OSError as error:
        raise CorpusError(f"{what} {_why_unopened(error)}.") from error


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def contents(handle: BinaryIO, *, what: str) -> tuple[bytes, os.stat_result]:
    """Return all bytes of an open file that does not change while it is read, and its status.

    Raises:
        CorpusError, ImageTooLargeError: as in `read_bytes`.
    """
    before = os.fstat(handle.fileno())
    if not stat.S_ISREG(before.st_mode):
        raise CorpusError(f"{what} is {NO_FILE}.")
    if before.st_size > MAX_FILE_BYTES:
        raise ImageTooLargeError(
            f"{what} has {before.st_size:,} bytes; a photo has {MAX_FILE_BYTES:,} at most. Make it smaller."
        )
    data = handle.read(before.st_size + 1)
    after = os.fstat(handle.fileno())
    if (len(data), after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise CorpusError(f"{what} changed while it was read: index again when it is whole.")
    return data, before


def skipped(file: PhotoFile, error: CorpusError | ImageError) -> Skipped:
    """Return the file as one that is left out because of this error."""
    reason = str(error).removeprefix(f"{file.image_id} ")
    unusable = isinstance(error, ImageError) and not isinstance(error, ImageMemoryError)
    return Skipped(image_id=file.image_id, reason=reason, unusable=unusable)
