"""What a place for files does, whatever keeps them: a folder, an object store or another file system."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol


class FileStore(Protocol):
    """A folder on this machine or on others. A name in it is a path below it, with slashes. Any thread may use it.

    All methods raise StoreError if the place cannot be used, and StoreUnreachableError if it does not answer.
    """

    @property
    def address(self) -> str:
        """The absolute path or the URL, as people write it."""

    def hold(self) -> AbstractContextManager[None]:
        """Make the folder if there is none, and keep other runs out during the block as far as the place can.

        Where it cannot, two runs exclude each other by `write_whole`, which never replaces the file of another one.
        """

    def list_files(self) -> dict[str, int]:
        """Return name -> bytes of all files, by name. If there is no such folder, there are none."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None if there is none."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Give the block a file that is open for reading, with `seek`. Only what is read is fetched.

        Raise StoreMissingError if there is none.
        """

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """Give the block a file of this machine with the content of a file. Nobody may change it.

        Raise StoreMissingError if there is none.
        """

    def write_whole(self, name: str, *, replace: bool = False) -> AbstractContextManager[Path]:
        """Give the block an empty file of this machine to write, and put it into the place at the end of the block.

        The file is there as a whole then, or not at all if anything fails or ends this process. Without `replace`,
        StoreError is raised if another run has written a file of this name meanwhile.
        """

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""

    def remove_unfinished(self) -> None:
        """Remove what is left of files that were not written to their end."""

    def path_of(self, name: str) -> str:
        """Return the address of a file, for messages."""
