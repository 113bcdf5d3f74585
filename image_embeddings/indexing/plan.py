"""The plan of an indexing run: the photos to encode and to remove so that the index matches a source of photos."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, filterfalse

from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.documents import FileState
from image_embeddings.errors import CorpusError
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.fate import Fate
from image_embeddings.indexing.photo_table import PhotoTable
from image_embeddings.indexing.planned_photos import (
    FilesToEncode,
    HashesById,
    IndexedHashes,
    IndexedIds,
    ReplacedPhotos,
)
from image_embeddings.indexing.share import Share
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.skipped import Skipped
from image_embeddings.sources.source import PhotoSource

FREE_TO_DELETE = 500  # an index of at most this many photos is made anew in a minute: no questions asked

# The state of each photo of an index; or a function that reads them, and is called again if the index does not answer.
FileStates = Mapping[str, FileState] | Callable[[], Iterable[tuple[str, FileState]]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The work that makes the index match the source of photos. It takes little memory, however many photos there are.

    A part of a plan has a `share`. It removes nothing: others may still need what is to be removed, because a renamed
    photo takes its embedding from there.
    """

    source: PhotoSource
    table: PhotoTable
    skipped: tuple[Skipped, ...]  # what the list of photos left out, with a reason for each
    passed: PassedOver  # what else it left out, counted
    reread: bool = False  # whether to read again what all photos say of themselves
    share: Share | None = None

    @cached_property
    def to_encode(self) -> FilesToEncode:
        """The files to encode, or only to read, if the bytes turn out to be indexed."""
        return FilesToEncode(self.table, share=self.share)

    @cached_property
    def to_delete(self) -> Mapping[str, str]:
        """Image_id -> content hash of what is indexed, and gone from the source."""
        return {} if self.share else HashesById(self.table, Fate.REMOVE)

    @cached_property
    def changed(self) -> IndexedIds:
        """The image_ids to encode that are indexed in an older version."""
        return IndexedIds(self.table, Fate.ENCODE_ANEW, share=self.share)

    @cached_property
    def unchanged(self) -> IndexedIds:
        """The image_ids of files that are indexed as they are."""
        return IndexedIds(self.table, Fate.LEAVE, share=self.share)

    @cached_property
    def indexed_hashes(self) -> IndexedHashes:
        """The content hashes of the files that are indexed, also of those of other parts."""
        return IndexedHashes(self.table)

    @property
    def found(self) -> int:
        """How many photos are in the source, with those that are skipped."""
        return len(self.to_encode) + len(self.unchanged) + sum(not skipped.is_folder for skipped in self.skipped)

    def image_ids(self) -> Iterator[str]:
        """Yield the image_ids of all photos in the source that can be indexed, as far as their list can tell."""
        yield from self.unchanged
        yield from (file.image_id for file in self.to_encode)

    def part(self, share: Share) -> Plan:
        """Return the work of one of several runs. Part 1 has what was passed over."""
        return replace(
            self,
            share=share,
            skipped=tuple(item for item in self.skipped if share.has(item.image_id)),
            passed=self.passed if share.number == 1 else PassedOver(),
        )

    def obsolete_hashes(self, *, read: Container[str], skipped: Iterable[str]) -> Iterator[str]:
        """Yield the content hashes that were in the index, and that no photo in it has any more after a run.

        `read` has the content hashes of the photos that the run has read, and `skipped` the image_ids of those that it
        could not read, and that stay in the index as they were.
        """
        unread = set(skipped)
        changed = (image_id for image_id in self.changed if image_id not in unread)
        leaving = chain(changed, self.to_delete)
        if self.changed or self.to_delete:
            yield from filterfalse(read.__contains__, self.indexed_hashes.only_of(leaving))

    def count_dropped(self, skipped: Collection[Skipped]) -> int:
        """Return how many photos of the replaced index are not in the new one after a run that skipped these."""
        return ReplacedPhotos(self.table).count_dropped(item.image_id for item in skipped)

    def find_missing(self, skipped: Collection[Skipped]) -> list[str]:
        """Return the photos of the replaced index that a run skipped though they may still be there, sorted.

        They or their folder could not be opened, or Elasticsearch refused them.
        """
        return sorted(set(ReplacedPhotos(self.table).find(item.image_id for item in skipped if not item.unusable)))


