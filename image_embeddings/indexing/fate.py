"""What is to be done with one photo: the one decision of all plans."""

from __future__ import annotations

from enum import IntEnum

from image_embeddings.documents import FileState, holds_all
from image_embeddings.sources.source import PhotoFile


class Fate(IntEnum):
    """What is to be done with a photo."""

    REMOVE = 0  # it is indexed, and gone from the source
    LEAVE = 1  # it is indexed as it is
    ENCODE_ANEW = 2  # it is indexed in an older version
    ENCODE = 3  # it is new
    KEEP = 4  # it is indexed, and in a folder that cannot be opened


def decide(file: PhotoFile | None, state: FileState | None, *, reread: bool = False) -> Fate:
    """Return what is to be done with one photo, of which the source lists `file` and the index has `state`.

    None: it has none. With `reread` each file that is there is read again.
    """
    if file is None:
        return Fate.REMOVE
    if state is None:
        return Fate.ENCODE
    return Fate.LEAVE if not reread and _is_unchanged(file, state) else Fate.ENCODE_ANEW


def _is_unchanged(file: PhotoFile, state: FileState) -> bool:
    """Return whether the file is indexed as it is, with all data that this version of the program stores."""
    now = FileState(
        bytes=file.bytes,
        mtime_ns=file.mtime_ns,
        content_hash=state.content_hash,
        ctime_ns=file.ctime_ns,
        inode=file.inode,
        sidecar_state=file.sidecar_state,
        etag=file.etag,
    )
    return holds_all(state.format, etag=file.etag) and state.is_same_file(now)
