"""Files and folders that are left out, each with the reason and the remedy."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from image_embeddings.errors import CorpusError, DecodersBusyError, ImageError, ImageMemoryError, ImageSlowError

NO_FILE = "a pipe, socket or device, not a file: move it elsewhere"
_PASSING = (ImageMemoryError, ImageSlowError, DecodersBusyError)  # another time or machine may decode the photo
_REMEDIES = {
    errno.EACCES: "let this user read it",
    errno.EPERM: "let this user read it",
    errno.ENOENT: "it is gone, or a link to nothing: index again",
    errno.ELOOP: "it is a link in a circle: remove it",
}


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file or folder that is left out, with the reason and the remedy."""

    image_id: str
    reason: str
    unusable: bool = False  # True if its content was read and is no photo that can be indexed
    is_folder: bool = False


def why_unopened(error: OSError) -> str:
    """Return why a file or folder cannot be opened, and the remedy, to follow its name."""
    remedy = _REMEDIES.get(error.errno or 0, "look after its drive and index again")
    return f"cannot be opened ({error.strerror or error}): {remedy}"


def skip_for(error: CorpusError | ImageError, *, image_id: str) -> Skipped:
    """Return the file as one that is left out because of this error."""
    reason = str(error).removeprefix(f"{image_id} ")
    unusable = isinstance(error, ImageError) and not isinstance(error, _PASSING)
    return Skipped(image_id=image_id, reason=reason, unusable=unusable)