def make_plan(
    source: PhotoSource,
    *,
    indexed: FileStates,
    replaced: FileStates | None = None,
    corpus_before: str | None = None,
    prune: bool = False,
    reread: bool = False,
) -> Plan:
    """Compare `source` with the indexed photos, by size, times and inode of each file, and by its sidecars.

    With `reread` every file is read again, for what it says of itself.

    `replaced` is the content of an index whose place this one is to take: photos that are gone from there count as
    well.

    A file that is there but cannot be indexed any more counts as gone. A file in a folder that cannot be opened does
    not.

    Raises:
        CorpusError: `source` is not there, or cannot be read, or has no photos; or, without `prune`, most of a large
            index would be removed; or the index is of another source, whose address is `corpus_before`, and few of its
            photos are here.
        DataDirError: the disk for temporary files is full.
    """
    table = PhotoTable()
    patiently(lambda: table.read_indexed(_read(indexed)))
    if replaced is not None:
        patiently(lambda: table.read_replaced(_read(replaced)))
    skipped: list[Skipped] = []
    passed = PassedOver()
    files = source.list_photos(skip=skipped.append, passed=passed)
    # Photos that are here by name and size; a copy of the folder has other times.
    held_here = table.read_listed(files, reread=reread, is_rebuild=replaced is not None)
    for item in skipped:
        table.keep_below(item.image_id)
    plan = Plan(source=source, table=table, skipped=tuple(skipped), passed=passed, reread=reread)
    if not prune:
        held = "indexed" if replaced is None else "replaced"
        _check_for_mistake(
            source.address,
            found=len(plan.to_encode) + len(plan.unchanged),
            lost=table.count(f"FROM {held} WHERE fate = ?", (Fate.REMOVE,)),
            held_here=held_here,
            held=table.count(f"FROM {held}"),
            corpus_before=corpus_before,
            left_out=passed.left_out.total(),
        )
    return plan


def _read(states: FileStates) -> Iterable[tuple[str, FileState]]:
    return states.items() if isinstance(states, Mapping) else states()


def _check_for_mistake(
    address: str, *, found: int, lost: int, held_here: int, held: int, corpus_before: str | None, left_out: int
) -> None:
    """Raise CorpusError if the plan looks like a mistake that would cost an index of `held` photos.

    `found` photos are at `address`, and `left_out` files and folders were not looked at. Of the `held` photos, `lost`
    are not there, and `held_here` are, by name and size.
    """
    if not found:
        raise CorpusError(
            f"There are no photos in {address} (JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF, RAW). "
            "Is its drive mounted?"
            + (f" {left_out:,} files and folders are left out, by EXCLUDE or the like." if left_out else "")
            + (f" The index keeps its {held:,} photos; if they are to go: index --prune." if held else "")
        )
    # Names alone do not identify a folder: every camera makes an IMG_0001.JPG.
    if corpus_before not in (None, address, str(SAMPLE_PHOTOS)) and held_here < held / 2:
        raise CorpusError(
            f"The index holds {held:,} photos, of {corpus_before}, and most of them, by name and size, are not in "
            f"{address}. To go on with them: index {corpus_before} (make run PHOTOS={corpus_before}). To keep both, "
            "choose another INDEX_NAME for one. To replace them: index --prune."
        )
    if lost > held / 2 and held > FREE_TO_DELETE:
        raise CorpusError(
            f"{address} lacks {lost:,} of the {held:,} indexed photos. Is it another folder, or a drive that is "
            f"not mounted{', or does EXCLUDE or a file .ignore leave too much out' if left_out else ''}? "
            "For another folder choose another INDEX_NAME; if they are to go: index --prune."
        )
