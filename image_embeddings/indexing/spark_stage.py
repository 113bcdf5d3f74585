"""The stage of an indexing run that Spark's executors carry out: each task does one part of the plan.

The driver lists, plans and ends the run, as for a run on one machine. A task gets a few hundred files of the list. It
reads, decodes and encodes them, writes the documents, and reports the fact of each photo (`spark_task.py`). The driver
makes the parts as they are needed, so it does not matter how many there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from image_embeddings.config import shared_environment
from image_embeddings.errors import SparkJobError
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.part_runner import PartRunner
from image_embeddings.indexing.planned_photos import IndexedHashes
from image_embeddings.indexing.report import Fact
from image_embeddings.indexing.spark_task import Part, PartFacts, Work, run_part
from image_embeddings.sources.source import PhotoFile

if TYPE_CHECKING:
    from pyspark import AccumulatorParam, SparkContext

PART_PHOTOS = 500
BEAT_SECONDS = 5.0
JOBS = 2  # at a time: while the last tasks of one end, those of the next one keep all cores busy
TASKS_A_CORE = 4  # of each job
FEWEST_TASKS = 64
_OUR_ERROR = re.compile(r"^image_embeddings\.errors\.\w+: (.+)$", re.MULTILINE)
# The last line of a traceback of Python, and not the name of a Java exception before it.
_PYTHON_ERROR = re.compile(r"^  File .+\n(?:    .+\n)*([A-Za-z_][\w.]*: .+)$", re.MULTILINE)


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
        changed: Container[str],
        before_write: Callable[[], object],
        note: Callable[[Fact], object],
        encoded: Callable[[int], object],
    ) -> Iterator[Fact]:
        """Do what `PartRunner.run` does. The facts of a task come when it has ended.

        `before_write` is called every BEAT_SECONDS, by this process. If Elasticsearch is away for PATIENCE_SECONDS, or
        if `before_write` raises any other error, Spark's job is cancelled.

        Raises:
            SparkJobError: a task has failed several times.
        """
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
        parts = _parts(files, changed, runner, size=self._part_photos)
        for facts in self._facts_of_tasks(parts, work, before_write=before_write):
            for fact in facts.noted:
                note(fact)
            encoded(len(facts.written))
            yield from facts.written

    def _facts_of_tasks(
        self, parts: Iterator[Part], work: Work, *, before_write: Callable[[], object]
    ) -> Iterator[PartFacts]:
        """Yield the facts of each part. Few jobs are under way at a time, and the driver holds no parts but theirs."""
        group = f"index-{work.fence.number}"
        size = max(FEWEST_TASKS, TASKS_A_CORE * self._spark.defaultParallelism)
        with ThreadPoolExecutor(JOBS, thread_name_prefix="spark-job") as pool:
            jobs: list[_Job] = []
            try:
                while True:
                    while len(jobs) < JOBS and (some := list(islice(parts, size))):
                        jobs.append(_Job(self._spark, some, work, group=group, pool=pool))
                    if not jobs:
                        return
                    wait([job.end for job in jobs], timeout=BEAT_SECONDS, return_when=FIRST_COMPLETED)
                    patiently(before_write)
                    ended = [job for job in jobs if job.end.done()]
                    for job in jobs:
                        yield from job.take_facts()
                    for job in ended:
                        jobs.remove(job)
                        job.check()
            finally:
                if jobs:  # Spark warns of a group whose jobs have all ended
                    self._spark.cancelJobGroup(group)


class _Job:
    """A job of Spark, which carries out some parts, and the facts that have come of it."""

    def __init__(
        self, spark: SparkContext, parts: Sequence[Part], work: Work, *, group: str, pool: ThreadPoolExecutor
    ) -> None:
        """Start the job, by a thread of `pool`."""
        # In an action, Spark adds what a task has added once, whichever of its attempts ends first.
        reports = spark.accumulator([], _lists())
        tasks = spark.parallelize(parts, len(parts))

        def carry_out() -> None:
            spark.setJobGroup(group, f"Index photos of {work.address}", interruptOnCancel=True)
            tasks.foreach(lambda part: reports.add([run_part(part, work)]))

        self._reports = reports
        self.end = pool.submit(carry_out)

    def take_facts(self) -> list[PartFacts]:
        """Return the facts that have come since the last call. They are kept no longer."""
        come: list[PartFacts] = self._reports.value
        new = come[:]
        del come[: len(new)]  # another thread may have added some
        return new

    def check(self) -> None:
        """Return if the job has ended well. Raise SparkJobError if it has not."""
        from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
        from pyspark.errors import PySparkException

        try:
            self.end.result()
        except (PySparkException, Py4JJavaError) as error:  # of Spark 4 and of Spark 3
            raise SparkJobError(_reason(error)) from error


def _lists() -> AccumulatorParam[list[PartFacts]]:
    """Return how an accumulator adds lists up."""
    from pyspark import AccumulatorParam

    class Lists(AccumulatorParam):  # type: ignore[type-arg]
        def zero(self, value: list[Any]) -> list[Any]:
            return []

        def addInPlace(self, first: list[Any], second: list[Any]) -> list[Any]:  # noqa: N802
            first.extend(second)
            return first

    return Lists()


def _reason(error: Exception) -> str:
    """Return why a job failed: what the error of a task says, if there is one; the sentence alone if it is ours."""
    text = str(error)
    found = _OUR_ERROR.findall(text) or _PYTHON_ERROR.findall(text)
    reason = found[-1] if found else text.strip().splitlines()[0]
    return (
        f"Spark gave the job up, because a task failed again and again: {reason} What was indexed stays: submit the "
        "same job again to go on."
    )


def _parts(files: Iterable[PhotoFile], changed: Container[str], runner: PartRunner, *, size: int) -> Iterator[Part]:
    source, hashes, rows = iter(files), runner.indexed_hashes, runner.metadata.rows
    while some := tuple(islice(source, size)):
        ids = [file.image_id for file in some]
        yield Part(
            files=some,
            changed=frozenset(image_id for image_id in ids if image_id in changed),
            indexed_hashes=hashes.of(some) if isinstance(hashes, IndexedHashes) else hashes,
            rows={image_id: rows[image_id] for image_id in ids if image_id in rows},
        )
