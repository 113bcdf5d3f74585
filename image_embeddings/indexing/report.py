"""The options of an indexing run, the outcome of each photo, and the report that counts the outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from image_embeddings.photos.sidecars import SidecarFault
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.skipped import Skipped


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """How an indexing run goes about its work."""

    batch_size: int = 32  # images per encode call
    chunk_size: int = 500  # documents per bulk request
    thread_count: int = 4  # threads that read and decode
    bulks_in_flight: int = 2  # bulk requests under way while the next photos are encoded
    max_pixels: int = 250_000_000
    with_location: bool = True  # store where a photo was taken


class Outcome(Enum):
    """What a run did with a photo that it did not skip."""

    NEW = "its embedding is new, and no photo of its name was in the index"
    CHANGED = "its embedding is new; another photo of its name was in the index"
    TAKEN = "its embedding comes from files of embeddings; no photo of its name was in the index"
    REUSED = "its name or time is new; the embedding of its bytes was in the index"
    COMPLETED = "its file is unchanged; more or something else is stored of it than before"
    UNCHANGED = "its bytes are unchanged, and so is all that is stored of them"
    DESCRIBED = "its file is unchanged, as counted before; the metadata file says something else of it"
    REMOVED = "it was in the index and is no photo of the folder any more"


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoOutcome:
    """The outcome of one photo, after it has happened."""

    image_id: str
    outcome: Outcome
    content_hash: str = ""  # empty if it is not known
    damage: str = ""  # what is wrong with the file, if it is indexed though a part of its picture is missing
    sidecar_faults: tuple[SidecarFault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Damaged:
    """A photo that is indexed though its file is damaged, and what is wrong with it."""

    image_id: str
    reason: str


Fact = PhotoOutcome | Skipped


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """The result of an indexing run."""

    found: int = 0  # photos in the folder, with those that are skipped
    encoded: int = 0  # new or changed ones, now in the index
    taken: int = 0  # new ones, now in the index with an embedding from files
    reused: int = 0  # renamed, copied or touched ones, now in the index with the embedding that was there
    unchanged: int = 0
    described: int = 0  # unchanged ones, of which more is stored now, or the metadata file has other data
    deleted: int = 0  # gone from the folder, and now from the index
    moved: int = 0  # deleted ones whose bytes are in the folder by another name
    skipped: list[Skipped] = field(default_factory=list)
    other_files: Mapping[str, int] = field(default_factory=dict)  # no photos, by suffix; the most frequent one first
    linked_folders: int = 0  # not followed
    left_out: Mapping[str, int] = field(default_factory=dict)  # files and folders, by what leaves them out
    damaged: list[Damaged] = field(default_factory=list)  # of those that were read now
    sidecar_faults: list[SidecarFault] = field(default_factory=list)  # of the sidecars that were read now
    seconds: float = 0.0
    stopped: bool = False  # before its end, by the user
    waiting: str = ""  # why a rebuild has not taken the other index's place, and how to go on

    @property
    def indexed(self) -> int:
        """Photos of the folder that are in the index by now."""
        return self.unchanged + self.encoded + self.taken + self.reused

    @property
    def left(self) -> int:
        """Photos of the folder that the run did not reach."""
        return self.found - self.indexed - sum(not skipped.is_folder for skipped in self.skipped)

    @property
    def written(self) -> int:
        """Documents that were written or removed."""
        return self.encoded + self.taken + self.reused + self.described + self.deleted


class TextSet(Protocol):
    """A set of texts that grows."""

    def add(self, text: str, /) -> object:
        """Add a text, unless it is there."""

    def __contains__(self, text: object, /) -> bool:
        """Return whether a text is in the set."""


class RunCounts:
    """Counts the outcomes of the photos while a run is under way; nothing else counts them.

    One thread adds; others may read at the same time.
    """

    def __init__(
        self,
        *,
        found: int,
        unchanged: int = 0,
        skipped: Collection[Skipped] = (),
        passed: PassedOver | None = None,
        indexed_hashes: Container[str] = (),
        make_set: Callable[[], TextSet] = set,
    ) -> None:
        """Begin with the data of the plan: what is in the folder, and the photos that the run leaves alone.

        `indexed_hashes` are the content hashes of the photos that are in the index. `make_set` makes the sets that may
        get a text for each photo.
        """
        self.found = found
        self.skipped = list(skipped)
        self._passed = passed or PassedOver()
        self._counts = Counter({Outcome.UNCHANGED: unchanged})
        self._moved = 0
        self._damaged: list[Damaged] = []
        self._sidecar_faults: dict[SidecarFault, None] = {}  # each once: a sidecar may belong to several photos
        self._reused_hashes = make_set()
        self._indexed_hashes = indexed_hashes
        self.read_hashes = make_set()  # of photos that were read, if they were in the index before

    def add(self, fact: Fact) -> None:
        """Count one photo."""
        if isinstance(fact, Skipped):
            self.skipped.append(fact)
            return
        self._counts[fact.outcome] += 1
        if fact.damage:
            self._damaged.append(Damaged(image_id=fact.image_id, reason=fact.damage))
        self._sidecar_faults.update(dict.fromkeys(fact.sidecar_faults))
        if fact.outcome is not Outcome.REMOVED and fact.content_hash in self._indexed_hashes:
            self.read_hashes.add(fact.content_hash)
        if fact.outcome is Outcome.REUSED:
            self._reused_hashes.add(fact.content_hash)
        elif fact.outcome is Outcome.REMOVED and fact.content_hash in self._reused_hashes:
            self._moved += 1

    def add_all(self, facts: Iterable[Fact]) -> None:
        """Count each photo as soon as `facts` gives it."""
        for fact in facts:
            self.add(fact)

    @property
    def skipped_ids(self) -> set[str]:
        """The image_ids of what was skipped so far."""
        return {skipped.image_id for skipped in self.skipped}

    def report(self, *, seconds: float = 0.0, stopped: bool = False) -> IndexReport:
        """Return the report of the run up to now."""
        counts = self._counts
        return IndexReport(
            found=self.found,
            encoded=counts[Outcome.NEW] + counts[Outcome.CHANGED],
            taken=counts[Outcome.TAKEN],
            reused=counts[Outcome.REUSED],
            unchanged=counts[Outcome.UNCHANGED] + counts[Outcome.COMPLETED],
            described=counts[Outcome.DESCRIBED] + counts[Outcome.COMPLETED],
            deleted=counts[Outcome.REMOVED],
            moved=self._moved,
            skipped=list(self.skipped),
            other_files=dict(self._passed.other_files.most_common()),
            linked_folders=self._passed.linked_folders,
            left_out=dict(self._passed.left_out.most_common()),
            damaged=list(self._damaged),
            sidecar_faults=list(self._sidecar_faults),
            seconds=seconds,
            stopped=stopped,
        )
