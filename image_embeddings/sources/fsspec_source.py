"""Photos in any file system that a driver of fsspec reads: gs://, abfs://, sftp:// and more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, cast

from image_embeddings.errors import CorpusError, SourceUnreachableError
from image_embeddings.file_stores.fsspec_system import join_path, open_system
from image_embeddings.file_stores.ranged_file import Body
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.remote_source import RemoteSource, gone
from image_embeddings.sources.remote_tree import RemoteEntry
from image_embeddings.sources.skipped import Skipped

# The names by which drivers call the time of the last change, and what names a content, in what they say of a file.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "modificationTime", "time")
_ETAGS = ("ETag", "etag")


class FsspecSource(RemoteSource):
    """The photos in a folder of a file system. Its driver finds credentials in its own way."""

    def __init__(self, address: str, *, exclude: Sequence[str] = (), patience_seconds: float = 0.0) -> None:
        """Take an address that fsspec knows; connect to nothing yet."""
        super().__init__(address, exclude=exclude, patience_seconds=patience_seconds)
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process needs to make the same source."""
        return _make, (self.address, self._exclude, self._patience_seconds)

    def check(self) -> None:
        """As in `PhotoSource`."""
        if not self._patiently(self._is_folder):
            raise CorpusError(f"There is no folder {self.address}. Is its path right?")

    def _is_folder(self) -> bool:
        with self._errors("") as (system, root):
            return bool(system.isdir(root))

    def _begin_listing(
        self, *, skip: Callable[[Skipped], None], passed: PassedOver
    ) -> Callable[[str], Iterable[RemoteEntry]]:
        with self._errors("") as (system, _):
            system.invalidate_cache()
        return lambda folder: self._patiently(self._list, folder)

    def _list(self, folder: str) -> list[RemoteEntry]:
        with self._errors(folder) as (system, root):
            whole = join_path(root, folder)
            entries = []
            for item in system.ls(whole, detail=True):
                name = item["name"].rstrip("/").rpartition("/")[2]
                if item["name"].strip("/") != whole.strip("/"):  # some drivers list the folder itself
                    entries.append(self._entry(system, join_path(folder, name), item))
            return entries

    def _stat(self, path: str) -> RemoteEntry | None:
        try:
            with self._errors(path) as (system, root):
                whole = join_path(root, path)
                system.invalidate_cache()
                entry = self._entry(system, path, system.info(whole))
        except _MissingError:
            return None
        return None if entry.is_folder else entry

    def _fetch(self, entry: RemoteEntry, start: int, stop: int) -> Body:
        with self._errors(entry.path) as (system, root):
            file = system.open(join_path(root, entry.path), "rb")
            file.seek(start)
        return _Body(file, left=stop - start, errors=lambda: self._errors(entry.path))

    def _entry(self, system: Any, path: str, item: Mapping[str, Any]) -> RemoteEntry:
        if item["type"] != "file":
            return RemoteEntry(path=path, is_folder=True)
        etag = next((str(item[name]).strip('"') for name in _ETAGS if item.get(name)), None)
        time = next((item[name] for name in _TIMES if item.get(name) is not None), None)
        if time is None and etag is None:
            time = system.modified(item["name"])
        return RemoteEntry(path=path, bytes=item["size"] or 0, mtime_ns=_nanoseconds(time), etag=etag)

    @contextmanager
    def _errors(self, path: str) -> Iterator[tuple[Any, str]]:
        """Give the file system and the path of the folder in it, and turn errors into ours."""
        opened = self._open_system()
        what = path or self.address
        try:
            yield opened
        except FileNotFoundError:
            raise _MissingError(str(gone(what))) from None
        except PermissionError:
            raise CorpusError(f"{what} cannot be opened (permission denied): let these credentials read it.") from None
        except NotImplementedError:
            raise CorpusError(
                f"{self.address} tells no times of its files, so nobody knows which have changed. Copy the photos to "
                "a folder, or to a store that does."
            ) from None
        except OSError as error:
            raise SourceUnreachableError(
                f"{self.address} does not answer ({type(error).__name__}). Is it up, and is its address right?",
                passes=True,
            ) from None

    def _open_system(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                self._opened = open_system(self.address)
            return self._opened


class _MissingError(CorpusError):
    """There is no such file or folder."""


class _Body:
    """The next bytes of an open file, with errors of ours."""

    def __init__(self, file: Any, *, left: int, errors: Callable[[], Any]) -> None:
        self._file, self._left, self._errors = file, left, errors

    def read(self, size: int, /) -> bytes:
        with self._errors():
            data = cast(bytes, self._file.read(min(size, self._left)))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _nanoseconds(time: Any) -> int:
    if isinstance(time, str):
        time = datetime.fromisoformat(time.replace("Z", "+00:00"))
    if isinstance(time, datetime):
        aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
        return int(aware.timestamp() * 10**6) * 1000
    return int((time or 0) * 10**6) * 1000


def _make(address: str, exclude: Sequence[str], patience_seconds: float) -> FsspecSource:
    return FsspecSource(address, exclude=exclude, patience_seconds=patience_seconds)
