"""What the driver of a Spark job does by itself; no Spark. The rest is in server/test_spark_job.py."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from image_embeddings.documents import FileState, ModelInfo, PhotoMetadata
from image_embeddings.errors import IndexBusyError, RequestError, SettingError, UnreachableError
from image_embeddings.es.fence import Fence
from image_embeddings.indexing import spark_stage, spark_task
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.part_runner import PartRunner
from image_embeddings.indexing.photo_table import PhotoTable
from image_embeddings.indexing.planned_photos import IndexedHashes
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.indexing.spark_stage import SparkStage, _parts, _reason
from image_embeddings.indexing.spark_task import Part, Work, run_part
from image_embeddings.sources.source import PhotoFile

TRACEBACK = """An exception was thrown from the Python worker: Traceback (most recent call last):
  File "/a/pyspark.zip/pyspark/worker.py", line 4197, in invoke_udf
    func, profiler = read_command(pickleSer, init_info.udf_info)
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/a/image_embeddings/documents.py", line 8, in <module>
    import numpy as np
{error}
 SQLSTATE: 38000

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:572)
"""
JAVA = "An error occurred while calling o51.collect.\n: org.apache.spark.SparkException: Job aborted: it lost: "


@pytest.mark.parametrize("before", ["", JAVA])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("ModuleNotFoundError: No module named 'numpy'", "ModuleNotFoundError: No module named 'numpy'"),
        ("image_embeddings.errors.SettingError: It is 'many'.", "It is 'many'."),
    ],
)
def test_the_reason_why_a_job_failed_is_that_of_its_task(before, error, reason):
    text = before + TRACEBACK.format(error=error)
    assert f"failed again and again: {reason} What was indexed stays" in _reason(RuntimeError(text))


def test_a_job_without_a_failed_task_says_what_spark_says():
    assert "again and again: Job 3 cancelled What" in _reason(RuntimeError("Job 3 cancelled\nmore\n"))


def test_an_executor_without_a_secret_says_where_it_is_missing(tmp_path, monkeypatch):
    for name in ("ES_PWD", "ES_PWD_FILE", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(spark_task, "_make_data_dir", lambda: tmp_path)
    work = Work(
        environment=(("ES_HOST", "http://127.0.0.1:9"), ("ES_USER", "indexer")),
        address=str(tmp_path),
        backing_index="trips-1",
        fence=Fence(alias="trips-fence", number=1),
        model=ModelInfo(model_id="conse", dims=4, preprocessing="none"),
        decoding="decode-2",
        reread=False,
        options=IndexOptions(),
    )
    with pytest.raises(SettingError, match=r"On an executor: ES_PWD is not set\..*spark\.executorEnv"):
        run_part(Part(files=(), changed=frozenset(), indexed_hashes=frozenset(), rows={}), work)


class IdleSpark:
    """A Spark that has nothing to do."""

    defaultParallelism = 1  # noqa: N815 - as Spark calls it

    def __init__(self):
        self.cancelled = []

    def cancelJobGroup(self, group):  # noqa: N802
        self.cancelled.append(group)


@pytest.fixture
def facts_of_tasks(monkeypatch):
    """Spark and a function that returns the facts of one job, which ends when `before_write` has been called."""
    end = Future()

    class Job:
        def __init__(self, spark, parts, work, *, group, pool):
            self.end = end

        def take_facts(self):
            return ["facts"] if self.end.done() else []

        def check(self):
            self.end.result()

    monkeypatch.setattr(spark_stage, "_Job", Job)
    monkeypatch.setattr(spark_stage, "BEAT_SECONDS", 0.01)
    spark = IdleSpark()
    work = SimpleNamespace(fence=Fence(alias="trips-fence", number=1))

    def facts(before_write):
        def beat():
            before_write()
            if not end.done():
                end.set_result(None)

        return list(SparkStage(spark)._facts_of_tasks(iter(["part"]), work, before_write=beat))

    return spark, facts


@pytest.mark.parametrize("away", [UnreachableError("away"), RequestError("no master", status=503)])
def test_a_driver_waits_while_elasticsearch_is_away(facts_of_tasks, away):
    spark, facts = facts_of_tasks
    failures = [away, away]

    def beat():
        if failures:
            raise failures.pop()

    assert facts(beat) == ["facts"]
    assert (failures, spark.cancelled) == ([], [])


def test_a_driver_whose_lock_was_taken_over_cancels_its_jobs(facts_of_tasks):
    spark, facts = facts_of_tasks

    def beat():
        raise IndexBusyError("another run")

    with pytest.raises(IndexBusyError):
        facts(beat)
    assert spark.cancelled == ["index-1"]


def test_parts_know_of_the_plan_what_their_photos_need():
    files = [PhotoFile(image_id=f"{number}.jpg", bytes=number % 2, mtime_ns=1) for number in range(5)]
    table = PhotoTable()
    table.read_indexed((f"{size}", FileState(bytes=size, mtime_ns=1, content_hash=f"hash {size}")) for size in (0, 7))
    rows = {image_id: PhotoMetadata(label=image_id) for image_id in ("1.jpg", "4.jpg", "gone.jpg")}
    runner = PartRunner(
        source=None,
        index=None,
        encoder=None,
        thumbnails=None,
        options=None,
        decoders=None,
        decoding="",
        indexed_hashes=IndexedHashes(table),
        metadata=MetadataChanges(rows=rows),
    )
    parts = list(_parts(files, {"0.jpg", "3.jpg"}, runner, size=2))
    assert [file for part in parts for file in part.files] == files
    assert [sorted(part.changed) for part in parts] == [["0.jpg"], ["3.jpg"], []]
    assert [sorted(part.rows) for part in parts] == [["1.jpg"], [], ["4.jpg"]]
    assert [part.indexed_hashes for part in parts] == [{"hash 0"}] * 3
