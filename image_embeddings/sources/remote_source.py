"""What all sources on other machines have in common; each kind says how to list, find and fetch files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, BinaryIO

from image_embeddings.documents import is_image_id
from image_embeddings.errors import CorpusError
from image_embeddings.file_stores.patience import Result, call_patiently
from image_embeddings.file_stores.ranged_file import Body, open_ranges
from image_embeddings.photos.photo import PhotoBytes, content_hash
from image_embeddings.photos.sidecars import MAX_BYTES as MAX_SIDECAR_BYTES
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.reading import MAX_FILE_BYTES, load_sidecars, too_large
from image_embeddings.sources.remote_tree import RemoteEntry, photo_file, walk_tree
from image_embeddings.sources.sidecar_files import SidecarFile
from image_embeddings.sources.skipped import Skipped
from image_embeddings.sources.source import PhotoFile

_IGNORE_FILE_BYTES = 2**20


class RemoteSource(ABC):
    """A source of photos on other machines. A derived class has four methods to write.

    All of them raise CorpusError if a file or folder cannot be read, and SourceUnreachableError if no file can be read
    at present: nothing answers, or the credentials are refused.
    """

    compares_etags = False  # whether `_fetch` refuses a file that has another etag

    def __init__(self, address: str, *, exclude: Sequence[str] = (), patience_seconds: float = 0.0) -> None:
        """Take the address as people write it; connect to nothing yet. `exclude` are the globs of EXCLUDE.

        Lists and whole photos are asked for again for `patience_seconds` if the other machines do not answer.
        """
        self.address = address
        self._exclude = tuple(exclude)
        self._patience_seconds = patience_seconds

    # For each kind of source

    @abstractmethod
    def check(self) -> None:
        """As in `PhotoSource`."""

    @abstractmethod
    def _begin_listing(
        self, *, skip: Callable[[Skipped], None], passed: PassedOver
    ) -> Callable[[str], Iterable[RemoteEntry]]:
        """Return a function that lists a folder. Names that are no paths go to `skip` or `passed`."""

    @abstractmethod
    def _stat(self, path: str) -> RemoteEntry | None:
        """Return the present state of a file, or None if there is none."""

    @abstractmethod
    def _fetch(self, entry: RemoteEntry, start: int, stop: int) -> Body:
        """Return the bytes from `start` to before `stop` of a file.

        Raises:
            CorpusError: if it cannot be read, or, with `compares_etags`, if it has another etag than `entry`.
        """

    # PhotoSource

    def list_photos(self, *, skip: Callable[[Skipped], None], passed: PassedOver) -> Iterator[PhotoFile]:
        """As in `PhotoSource`."""
        return walk_tree(
            self.address,
            list_folder=self._begin_listing(skip=skip, passed=passed),
            read_text=self._read_text,
            exclude=self._exclude,
            skip=skip,
            passed=passed,
        )

    def read(self, file: PhotoFile) -> PhotoBytes:
        """As in `PhotoSource`. A file that has changed since it was listed is left for the next run."""
        data = self._patiently(self._read_unchanged, _entry_of(file), max_bytes=MAX_FILE_BYTES)
        sidecars, faults, state = load_sidecars(file.sidecars, read=self._read_sidecar)
        return PhotoBytes(
            image_id=file.image_id,
            data=data,
            mtime_ns=file.mtime_ns,
            etag=file.etag,
            content_hash=content_hash(data),
            sidecars=tuple(sidecars),
            sidecar_faults=tuple(faults),
            sidecar_state=state,
        )

    def find(self, image_id: str) -> PhotoFile | None:
        """As in `PhotoSource`."""
        if not is_plain_path(image_id):
            return None
        entry = self._stat(image_id)
        return photo_file(entry) if entry else None

    def open(self, file: PhotoFile) -> BinaryIO:
        """As in `PhotoSource`."""
        entry = _entry_of(file)
        return open_ranges(lambda start, stop: self._fetch(entry, start, stop), size=file.bytes)

    def is_known_to_lack(self, image_id: str) -> bool:
        """Return False: it would take a request for each thumbnail. The next run removes what is gone."""
        return False

    # Reading whole files

    def _patiently(self, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Call the function and return its result. Repeat the call while the other machines are away or busy."""
        return call_patiently(function, *arguments, seconds=self._patience_seconds, **options)

    def _read_unchanged(self, entry: RemoteEntry, *, max_bytes: int) -> bytes:
        """Return all bytes of a file. Raise CorpusError if it is not what `entry` says before and after."""
        if entry.bytes > max_bytes:
            raise too_large(entry.path, bytes=entry.bytes, max_bytes=max_bytes)
        data = b""
        if entry.bytes:
            with closing(self._fetch(entry, 0, entry.bytes)) as body:
                data = _read_all(body, entry.bytes)
        if len(data) != entry.bytes or (not self.compares_etags and self._stat(entry.path) != entry):
            raise changed(entry.path)
        return data

    def _read_sidecar(self, sidecar: SidecarFile) -> tuple[bytes, SidecarFile]:
        return self._read_unchanged(_entry_of(sidecar), max_bytes=MAX_SIDECAR_BYTES), sidecar

    def _read_text(self, entry: RemoteEntry) -> str:
        return self._read_unchanged(entry, max_bytes=_IGNORE_FILE_BYTES).decode("utf-8-sig", errors="replace")


def is_plain_path(image_id: str) -> bool:
    """Return whether an image_id is a path of plain parts: none is empty, `.` or `..`."""
    return is_image_id(image_id) and not {"", ".", ".."} & set(image_id.split("/"))


def changed(path: str) -> CorpusError:
    """Return the error for a file that is not what it was when it was listed."""
    return CorpusError(f"{path} changed while it was read: index again when it is whole.")


def gone(path: str) -> CorpusError:
    """Return the error for a file that is not there any more."""
    return CorpusError(f"{path} cannot be opened (not found): it is gone: index again.")


def _entry_of(file: PhotoFile | SidecarFile) -> RemoteEntry:
    path = file.image_id if isinstance(file, PhotoFile) else file.file
    return RemoteEntry(path=path, bytes=file.bytes, mtime_ns=file.mtime_ns, etag=file.etag)


def _read_all(body: Body, size: int) -> bytes:
    """Return `size` bytes and one more if there is one."""
    parts, left = [], size + 1
    while left and (part := body.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
