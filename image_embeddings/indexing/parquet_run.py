"""Photos are encoded into Parquet files, without Elasticsearch: `import` fills an index from them later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

from image_embeddings.assembly import make_encoder, thumbnails_of
from image_embeddings.config import Settings
from image_embeddings.embedding_files.folder import (
    Export,
    begin_or_continue,
    drop_rows,
    finish_export,
    write_parts,
)
from image_embeddings.embedding_files.origin import Origin
from image_embeddings.embedding_files.parquet import Row
from image_embeddings.encoders import Encoder, check_same_model
from image_embeddings.errors import EmbeddingFilesError, ModelMismatchError
from image_embeddings.es.opening import Notify, silent
from image_embeddings.es.retries import PATIENCE_SECONDS
from image_embeddings.file_stores.choice import store_at
from image_embeddings.indexing.map_ahead import make_documents_ahead
from image_embeddings.indexing.part import PhotoReader
from image_embeddings.indexing.pipeline import Progress
from image_embeddings.indexing.plan import Plan, make_plan
from image_embeddings.indexing.report import Fact, IndexOptions, IndexReport, Outcome, PhotoOutcome, RunCounts
from image_embeddings.photos.decoders import indexing_decoders
from image_embeddings.sources.choice import source_of
from image_embeddings.sources.source import PhotoSource

PART_ROWS = 5_000  # of which a killed run loses those of one part


def encode_into_parquet(
    settings: Settings,
    out: Path | str,
    *,
    folder: Path | str | None = None,
    prune: bool = False,
    part_rows: int = PART_ROWS,
    options: IndexOptions | None = None,
    progress: Callable[[int], Progress],
    stopped: Callable[[], bool] = lambda: False,
    notify: Notify = silent,
) -> IndexReport:
    """Encode the photos of `folder`, a path or URL (default IMAGE_DIR), into Parquet files in `out`, a path or URL too.

    No Elasticsearch is asked.

    Photos in the parts of an earlier run that did not end are not encoded again. If they have changed or are gone
    since, their rows are dropped. Once `stopped` returns true, the run finishes the work in hand and ends.

    Raises:
        CorpusError: `folder` cannot be used, or lacks most of the photos that an earlier run found.
        SourceUnreachableError: the machines of a URL do not answer any more; the parts that are written stay.
        EmbeddingFilesError: `out` holds something else.
        StoreError: `out` cannot be read or written, or a thumbnail in THUMBNAILS.
        ModelError: the encoder fails, or is another one than that of an earlier run.
        DataDirError: a thumbnail cannot be written.
    """
    begun = time.monotonic()
    options = options or IndexOptions(max_pixels=settings.max_image_pixels)
    source = source_of(folder or settings.image_dir, settings, patience_seconds=PATIENCE_SECONDS)
    source.check()
    encoder = make_encoder(settings, None, notify=notify)
    store = store_at(out, settings, patience_seconds=PATIENCE_SECONDS)
    with store.hold():
        export = begin_or_continue(store, Origin(model=encoder.info, corpus=source.address))
        _check_is_continued(export, encoder, source)
        plan = _make_plan(export, source, prune=prune)
        drop_rows(export, plan.to_delete.keys() | plan.changed)
        if choice := encoder.prepare_for(len(plan.to_encode)):
            notify(choice)
        counts = RunCounts(found=plan.found, unchanged=len(plan.unchanged), skipped=plan.skipped, passed=plan.passed)
        bar = progress(len(plan.to_encode))
        rows = _rows(plan, encoder, settings=settings, options=options, counts=counts, progress=bar, stopped=stopped)
        for _ in write_parts(store, export.origin, rows, part_rows=part_rows, first=export.next_number):
            pass
        was_stopped = stopped()
        if not was_stopped:
            finish_export(store)
    return counts.report(seconds=time.monotonic() - begun, stopped=was_stopped)


def _check_is_continued(export: Export, encoder: Encoder, source: PhotoSource) -> None:
    """Return if the parts that are there are of the same model and photos."""
    try:
        check_same_model(encoder, export.origin.model)
    except ModelMismatchError as error:
        raise ModelMismatchError(
            f"{export.address} was begun with the model '{export.origin.model.model_id}', and IMAGE_MODEL names "
            f"another, '{encoder.model_id}', or other weights of that name. To go on with it, set "
            f"IMAGE_MODEL={export.origin.model.model_id}. Or name another folder."
        ) from error
    if export.origin.corpus != source.address:
        raise EmbeddingFilesError(
            f"{export.address} was begun with the photos of {export.origin.corpus}, and not of {source.address}. To go "
            "on with it, name those. Or name another folder for the embeddings."
        )


def _make_plan(export: Export, source: PhotoSource, *, prune: bool) -> Plan:
    indexed = {image_id: state for part in export.parts for image_id, state in part.read_states().items()}
    corpus_before = export.origin.corpus if indexed else None
    return make_plan(source, indexed=indexed, corpus_before=corpus_before, prune=prune)


def _rows(
    plan: Plan,
    encoder: Encoder,
    *,
    settings: Settings,
    options: IndexOptions,
    counts: RunCounts,
    progress: Progress,
    stopped: Callable[[], bool],
) -> Iterator[Row]:
    """Yield the documents of the photos to encode with their embeddings."""

    def note(fact: Fact) -> None:
        counts.add(fact)
        progress.set_postfix_str(f"{len(counts.skipped)} skipped")
        progress.update(1)

    batches = make_documents_ahead(
        takewhile(lambda _: not stopped(), plan.to_encode),
        reader=PhotoReader(
            source=plan.source,
            preprocess=encoder.preprocess,
            thumbnails=thumbnails_of(settings, patience_seconds=PATIENCE_SECONDS),
            options=options,
            decoders=indexing_decoders(options.thread_count),
        ),
        encoder=encoder,
        options=options,
        note=note,
    )
    for batch in batches:
        progress.update(len(batch))
        for item in batch:
            document = item.document
            counts.add(
                PhotoOutcome(
                    image_id=document.image_id,
                    outcome=Outcome.NEW,
                    content_hash=document.content_hash,
                    damage=item.damage,
                    sidecar_faults=item.sidecar_faults,
                )
            )
            yield document, item.embedding
