"""Files in a folder of this machine: each is written under another name, and then moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from image_embeddings.data_dir import make_data_dir
from image_embeddings.errors import StoreError, StoreMissingError

UNFINISHED = ".unfinished"  # suffix of a file that is being written
LOCK = "_lock"


class FolderStore:
    """A `FileStore` in a folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it need not be there."""
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        """As in `FileStore`."""
        return str(self._folder)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """As in `FileStore`: by a lock, which ends with this process."""
        with self._errors("written to"):
            make_data_dir(self._folder)
            lock = FileLock(self._folder / LOCK)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise StoreError(f"Another run writes into {self.address} just now. Wait for it to end.") from None
        try:
            yield
        finally:
            lock.release()

    def list_files(self) -> dict[str, int]:
        """As in `FileStore`: those in the folder, and in the folders in it."""
        with self._errors("read"):
            files = [path for pattern in ("*", "*/*") for path in self._folder.glob(pattern) if path.is_file()]
            sizes = {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in files}
        return {name: sizes[name] for name in sorted(sizes) if name != LOCK}

    def read(self, name: str) -> bytes | None:
        """As in `FileStore`."""
        with self._errors("read"), suppress(FileNotFoundError):
            return (self._folder / name).read_bytes()
        return None

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """As in `FileStore`."""
        with self.local_copy(name) as path, path.open("rb") as file:
            yield file

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """As in `FileStore`: the file itself."""
        path = self._folder / name
        if not path.is_file():
            raise StoreMissingError(f"There is no file {path}.")
        yield path

    @contextmanager
    def write_whole(self, name: str, *, replace: bool = False) -> Iterator[Path]:
        """As in `FileStore`. `hold` keeps other runs out."""
        path = self._folder / name
        unfinished = path.with_name(f"{path.name}{UNFINISHED}")
        with self._errors("written to"):
            path.parent.mkdir(exist_ok=True)
            try:
                yield unfinished
                with unfinished.open("rb+") as written:
                    os.fsync(written.fileno())
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """As in `FileStore`."""
        with self._errors("written to"):
            (self._folder / name).unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """As in `FileStore`."""
        for name in self.list_files():
            if name.endswith(UNFINISHED):
                self.remove(name)

    def path_of(self, name: str) -> str:
        """As in `FileStore`."""
        return str(self._folder / name)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Raise StoreError for an error of the operating system; `what` cannot be done."""
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"Files cannot be {what} {self.address} ({error.strerror or error}). Name a folder that this user may "
                f"read and write, on a disk with room."
            ) from error
