"""Carries out the plan of an indexing run: read, decode, encode, write, remove. Each stage works ahead of the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice, takewhile
from typing import Protocol

from image_embeddings.calibration.likeness import COHORT, FEWEST_PHOTOS, Calibration, calibrate
from image_embeddings.encoders import Encoder
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.heartbeat import Heartbeat, SharedHeartbeat
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.part_runner import PartRunner
from image_embeddings.indexing.plan import Plan
from image_embeddings.indexing.records import KnownEmbedding, know_no_embedding
from image_embeddings.indexing.report import Fact, IndexOptions, IndexReport, RunCounts, TextSet
from image_embeddings.indexing.writer import describe_photos, remove_photos
from image_embeddings.photos.decoders import Decoders, indexing_decoders
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.skipped import Skipped
from image_embeddings.sources.source import PhotoFile

RECALIBRATED_AFTER = 0.2  # share of the photos that came or went
REMOVED_AT_ONCE = 10_000  # photos


class Progress(Protocol):
    """Shows the progress of a run; tqdm's bar fits."""

    def update(self, n: float | None = 1, /) -> bool | None:
        """Show that `n` more photos are done."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Show a remark, such as how many photos were skipped."""


class Stage(Protocol):
    """Carries out a part somewhere."""

    def run(
        self,
        runner: PartRunner,
        files: Iterable[PhotoFile],
        *,
        changed: Container[str],
        before_write: Callable[[], object],
        note: Callable[[Fact], object],
        encoded: Callable[[int], object],
    ) -> Iterator[Fact]:
        """Do what `PartRunner.run` does."""


def run(
    plan: Plan,
    *,
    index: ImageIndex,
    encoder: Encoder,
    thumbnails: Thumbnails,
    progress: Progress,
    options: IndexOptions,
    metadata: MetadataChanges | None = None,
    known_embedding: KnownEmbedding = know_no_embedding,
    stopped: Callable[[], bool] = lambda: False,
    decoders: Decoders | None = None,
    check_lock: Callable[[], object] = lambda: None,
    of: Plan | None = None,
    stage: Stage | None = None,
) -> IndexReport:
    """Carry out a plan; return what became of every file.

    A photo that cannot be read is skipped, and removed from the index if its content is the reason. Documents are made
    from one read of one file each, so a failure never touches another photo's data. A photo whose bytes are indexed
    already, by another name or with another time, takes its embedding from there. A new one takes what
    `known_embedding` returns, if it is not None. The rows of `metadata` go into the documents. All is written into the
    index that stands behind the name at the beginning. Once `stopped` returns true, the run finishes what is under
    way, and removes nothing. Without `decoders`, as many processes decode
    as `options` has threads that read.

    `check_lock` is called before what is written. It raises IndexBusyError if another run writes into the index.

    If the plan is a part `of` another one, other processes carry out the other parts. Then nothing is removed, and the
    index is noted as unfinished until a run with a whole plan has ended the work.

    A `stage` carries out the part that encodes elsewhere than in this process.

    Raises:
        ElasticsearchError: it could not be written to, for PATIENCE_SECONDS; what was written before stays.
        DataDirError, StoreError: a thumbnail cannot be written.
        ModelError: the encoder fails.
    """
    begun = time.monotonic()
    metadata = metadata or MetadataChanges()
    counts = RunCounts(
        found=plan.found,
        unchanged=len(plan.unchanged),
        skipped=plan.skipped,
        passed=plan.passed,
        indexed_hashes=plan.indexed_hashes,
        make_set=plan.table.make_set,
    )
    state = replace(patiently(index.state), corpus=plan.source.address)
    fence = patiently(index.make_fence, state.backing_index) if of or stage else None
    index = index.at(state.backing_index, fence=fence)
    patiently(index.bring_up_to_date)
    if len(plan.to_encode):  # to encode photos for an index that takes none would be in vain
        patiently(index.documents.check_writable)
    heartbeat = (
        SharedHeartbeat(index, state=state, found=of.found, check_lock=check_lock)
        if of
        else Heartbeat(index, state=state, counts=counts, check_lock=check_lock)
    )
    patiently(heartbeat.beat)
    kept = plan.table.make_set()  # photos that were read, and of which nothing is written
    part = PartRunner(
        source=plan.source,
        index=index,
        encoder=encoder,
        thumbnails=thumbnails,
        options=options,
        decoders=decoders or indexing_decoders(options.thread_count),
        decoding=state.model.decoding,
        reread=plan.reread,
        indexed_hashes=plan.indexed_hashes,
        metadata=metadata,
        known_embedding=known_embedding,
    )
    carry_out = partial(stage.run, part) if stage else part.run
    facts = carry_out(
        takewhile(lambda _: not stopped(), plan.to_encode),
        changed=plan.changed,
        before_write=heartbeat.beat,
        note=_noter(counts, progress, kept=kept),
        encoded=progress.update,
    )
    counts.add_all(facts)
    was_stopped = stopped()
    if not was_stopped:
        patiently(check_lock)
        rows = metadata.select(plan.unchanged) | metadata.select(kept)
        counts.add_all(describe_photos(index, rows, chunk_size=options.chunk_size))
        if not of:
            for removals in _removals(plan, counts.skipped):
                counts.add_all(remove_photos(index, removals, chunk_size=options.chunk_size))
        unread = {item.image_id for item in counts.skipped if not item.unusable}
        for content_hash in plan.obsolete_hashes(read=counts.read_hashes, skipped=unread):
            thumbnails.remove(content_hash)
    patiently(index.refresh)
    if was_stopped:
        heartbeat.beat(stopped=True)
    elif isinstance(heartbeat, SharedHeartbeat):
        patiently(heartbeat.end_part)
    else:
        state = replace(state, calibration=update_calibration(index))
        patiently(heartbeat.end, state, complete=not any(map(plan.changed.__contains__, counts.skipped_ids)))
    return counts.report(seconds=time.monotonic() - begun, stopped=was_stopped)


