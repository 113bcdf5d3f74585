"""The stage of an indexing run that Spark's executors carry out: each task does one part of the plan.

The driver lists, plans and ends the run, as for a run on one machine. A task gets a few hundred files of the list. It
reads, decodes and encodes them, writes the documents, and reports the fact of each photo. It may be killed and begun
again at any time: each document has the image_id as its id, so it replaces itself.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_embeddings.assembly import make_encoder, thumbnails_of
from image_embeddings.config import load_shared_settings, shared_environment
from image_embeddings.documents import ModelInfo, PhotoMetadata
from image_embeddings.encoders import check_same_model
from image_embeddings.errors import SparkJobError
from image_embeddings.es.fence import Fence
from image_embeddings.es.opening import open_index, silent
from image_embeddings.es.retries import PATIENCE_SECONDS
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.part_runner import PartRunner
from image_embeddings.indexing.report import Fact, IndexOptions
from image_embeddings.photos.decoders import indexing_decoders
from image_embeddings.sources.choice import parse_address, source_of
from image_embeddings.sources.source import PhotoFile

if TYPE_CHECKING:
    from pyspark import SparkContext

PART_PHOTOS = 500
BEAT_SECONDS = 5.0
_OUR_ERROR = re.compile(r"^image_embeddings\.errors\.\w+: (.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Part:
    """The files of one task, and what the driver knows of them."""

    files: tuple[PhotoFile, ...]
    changed: frozenset[str]  # image_ids of those that are indexed in an older version
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


class SparkStage:
    """Carries out the plan of a run on the executors of a Spark application."""

    def __init__(self, spark: SparkContext, *, part_photos: int = PART_PHOTOS) -> None:
        """Use the application of `spark`. A task gets at most `part_photos` files."""
        self._spark, self._environment = spark, tuple(sorted(shared_environment().items()))
        self._part_photos = part_photos

    def run(
        self,
        runner: PartRunner,
        files: Iterable[PhotoFile],
        *,
        changed: Collection[str],
        before_write: Callable[[], object],
        note: Callable[[Fact], object],
        encoded: Callable[[int], object],
    ) -> Iterator[Fact]:
        """Do what `PartRunner.run` does. The facts of a task come when it has ended.

        `before_write` is called every BEAT_SECONDS, by this process. If it raises, Spark's job is cancelled.

        Raises:
            SparkJobError: a task has failed several times.
        """
        parts = list(_parts(files, changed, runner.metadata.rows, size=self._part_photos))
        if not parts:
            return
        fence = runner.index.fence
        assert fence, "a run of several machines has a fence"
        work = Work(
            environment=self._environment,
            address=runner.source.address,
            backing_index=runner.index.name,
            fence=fence,
            model=runner.encoder.info,
            decoding=runner.decoding,
            reread=runner.reread,
            options=replace(runner.options, bulks_in_flight=1),
        )
        for facts in self._facts_of_tasks(parts, work, runner.indexed_hashes, before_write=before_write):
            for fact in facts.noted:
                note(fact)
            encoded(len(facts.written))
            yield from facts.written

    def _facts_of_tasks(
        self, parts: Sequence[Part], work: Work, hashes: Collection[str], *, before_write: Callable[[], object]
    ) -> Iterator[PartFacts]:
        from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
        from pyspark import AccumulatorParam
        from pyspark.errors import PySparkException

        class Lists(AccumulatorParam):  # type: ignore[type-arg]
            def zero(self, value: list[Any]) -> list[Any]:
                return []

            def addInPlace(self, first: list[Any], second: list[Any]) -> list[Any]:  # noqa: N802
                first.extend(second)
                return first

        # In an action, Spark adds what a task has added once, whichever of its attempts ends first.
        reports = self._spark.accumulator([], Lists())
        indexed = self._spark.broadcast(frozenset(hashes))
        tasks = self._spark.parallelize(parts, len(parts))
        group = f"index-{work.fence.number}"

        def carry_out() -> None:
            self._spark.setJobGroup(group, f"Index photos of {work.address}", interruptOnCancel=True)
            tasks.foreach(lambda part: reports.add([run_part(part, work, indexed.value)]))

        seen = 0
        with ThreadPoolExecutor(1, thread_name_prefix="spark-job") as pool:
            job = pool.submit(carry_out)
            try:
                while not wait([job], timeout=BEAT_SECONDS).done:
                    before_write()
                    new = reports.value[seen:]
                    seen += len(new)
                    yield from new
            finally:
                self._spark.cancelJobGroup(group)  # does nothing if it has ended
            yield from reports.value[seen:]
            try:
                job.result()
            except (PySparkException, Py4JJavaError) as error:  # of Spark 4 and of Spark 3
                raise SparkJobError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Return why a job failed, from the error of a task if it is one of ours."""
    text = str(error)
    ours = _OUR_ERROR.findall(text)
    reason = ours[-1] if ours else text.strip().splitlines()[0]
    return (
        f"Spark gave the job up, because a task failed again and again: {reason} What was indexed stays: submit the "
        "same job again to go on."
    )


def _parts(
    files: Iterable[PhotoFile], changed: Collection[str], rows: Mapping[str, PhotoMetadata], *, size: int
) -> Iterator[Part]:
    source = iter(files)
    while some := tuple(islice(source, size)):
        ids = {file.image_id for file in some}
        yield Part(
            files=some,
            changed=frozenset(ids.intersection(changed)),
            rows={image_id: rows[image_id] for image_id in ids & rows.keys()},
        )


def run_part(part: Part, work: Work, indexed_hashes: Collection[str]) -> PartFacts:
    """Carry out a part in this process, and return the fact of each photo. Executors call this.

    Raises: as `PartRunner.run`.
    """
    runner = replace(_runner(work), indexed_hashes=indexed_hashes, metadata=MetadataChanges(rows=part.rows))
    noted: list[Fact] = []
    written = list(runner.run(part.files, changed=part.changed, note=noted.append))
    return PartFacts(written=written, noted=noted)


@cache
def _runner(work: Work) -> PartRunner:
    """Return what carries out parts in this process. The model is loaded once."""
    settings = load_shared_settings(dict(work.environment), data_dir=_make_data_dir)
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
