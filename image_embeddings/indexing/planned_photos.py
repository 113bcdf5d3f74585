"""The photos of a plan, as the collections that the rest of a run asks. They lie in a PhotoTable, and not in memory."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Set, Sized
from functools import cached_property

from image_embeddings.indexing.fate import Fate
from image_embeddings.indexing.photo_table import PhotoTable, below
from image_embeddings.indexing.share import Share
from image_embeddings.sources.source import PhotoFile

MOST_HASHES = 2_000  # that are named for one part of the files


def share_condition(table: PhotoTable, share: Share | None) -> str:
    """Return the condition that a photo is in a share; None stands for all photos."""
    if share is None:
        return "true"
    name = f"is_in_{share.number}_of_{share.of}"
    table.add_function(name, share.has)
    return f"{name}(image_id)"


class IndexedIds(Set[str]):
    """The image_ids of the indexed photos of one fate, sorted."""

    def __init__(self, table: PhotoTable, fate: Fate, *, share: Share | None = None) -> None:
        self._table = table
        self._where = f"FROM indexed WHERE fate = {fate:d} AND {share_condition(table, share)}"

    def __contains__(self, image_id: object) -> bool:
        """Return whether a photo is one of them."""
        return self._table.first(f"SELECT 1 {self._where} AND image_id = ?", (image_id,)) is not None

    def __iter__(self) -> Iterator[str]:
        """Yield the image_ids."""
        return (image_id for (image_id,) in self._table.pages(f"SELECT image_id {self._where}"))

    def __len__(self) -> int:
        """Return how many there are."""
        return self._table.count(self._where)

    @classmethod
    def _from_iterable(cls, image_ids: Iterable[str]) -> frozenset[str]:  # type: ignore[override]
        return frozenset(image_ids)


class HashesById(Mapping[str, str]):
    """The image_ids of the indexed photos of one fate, each with its content hash."""

    def __init__(self, table: PhotoTable, fate: Fate) -> None:
        self._table, self._fate = table, fate

    def __getitem__(self, image_id: str) -> str:
        """Return the hash of a photo."""
        row = self._table.first(
            "SELECT content_hash FROM indexed WHERE fate = ? AND image_id = ?", (self._fate, image_id)
        )
        if row is None:
            raise KeyError(image_id)
        return str(row[0])

    def __iter__(self) -> Iterator[str]:
        """Yield the image_ids, sorted."""
        return iter(IndexedIds(self._table, self._fate))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(IndexedIds(self._table, self._fate))


class FilesToEncode(Iterable[PhotoFile], Sized):
    """The files that a run is to read, in the order of the source."""

    def __init__(self, table: PhotoTable, *, share: Share | None = None) -> None:
        self._table, self._condition = table, share_condition(table, share)

    def __iter__(self) -> Iterator[PhotoFile]:
        """Yield the files."""
        return self._table.files(self._condition)

    def __len__(self) -> int:
        """Return how many there are."""
        return self._size

    @cached_property
    def _size(self) -> int:
        return self._table.count(f"FROM to_encode WHERE {self._condition}")


class IndexedHashes(Container[str]):
    """The content hashes of the indexed photos."""

    def __init__(self, table: PhotoTable) -> None:
        self._table = table

    def __contains__(self, content_hash: object) -> bool:
        """Return whether a photo of this hash is indexed."""
        self._table.make_index("content_hash")
        return self._table.first("SELECT 1 FROM indexed WHERE content_hash = ?", (content_hash,)) is not None

    def of(self, files: Iterable[PhotoFile]) -> Container[str]:
        """Return those that these files may have: the hashes of photos of the same size. They can be pickled.

        If there are more than MOST_HASHES, the result has every text: whoever holds it asks the index.
        """
        self._table.make_index("bytes")
        found: set[str] = set()
        for size in {file.bytes for file in files}:
            rows = self._table.execute(
                "SELECT DISTINCT content_hash FROM indexed WHERE bytes = ? LIMIT ?", (size, MOST_HASHES + 1)
            )
            found.update(content_hash for (content_hash,) in rows)
            if len(found) > MOST_HASHES:
                return AnyHash()
        return frozenset(found)

    def only_of(self, image_ids: Iterable[str]) -> Iterator[str]:
        """Yield the hashes that these indexed photos have and no others."""
        self._table.make_index("content_hash")
        leaving = self._table.make_set(image_ids).name
        yield from (
            content_hash
            for (content_hash,) in self._table.pages(
                "SELECT DISTINCT content_hash FROM indexed AS one INDEXED BY indexed_content_hash "
                f"WHERE image_id IN {leaving} AND NOT EXISTS (SELECT 1 FROM indexed AS other "
                f"WHERE other.content_hash = one.content_hash AND other.image_id NOT IN {leaving})",
                key="content_hash",
            )
        )


class AnyHash(Container[str]):
    """All content hashes that there are."""

    def __contains__(self, content_hash: object) -> bool:
        """Return True."""
        return True


class ReplacedPhotos:
    """The photos of the index whose place another one is to take."""

    def __init__(self, table: PhotoTable) -> None:
        self._table = table

    def count_dropped(self, skipped: Iterable[str]) -> int:
        """Return how many of them are not in the new index after a run that skipped the photos of these image_ids."""
        gone = f"fate IN ({Fate.REMOVE:d}, {Fate.KEEP:d})"
        count = self._table.count(f"FROM replaced WHERE {gone}")
        for image_id in set(skipped):
            count += self._table.count(f"FROM replaced WHERE image_id = ? AND NOT {gone}", (image_id,))
        return count

    def find(self, image_ids: Iterable[str]) -> Iterator[str]:
        """Yield those of these image_ids, and in folders of these names."""
        for image_id in image_ids:
            for condition, values in (("image_id = ?", (image_id,)), below(image_id)):
                found = self._table.pages(f"SELECT image_id FROM replaced WHERE {condition}", values)
                yield from (each for (each,) in found)