def _noter(counts: RunCounts, progress: Progress, *, kept: TextSet) -> Callable[[Fact], None]:
    """Return a function that counts a photo that is not written, and shows how many files were skipped.

    It adds those that stay as they are to `kept`.
    """

    def show() -> None:
        progress.set_postfix_str(f"{len(counts.skipped)} skipped")

    def note(fact: Fact) -> None:
        counts.add(fact)
        if isinstance(fact, Skipped):
            show()
        else:
            kept.add(fact.image_id)
        progress.update(1)

    if counts.skipped:
        show()
    return note


def _removals(plan: Plan, skipped: Iterable[Skipped]) -> Iterator[dict[str, str]]:
    """Yield what to remove, REMOVED_AT_ONCE a time: files that are gone, or are no photos any more.

    Each has its content hash if that is known. A photo stays as it was indexed before if it only could not be opened,
    or if Elasticsearch refused it.
    """
    unusable = sorted({item.image_id for item in skipped if item.unusable and item.image_id in plan.changed})
    removals = chain(plan.to_delete.items(), ((image_id, "") for image_id in unusable))
    while some := dict(islice(removals, REMOVED_AT_ONCE)):
        yield some


def update_calibration(index: ImageIndex) -> Calibration | None:
    """Return the usual likeness in the index; measure it anew if the index grew or shrank by RECALIBRATED_AFTER.

    What is usual for texts is left to the first search by text, because the everyday texts take seconds to encode.
    Return None if the index holds fewer than FEWEST_PHOTOS photos.
    """
    photos = patiently(index.count)
    before = patiently(index.state).calibration
    if before and abs(photos - before.photos) <= RECALIBRATED_AFTER * before.photos:
        return before
    cohort = patiently(index.documents.sample, COHORT)
    if len(cohort) < FEWEST_PHOTOS:
        return None
    return calibrate(cohort, photos=photos)
