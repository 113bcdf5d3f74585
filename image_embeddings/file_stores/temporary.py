"""Files of this machine that hold a file of a store for a while."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image_embeddings.errors import StoreError


@contextmanager
def temporary_path(name: str) -> Iterator[Path]:
    """Give the block a path for a file of that name, which is removed at the end.

    Raises:
        StoreError: for an error of the operating system in the block, such as a full disk.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="image-search-") as folder:
            yield Path(folder) / Path(name).name
    except OSError as error:
        raise StoreError(
            f"The folder for temporary files cannot hold {name} ({error.strerror or error}). Make room there, or set "
            "TMPDIR to a folder on a disk with room."
        ) from error
