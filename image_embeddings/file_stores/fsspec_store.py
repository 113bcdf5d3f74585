"""Files in any file system that a driver of fsspec writes as a whole: HDFS, gs://, abfs:// and more."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from image_embeddings.errors import StoreError, StoreMissingError, StoreUnreachableError
from image_embeddings.file_stores.fsspec_system import join_path, open_system
from image_embeddings.file_stores.remote_store import RemoteStore


class FsspecStore(RemoteStore):
    """A `FileStore` in a file system. Its driver finds credentials in its own way.

    A file is written by the driver's transaction: it is sent under no name or another one, and then committed. There is
    no lock: let one run at a time write into a folder.
    """

    def __init__(self, address: str, *, patience_seconds: float = 0.0) -> None:
        """Take an address that fsspec knows; connect to nothing yet.

        Requests are repeated for `patience_seconds` if nothing answers.
        """
        super().__init__(patience_seconds=patience_seconds)
        self._address = address
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None

    @property
    def address(self) -> str:
        """As in `FileStore`."""
        return self._address

    @contextmanager
    def hold(self) -> Iterator[None]:
        """As in `FileStore`: it only makes the folder."""
        with self._request("") as (system, root):
            system.makedirs(root, exist_ok=True)
        yield

    def list_files(self) -> dict[str, int]:
        """As in `FileStore`."""
        return self._patiently(self._list_files)

    def _list_files(self) -> dict[str, int]:
        with self._request("") as (system, root):
            system.invalidate_cache()
            found = system.find(root, detail=True).items()
            prefix = f"{root.strip('/')}/"
            sizes = {path.strip("/").removeprefix(prefix): item["size"] or 0 for path, item in found}
        return dict(sorted(sizes.items()))

    def _read(self, name: str) -> bytes:
        with self._request(name) as (system, root):
            return cast(bytes, system.cat_file(join_path(root, name)))

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """As in `FileStore`."""
        with self._request(name) as (system, root):
            system.invalidate_cache()
            file = system.open(join_path(root, name), "rb")
        with file:
            yield file

    def _fetch_into(self, path: Path, name: str) -> None:
        with self.open(name) as content, self._request(name), path.open("wb") as file:
            shutil.copyfileobj(content, file, 2**20)

    def _send(self, name: str, path: Path, *, replace: bool) -> None:
        self._patiently(self._send_once, name, path, replace=replace)

    def _send_once(self, name: str, path: Path, *, replace: bool) -> None:
        with self._request(name) as (system, root):
            target = join_path(root, name)
            system.invalidate_cache()
            if system.exists(target):
                if not replace:
                    raise StoreError(
                        f"Another run has written {self.path_of(name)} meanwhile. Let one run at a time write there."
                    )
                system.rm_file(target)  # a rename replaces nothing in HDFS
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._commit(system, target, path)
            system.invalidate_cache()
            if system.size(target) != path.stat().st_size:
                raise StoreError(f"{self.path_of(name)} is not what was written. Does another run write there?")

    def _commit(self, system: Any, target: str, path: Path) -> None:
        try:
            file = system.open(target, "wb", autocommit=False)
        except (NotImplementedError, TypeError):
            raise StoreError(
                f"{self.address} cannot be written to: its driver of fsspec writes no file as a whole. Name another "
                "place."
            ) from None
        try:
            with path.open("rb") as content, file:
                shutil.copyfileobj(content, file, 2**20)
        except BaseException:
            with suppress(OSError, NotImplementedError):
                file.discard()
            raise
        file.commit()

    def remove(self, name: str) -> None:
        """As in `FileStore`."""
        with suppress(StoreMissingError), self._request(name) as (system, root):
            system.rm_file(join_path(root, name))

    def remove_unfinished(self) -> None:
        """As in `FileStore`: what is not committed is not in the folder."""

    @contextmanager
    def _request(self, name: str) -> Iterator[tuple[Any, str]]:
        """Give the file system and the path of the folder in it, and turn errors into ours."""
        with self._lock:
            if self._opened is None:
                self._opened = open_system(self._address)
        what = self.path_of(name) if name else self.address
        try:
            yield self._opened
        except FileNotFoundError:
            raise StoreMissingError(f"There is no file {what}.") from None
        except PermissionError:
            raise StoreError(f"{what} cannot be used (permission denied): let these credentials do it.") from None
        except OSError as error:
            raise StoreUnreachableError(
                f"{self.address} does not answer ({type(error).__name__}). Is it up, and is its address right?",
                passes=True,
            ) from None
