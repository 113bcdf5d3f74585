"""The plan of an indexing run: the photos to encode and to remove so that the index matches a source of photos."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.documents import FileState, holds_all
from image_embeddings.errors import CorpusError
from image_embeddings.indexing.share import Share
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.skipped import Skipped
from image_embeddings.sources.source import PhotoFile, PhotoSource

FREE_TO_DELETE = 500  # an index of at most this many photos is made anew in a minute: no questions asked


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The work that makes the index match the source of photos."""

    source: PhotoSource
    to_encode: list[PhotoFile]  # or only to read, if the bytes turn out to be indexed
    to_delete: dict[str, str]  # image_id -> content hash of what is indexed, and gone from the source
    changed: frozenset[str]  # image_ids to encode that are indexed in an older version
    unchanged: frozenset[str]  # image_ids of files that are indexed as they are
    hashes: Mapping[str, str]  # image_id -> content hash of the files that are indexed
    replaced: frozenset[str]  # image_ids in the index whose place this one is to take
    skipped: tuple[Skipped, ...]  # what the list of photos left out, with a reason for each
    passed: PassedOver  # what else it left out, counted
    reread: bool = False  # whether to read again what all photos say of themselves

    @property
    def found(self) -> int:
        """How many photos are in the source, with those that are skipped."""
        return len(self.to_encode) + len(self.unchanged) + sum(not skipped.is_folder for skipped in self.skipped)

    def image_ids(self) -> frozenset[str]:
        """Return the image_ids of all photos in the source that can be indexed, as far as their list can tell."""
        return self.unchanged.union(file.image_id for file in self.to_encode)

    @cached_property
    def indexed_hashes(self) -> frozenset[str]:
        """The content hashes of the files that are indexed."""
        return frozenset(self.hashes.values())

    def part(self, share: Share) -> Plan:
        """Return the work of one of several runs. Part 1 has what was passed over.

        Nothing is deleted by parts: others may still need it, because a renamed photo takes its embedding from there.
        """
        has = share.has
        return replace(
            self,
            to_encode=[file for file in self.to_encode if has(file.image_id)],
            to_delete={},
            changed=frozenset(filter(has, self.changed)),
            unchanged=frozenset(filter(has, self.unchanged)),
            skipped=tuple(item for item in self.skipped if has(item.image_id)),
            passed=self.passed if share.number == 1 else PassedOver(),
        )

    def obsolete_hashes(self, *, read: Collection[str], skipped: Collection[str]) -> set[str]:
        """Return the content hashes that were in the index, and that no photo in it has any more after a run.

        `read` has the content hashes of the photos that the run has read, and `skipped` the image_ids of those that it
        could not read, and that stay in the index as they were.
        """
        left = self.to_delete.keys() | self.changed.difference(skipped)
        staying = {content_hash for image_id, content_hash in self.hashes.items() if image_id not in left}
        return {self.hashes[image_id] for image_id in left}.difference(staying, read)

    def count_dropped(self, skipped: Collection[Skipped]) -> int:
        """Return how many photos of `replaced` are not in the new index after a run that skipped these."""
        return len(self.replaced - (self.image_ids() - {item.image_id for item in skipped}))

    def find_missing(self, skipped: Collection[Skipped]) -> list[str]:
        """Return the photos of `replaced` that a run skipped though they may still be there, sorted.

        They or their folder could not be opened, or Elasticsearch refused them.
        """
        missing = {item.image_id for item in skipped if not item.unusable}
        folders = tuple(f"{image_id}/" for image_id in missing)
        return sorted(image_id for image_id in self.replaced if image_id in missing or image_id.startswith(folders))


def make_plan(
    source: PhotoSource,
    *,
    indexed: Mapping[str, FileState],
    replaced: Mapping[str, FileState] | None = None,
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
    """
    held = indexed if replaced is None else replaced
    held_here = 0  # photos of `held` that are here by name and size; a copy of the folder has other times
    to_encode: list[PhotoFile] = []
    unchanged: set[str] = set()
    skipped: list[Skipped] = []
    passed = PassedOver()
    for file in source.list_photos(skip=skipped.append, passed=passed):
        state = held.get(file.image_id)
        held_here += state is not None and state.bytes == file.bytes
        if not reread and _is_unchanged(file, indexed.get(file.image_id)):
            unchanged.add(file.image_id)
        else:
            to_encode.append(file)
    present = unchanged.union(file.image_id for file in to_encode)
    unopened = tuple(f"{item.image_id}/" for item in skipped)
    if not prune:
        lost = sum(not image_id.startswith(unopened) for image_id in held.keys() - present)
        _check_for_mistake(
            source.address,
            found=len(present),
            lost=lost,
            held_here=held_here,
            held=len(held),
            corpus_before=corpus_before,
            left_out=passed.left_out.total(),
        )
    return Plan(
        source=source,
        to_encode=to_encode,
        to_delete={
            image_id: state.content_hash
            for image_id, state in indexed.items()
            if image_id not in present and not image_id.startswith(unopened)
        },
        changed=frozenset((present & indexed.keys()) - unchanged),
        unchanged=frozenset(unchanged),
        hashes={image_id: state.content_hash for image_id, state in indexed.items()},
        replaced=frozenset(replaced or ()),
        skipped=tuple(skipped),
        passed=passed,
        reread=reread,
    )


def _is_unchanged(file: PhotoFile, state: FileState | None) -> bool:
    """Return whether the file is indexed as it is, with all data that this version of the program stores."""
    if state is None or not holds_all(state.format, etag=file.etag):
        return False
    now = replace(
        state,
        bytes=file.bytes,
        mtime_ns=file.mtime_ns,
        ctime_ns=file.ctime_ns,
        inode=file.inode,
        sidecar_state=file.sidecar_state,
        etag=file.etag,
    )
    return state.is_same_file(now)


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
