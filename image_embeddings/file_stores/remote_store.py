"""What all places for files on other machines have in common; each kind says how to read, fetch and write a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from image_embeddings.errors import StoreMissingError
from image_embeddings.file_stores.patience import Result, call_patiently
from image_embeddings.file_stores.temporary import temporary_path


class RemoteStore(ABC):
    """A `FileStore` on other machines. Requests are repeated for `patience_seconds` if nothing answers."""

    def __init__(self, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds

    @property
    @abstractmethod
    def address(self) -> str:
        """As in `FileStore`."""

    @abstractmethod
    def _read(self, name: str) -> bytes:
        """Return the content of a file. Raise StoreMissingError if there is none."""

    @abstractmethod
    def _fetch_into(self, path: Path, name: str) -> None:
        """Write the content of a file into a file of this machine. Raise StoreMissingError if there is none."""

    @abstractmethod
    def _send(self, name: str, path: Path, *, replace: bool) -> None:
        """Make a file of a file of this machine, as `FileStore.write_whole` says."""

    def read(self, name: str) -> bytes | None:
        """As in `FileStore`."""
        try:
            return self._patiently(self._read, name)
        except StoreMissingError:
            return None

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """As in `FileStore`: the file is fetched into the folder for temporary files."""
        with temporary_path(name) as path:
            self._patiently(self._fetch_into, path, name)
            yield path

    @contextmanager
    def write_whole(self, name: str, *, replace: bool = False) -> Iterator[Path]:
        """As in `FileStore`: the file is made in the folder for temporary files, and then sent."""
        with temporary_path(name) as path:
            yield path
            self._send(name, path, replace=replace)

    def path_of(self, name: str) -> str:
        """As in `FileStore`."""
        return f"{self.address}/{name}"

    def _patiently(self, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        return call_patiently(function, *arguments, seconds=self._patience_seconds, **options)
