"""Thumbnails in an object store, so that machines without a common disk share them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from image_embeddings.documents import is_content_hash
from image_embeddings.file_stores.store import FileStore
from image_embeddings.photos.thumbnails import Thumbnails, encode, is_whole_thumbnail


class SharedThumbnails(Thumbnails):
    """Thumbnails in a store. Those of a run are made in a folder of this machine, and leave it for the store at once.

    All methods that use the store raise StoreError if it cannot be used.
    """

    def __init__(self, folder: Path, *, store: FileStore) -> None:
        """Take the folder for those that are being made, and the store, in which they have the same names."""
        super().__init__(folder)
        self._store = store

    @property
    def local(self) -> Thumbnails:
        """As in `Thumbnails`: in the folder."""
        return Thumbnails(self._folder)

    def share(self, content_hash: str) -> None:
        """As in `Thumbnails`: put it into the store."""
        data = super().read(content_hash)
        if data is None:
            return  # another thread has shared the same one
        self._put(data, content_hash)
        super().remove(content_hash)

    def keep(self, image: Image.Image, *, content_hash: str) -> bytes:
        """As in `Thumbnails`."""
        data = encode(image)
        self._put(data, content_hash)
        return data

    def read(self, content_hash: str) -> bytes | None:
        """As in `Thumbnails`."""
        if not is_content_hash(content_hash):
            return None
        data = self._store.read(self._name(content_hash))
        return data if data is not None and is_whole_thumbnail(data) else None

    def remove(self, content_hash: str) -> None:
        """As in `Thumbnails`."""
        if is_content_hash(content_hash):
            self._store.remove(self._name(content_hash))

    def _put(self, data: bytes, content_hash: str) -> None:
        with self._store.write_whole(self._name(content_hash), replace=True) as file:
            file.write_bytes(data)

    def _name(self, content_hash: str) -> str:
        return self.path(content_hash).relative_to(self._folder).as_posix()
