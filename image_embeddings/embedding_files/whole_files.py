"""Files that are whole or absent: they are written under another name, and then moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image_embeddings.errors import EmbeddingFilesError

UNFINISHED = ".unfinished"  # suffix of a file that is being written


@contextmanager
def moved_when_whole(file: Path) -> Iterator[Path]:
    """Give the context a file to write, and move it to `file` at the end. After an error nothing is left of it."""
    unfinished = file.with_name(f"{file.name}{UNFINISHED}")
    try:
        yield unfinished
        with unfinished.open("rb+") as written:
            os.fsync(written.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(file: Path, text: str) -> None:
    """Write a text file that is whole or absent."""
    with moved_when_whole(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Raise EmbeddingFilesError for an error of the operating system."""
    try:
        yield
    except OSError as error:
        raise EmbeddingFilesError(
            f"The files of embeddings cannot be written to {folder} ({error.strerror or error}). Name a folder that "
            "this user may write to, on a disk with room. What is there is no whole export."
        ) from error
