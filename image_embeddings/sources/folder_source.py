"""The photos in a folder of this machine, as a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import BinaryIO

from image_embeddings.errors import CorpusError
from image_embeddings.photos.photo import PhotoBytes
from image_embeddings.sources import photo_folder, reading
from image_embeddings.sources.folders import check_folder
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.skipped import Skipped, why_unopened
from image_embeddings.sources.source import PhotoFile


@dataclass(frozen=True)
class FolderSource:
    """The photos in `folder`. `leave_out` and `exclude` are those of `photo_folder.walk`."""

    folder: Path
    _: KW_ONLY
    leave_out: Path | None = None
    exclude: Sequence[str] = ()

    @property
    def address(self) -> str:
        """The path of the folder."""
        return str(self.folder)

    def check(self) -> None:
        """As in `PhotoSource`."""
        check_folder(self.folder)

    def list_photos(self, *, skip: Callable[[Skipped], None], passed: PassedOver) -> Iterator[PhotoFile]:
        """As in `PhotoSource`."""
        return photo_folder.walk(self.folder, skip=skip, leave_out=self.leave_out, exclude=self.exclude, passed=passed)

    def read(self, file: PhotoFile) -> PhotoBytes:
        """As in `PhotoSource`."""
        return reading.load(file, self.folder)

    def find(self, image_id: str) -> PhotoFile | None:
        """As in `PhotoSource`."""
        path = photo_folder.resolve(self.folder, image_id)
        try:
            return photo_folder.photo_file(image_id, path.stat()) if path else None
        except OSError:  # it has gone in the meantime
            return None

    def open(self, file: PhotoFile) -> BinaryIO:
        """As in `PhotoSource`."""
        try:
            return (self.folder / file.image_id).open("rb", buffering=0)  # a buffer would move its descriptor ahead
        except OSError as error:
            raise CorpusError(f"{file.image_id} {why_unopened(error)}.") from error

    def is_known_to_lack(self, image_id: str) -> bool:
        """As in `PhotoSource`. If the folder is empty or missing, its drive is not mounted, and nothing is known."""
        return photo_folder.resolve(self.folder, image_id) is None and self._has_files()

    def _has_files(self) -> bool:
        try:
            return next(self.folder.iterdir(), None) is not None
        except OSError:
            return False
