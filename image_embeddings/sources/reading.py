"""The bytes of the photos of a folder, and of the sidecars beside them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from image_embeddings.errors import CorpusError, ImageTooLargeError
from image_embeddings.photos.photo import PhotoBytes, content_hash
from image_embeddings.photos.sidecars import MAX_BYTES as MAX_SIDECAR_BYTES
from image_embeddings.photos.sidecars import REMEDY, SidecarBytes, SidecarFault
from image_embeddings.sources.photo_folder import signed
from image_embeddings.sources.sidecar_files import SidecarFile, state_of_sidecars
from image_embeddings.sources.skipped import NO_FILE, why_unopened
from image_embeddings.sources.source import PhotoFile

MAX_FILE_BYTES = 2 * 2**30  # no photo is larger


def load(file: PhotoFile, folder: Path) -> PhotoBytes:
    """Return the present content of a file in `folder`, which is read once.

    Raises:
        CorpusError: if the file cannot be opened at present, or changes while it is read.
        ImageTooLargeError: if it has more than MAX_FILE_BYTES.
    """

    def read_sidecar(sidecar: SidecarFile) -> tuple[bytes, SidecarFile]:
        data, status = read_bytes(folder / sidecar.file, what=sidecar.file, max_bytes=MAX_SIDECAR_BYTES)
        return data, SidecarFile.with_status(status, file=sidecar.file)

    data, status = read_bytes(folder / file.image_id, what=file.image_id)
    sidecars, faults, state = load_sidecars(file.sidecars, read=read_sidecar)
    return PhotoBytes(
        image_id=file.image_id,
        data=data,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=signed(status.st_ino),
        content_hash=content_hash(data),
        sidecars=tuple(sidecars),
        sidecar_faults=tuple(faults),
        sidecar_state=state,
    )


def load_sidecars(
    files: Sequence[SidecarFile], *, read: Callable[[SidecarFile], tuple[bytes, SidecarFile]]
) -> tuple[list[SidecarBytes], list[SidecarFault], str | None]:
    """Return the content of sidecars, what is wrong with the others, and the state of all.

    `read` returns the content of one and its present state. The state of all is None if one cannot be opened at
    present, so that the next run tries again.
    """
    loaded, faults = [], []
    states: list[SidecarFile] | None = []
    for file in files:
        try:
            data, file = read(file)
        except ImageTooLargeError:
            reason = f"it has more than {MAX_SIDECAR_BYTES:,} bytes: {REMEDY}"
            faults.append(SidecarFault(file=file.file, reason=reason))
        except CorpusError as error:
            faults.append(SidecarFault(file=file.file, reason=str(error).removeprefix(f"{file.file} ").rstrip(".")))
            states = None
        else:
            loaded.append(SidecarBytes(file=file.file, data=data))
        if states is not None:
            states.append(file)
    return loaded, faults, state_of_sidecars(states or [])


def read_bytes(path: Path, *, what: str, max_bytes: int = MAX_FILE_BYTES) -> tuple[bytes, os.stat_result]:
    """Return all bytes of a file, and its status; never wait for a pipe. `what` names the file in errors.

    Raises:
        CorpusError: if it cannot be opened at present, is no regular file, or changes while it is read.
        ImageTooLargeError: if it has more than `max_bytes`.
    """
    try:
        with BufferedReader(FileIO(path, opener=_open_nonblocking)) as handle:
            return contents(handle, what=what, max_bytes=max_bytes)
    except OSError as error:
        raise CorpusError(f"{what} {why_unopened(error)}.") from error


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def contents(handle: BinaryIO, *, what: str, max_bytes: int = MAX_FILE_BYTES) -> tuple[bytes, os.stat_result]:
    """Return all bytes of an open file that does not change while it is read, and its status.

    Raises:
        CorpusError, ImageTooLargeError: as in `read_bytes`.
    """
    before = os.fstat(handle.fileno())
    if not stat.S_ISREG(before.st_mode):
        raise CorpusError(f"{what} is {NO_FILE}.")
    if before.st_size > max_bytes:
        raise too_large(what, bytes=before.st_size, max_bytes=max_bytes)
    data = handle.read(before.st_size + 1)
    after = os.fstat(handle.fileno())
    if (len(data), after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise CorpusError(f"{what} changed while it was read: index again when it is whole.")
    return data, before


def too_large(what: str, *, bytes: int, max_bytes: int) -> ImageTooLargeError:  # noqa: A002
    """Return the error for a file of more than `max_bytes`."""
    return ImageTooLargeError(f"{what} has {bytes:,} bytes; a photo has {max_bytes:,} at most. Make it smaller.")
