"""What a source of photos does, whatever keeps them: a folder, an object store or another file system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from image_embeddings.photos.photo import PhotoBytes
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.sidecar_files import SidecarFile, state_of_sidecars
from image_embeddings.sources.skipped import Skipped


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoFile:
    """A file with the name of a photo; the other values show whether it may have changed."""

    image_id: str  # path below the address of the source, with slashes
    bytes: int
    mtime_ns: int
    ctime_ns: int = 0  # this and `inode` as in ImageDocument
    inode: int = 0
    etag: str | None = None  # by which an object store names this content; None if the source has no such names
    sidecars: tuple[SidecarFile, ...] = ()  # the first one goes before the others

    @property
    def sidecar_state(self) -> str | None:
        """As in ImageDocument."""
        return state_of_sidecars(self.sidecars)

    @property
    def version(self) -> str:
        """A short text that differs after a change of the file, for the ETag of the web app."""
        return self.etag or f"{self.mtime_ns:x}-{self.bytes:x}"


class PhotoSource(Protocol):
    """A place that holds photos. Any thread may use it, and it can be pickled."""

    @property
    def address(self) -> str:
        """The path or URL, as people write it. The index keeps it as its corpus."""

    def check(self) -> None:
        """Return if the place is there.

        Raises:
            CorpusError: if it is not, or cannot be read.
        """

    def list_photos(self, *, skip: Callable[[Skipped], None], passed: PassedOver) -> Iterator[PhotoFile]:
        """Yield the photos, sorted by image_id within each folder.

        `skip` gets everything that is named like a photo and cannot be indexed. What else is passed over is counted in
        `passed`.

        Raises:
            CorpusError: if the place is not there, or cannot be read.
        """

    def read(self, file: PhotoFile) -> PhotoBytes:
        """Return the content of a photo that `list_photos` or `find` gave, and of its sidecars, read once.

        Raises:
            CorpusError: if it cannot be read at present, or has changed while it was read.
            ImageTooLargeError: if it has more bytes than any photo.
        """

    def find(self, image_id: str) -> PhotoFile | None:
        """Return the present state of one photo, without its sidecars; None if there is no such photo.

        Any text may be given. No file outside the place is ever found.

        Raises:
            CorpusError: if the place cannot be asked.
        """

    def open(self, file: PhotoFile) -> BinaryIO:
        """Return a photo that `find` gave, open for reading, with `seek`. Only what is read is fetched.

        If it has a file descriptor, the descriptor is always at the place at which the next read begins, because web
        servers send from it.

        Raises:
            CorpusError: if it cannot be opened. Each read may raise it too.
        """

    def is_known_to_lack(self, image_id: str) -> bool:
        """Return whether the photo is gone, as far as that is known without a request over the network."""
