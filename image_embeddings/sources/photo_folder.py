"""The photos of a folder: which files there are, each with the sidecars beside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from image_embeddings.sources.folders import walk_folders
from image_embeddings.sources.names import (
    image_id_of,
    kind_of,
    named_like_a_photo,
    readable_path,
    relative_path,
    why_unread,
)
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.sidecar_files import SidecarFile, match_sidecars, may_be_a_sidecar
from image_embeddings.sources.skipped import NO_FILE, Skipped, why_unopened
from image_embeddings.sources.source import PhotoFile


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
        photos = [entry for entry in files if named_like_a_photo(entry.name)]
        others = [entry for entry in files if not named_like_a_photo(entry.name)]
        sidecars = _sidecars(photos, others, folder)
        used = {sidecar.name for found in sidecars.values() for sidecar in found}
        passed.other_files.update(kind_of(entry.name) for entry in others if entry.name not in used)
        for entry in photos:
            if photo := _photo_file(entry, folder, sidecars=sidecars.get(entry.name, ()), skip=skip):
                yield photo


def _sidecars(
    photos: Iterable[os.DirEntry[str]], others: Iterable[os.DirEntry[str]], folder: Path
) -> dict[str, tuple[SidecarFile, ...]]:
    """Return the sidecars of each photo of one folder that has some, by its name. Links out of `folder` are none."""
    entries = {entry.name: entry for entry in others if may_be_a_sidecar(entry.name) and _is_inside(entry, folder)}
    if not entries:
        return {}
    found = match_sidecars([entry.name for entry in photos], entries)
    return {
        photo: tuple(
            SidecarFile.of(entries[name], file=relative_path(Path(entries[name].path), folder)) for name in names
        )
        for photo, names in found.items()
    }


def _is_inside(entry: os.DirEntry[str], folder: Path) -> bool:
    try:
        return (
            entry.is_file(follow_symlinks=False) or resolve(folder, relative_path(Path(entry.path), folder)) is not None
        )
    except OSError:
        return False


def _photo_file(
    entry: os.DirEntry[str], folder: Path, *, sidecars: tuple[SidecarFile, ...], skip: Callable[[Skipped], None]
) -> PhotoFile | None:
    """Return the entry, which has the name of a photo, as a photo; None if it goes to `skip`."""
    path = Path(entry.path)
    try:
        image_id = image_id_of(path, folder)
        status = entry.stat()
        reason = _why_unfit(entry, folder=folder, image_id=image_id)
    except OSError as error:
        reason = why_unopened(error)
    except ValueError as error:
        reason = str(error)
    if reason:
        skip(Skipped(image_id=readable_path(path, folder), reason=reason))
        return None
    return photo_file(image_id, status, sidecars=sidecars)


def photo_file(image_id: str, status: os.stat_result, *, sidecars: tuple[SidecarFile, ...] = ()) -> PhotoFile:
    """Return a photo whose file has this status."""
    return PhotoFile(
        image_id=image_id,
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=signed(status.st_ino),
        sidecars=sidecars,
    )


def signed(inode: int) -> int:
    """Return the number of an inode in the range of Elasticsearch's `long`; some drives number them beyond it."""
    return (inode + 2**63) % 2**64 - 2**63


def _why_unfit(entry: os.DirEntry[str], *, folder: Path, image_id: str) -> str:
    """Return why the entry cannot be indexed; an empty text if it can."""
    if reason := why_unread(entry.name):
        return reason
    if entry.is_file(follow_symlinks=False) or resolve(folder, image_id):
        return ""
    outside = entry.is_symlink() and stat.S_ISREG(entry.stat().st_mode)
    return "a link that leads outside the folder: copy the file in" if outside else NO_FILE


def resolve(folder: Path, image_id: str) -> Path | None:
    """Return the file of a photo inside `folder`; None if there is no file, or if the path leads outside."""
    parts = PurePosixPath(image_id).parts
    if not parts or image_id.startswith("/") or ".." in parts or "\0" in image_id:
        return None
    try:
        path = folder / image_id
        if _has_link(folder, parts):
            path = path.resolve()
            if not path.is_relative_to(folder.resolve()):
                return None
        return path if path.is_file() else None
    except (OSError, RuntimeError):  # no permission to look at it; links in a circle
        return None


def _has_link(folder: Path, parts: Sequence[str]) -> bool:
    """Return whether there is a link on the way from the folder to the file. Without one, the file is inside."""
    path = str(folder)
    for part in parts:
        path = f"{path}/{part}"
        if stat.S_ISLNK(os.lstat(path).st_mode):
            return True
    return False
