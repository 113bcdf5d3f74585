"""The names of files: which of them count as photos, and the image_id of a photo."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from image_embeddings.documents import MAX_IMAGE_ID_BYTES
from image_embeddings.photos import decoding

_SUFFIX = re.compile(r"\.\w{1,10}")


def named_like_a_photo(name: str) -> bool:
    """Return whether a file of this name counts as a photo."""
    suffix = suffix_of(name)
    return suffix in decoding.SUFFIXES or suffix in decoding.UNREAD_SUFFIXES


def suffix_of(name: str) -> str:
    """Return what follows the last dot of a name, with the dot, in small letters."""
    return name[name.rfind(".") :].lower()


def kind_of(name: str) -> str:
    """Return the suffix of a file that is no photo; empty if what follows the last dot does not look like one."""
    suffix = suffix_of(name)
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def image_id_of(path: Path, folder: Path) -> str:
    """Return the image_id of the photo at `path`: its POSIX path relative to `folder`.

    Raises:
        ValueError: if the name is not Unicode, has a control character, which addresses and headers of the web cannot
            hold, or is longer than Elasticsearch allows. The message says what to do.
    """
    image_id = relative_path(path, folder)
    check_image_id(image_id)
    return image_id


def check_image_id(image_id: str) -> None:
    """Raise ValueError, with what to do, if a path below the address of a source cannot be an image_id."""
    try:
        length = len(image_id.encode())
    except UnicodeEncodeError:
        raise ValueError("its name is not valid UTF-8: rename it") from None
    if controls := [character for character in image_id if unicodedata.category(character) == "Cc"]:
        raise ValueError(f"its name has the control character {controls[0]!r}: rename it")
    if length > MAX_IMAGE_ID_BYTES:
        raise ValueError(f"its path takes {length} bytes, {MAX_IMAGE_ID_BYTES} at most: shorten the names")


def why_unread(name: str) -> str:
    """Return why no file of this name can be decoded, and the remedy; empty if files of such names can."""
    suffix = suffix_of(name)
    if suffix in decoding.UNREAD_SUFFIXES:
        return f"{suffix[1:].upper()} files are not read by this version: save a copy as JPEG"
    return ""


def readable_path(path: Path, folder: Path) -> str:
    """Return a path that can be printed, even if its name is not Unicode."""
    return relative_path(path, folder).encode(errors="surrogateescape").decode(errors="replace")


def relative_path(path: Path, folder: Path) -> str:
    """Return the relative path ten times as fast as `relative_to` does; `path` has to be below `folder`."""
    return path.as_posix()[len(folder.as_posix()) :].lstrip("/")
