"""What an executor of Spark does: it carries out a part of a run, in a Python process that keeps the model loaded.

A task may be killed and begun again at any time: each document has the image_id as its id, so it replaces itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from image_embeddings.assembly import make_encoder, thumbnails_of
from image_embeddings.config import load_shared_settings
from image_embeddings.documents import ModelInfo, PhotoMetadata
from image_embeddings.encoders import check_same_model
from image_embeddings.errors import SettingError
from image_embeddings.es.fence import Fence
from image_embeddings.es.opening import open_index, silent
from image_embeddings.es.retries import PATIENCE_SECONDS
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.part_runner import PartRunner
from image_embeddings.indexing.report import Fact, IndexOptions
from image_embeddings.photos.decoders import indexing_decoders
from image_embeddings.sources.choice import parse_address, source_of
from image_embeddings.sources.source import PhotoFile


@dataclass(frozen=True, kw_only=True)
class Part:
    """The files of one task, and what the driver knows of them."""

    files: tuple[PhotoFile, ...]
    changed: frozenset[str]  # image_ids of those that are indexed in an older version
    indexed_hashes: Container[str]  # content hashes of indexed photos, among them those that these files may have
    rows: Mapping[str, PhotoMetadata]  # of the metadata file


@dataclass(frozen=True, kw_only=True)
class PartFacts:
    """What became of the photos of one task."""

    written: list[Fact]  # of those that were to be written
    noted: list[Fact]  # of the others: see `PartRunner.run`


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all tasks of a run need to know. It holds no secret."""

    environment: tuple[tuple[str, str], ...]  # settings of the driver, as variables of the environment
    address: str  # of the photos
    backing_index: str
    fence: Fence
    model: ModelInfo
    decoding: str
    reread: bool
    options: IndexOptions


def run_part(part: Part, work: Work) -> PartFacts:
    """Carry out a part in this process, and return the fact of each photo. Executors call this.

    Raises: as `PartRunner.run`.
    """
    metadata = MetadataChanges(rows=part.rows)
    runner = replace(_runner(work), indexed_hashes=part.indexed_hashes, metadata=metadata)
    noted: list[Fact] = []
    written = list(runner.run(part.files, changed=part.changed, note=noted.append))
    return PartFacts(written=written, noted=noted)


@cache
def _runner(work: Work) -> PartRunner:
    """Return what carries out parts in this process. The model is loaded once."""
    try:
        settings = load_shared_settings(dict(work.environment), data_dir=_make_data_dir)
    except SettingError as error:
        raise SettingError(
            f"On an executor: {error} Executors have the driver's settings without its secrets and paths, and what "
            "spark.executorEnv gives them."
        ) from None
    encoder = make_encoder(settings, work.model, notify=silent)
    check_same_model(encoder, work.model)
    return PartRunner(
        source=source_of(parse_address(work.address), settings, patience_seconds=PATIENCE_SECONDS),
        index=open_index(settings).at(work.backing_index, fence=work.fence),
        encoder=encoder,
        thumbnails=thumbnails_of(settings, patience_seconds=PATIENCE_SECONDS),
        options=work.options,
        decoders=indexing_decoders(work.options.thread_count),
        decoding=work.decoding,
        reread=work.reread,
    )


def _make_data_dir() -> Path:
    """Return a new folder. Nobody wants to keep what is in it: Spark removes it at the end of the application."""
    from pyspark import SparkFiles

    return Path(tempfile.mkdtemp(prefix="image-search-", dir=SparkFiles.getRootDirectory()))
