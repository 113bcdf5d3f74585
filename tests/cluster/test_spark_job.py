"""Indexing on a real Spark cluster: the documents are those of a run on one machine, whatever is killed."""

import dataclasses
import json
import random
import shutil
import signal
from contextlib import closing, suppress

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import IndexMissingError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.opening import open_index
from image_embeddings.es.retries import patiently
from image_embeddings.indexing.runs import index_photos
from tests.cluster.spark_cluster import ON_BOTH_WORKERS
from tests.cluster.spark_package import JOB, make_package
from tests.cluster.three_nodes import three_nodes
from tests.fakes import RecordedProgress
from tests.pictures import save
from tests.server.album import contents
from tests.waiting import wait_for
from tests.worded_photos import xmp

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make_package(tmp_path_factory.mktemp("package"))


@pytest.fixture
def settings(elasticsearch_url, name, album, data_dir):
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "IMAGE_MODEL": "conse"}
    return load_settings({**environ, "IMAGE_DIR": str(album.before)}, data_dir=data_dir)


@pytest.fixture
def job(spark, settings, package):
    """Starts the job over a folder, as `spark-submit` does."""

    def start(folder, *options, conf=None):
        environ = {
            "ES_HOST": settings.es_host,
            "INDEX_NAME": settings.index_name,
            "IMAGE_MODEL": "conse",
            "DATA_DIR": str(settings.data_dir),
        }
        executors = {f"spark.executorEnv.{name}": environ[name] for name in ("DATA_DIR",)}
        options = ("--part-photos", 5, *options)
        conf = ON_BOTH_WORKERS | executors | (conf or {})
        return spark.start_driver(JOB, folder, *options, py_files=[package], conf=conf, env=environ)

    return start


@pytest.fixture(scope="module")
def expected(elasticsearch_url, album, networks, tmp_path_factory):
    """What an undisturbed run on one machine makes of the second folder."""
    folder = tmp_path_factory.mktemp("expected")
    (folder / "networks").symlink_to(networks)
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": "test-spark-expected", "IMAGE_MODEL": "conse"}
    settings = load_settings({**environ, "IMAGE_DIR": str(album.after)}, data_dir=folder)
    index_photos(settings, progress=RecordedProgress)
    with closing(open_index(settings).cluster) as cluster:
        index = ImageIndex(cluster, name=settings.index_name)
        yield contents(index)
        index.drop()
        cluster.client.indices.delete(index=f"{settings.index_name}-runs")


@pytest.fixture
def whole(settings, cluster, name, album):
    """What runs on one machine make of the two folders."""
    found = []
    alone = dataclasses.replace(settings, index_name=f"{name}-whole")
    index = ImageIndex(cluster, name=alone.index_name)
    for folder in (album.before, album.after):
        index_photos(dataclasses.replace(alone, image_dir=folder), progress=RecordedProgress)
        found.append(contents(index))
    index.drop()
    return found


def rows_in(report):
    """Return the rows of a report that Spark has written."""
    return [json.loads(line) for path in report.glob("*.json") for line in path.read_text().splitlines()]


def counts_in(report):
    return {row["name"]: int(row["value"]) for row in rows_in(report) if row["kind"] == "count"}


def test_the_documents_are_those_of_a_run_on_one_machine(job, cluster, name, album, whole, tmp_path):
    index = ImageIndex(cluster, name=name)
    for folder, expected in zip((album.before, album.after), whole, strict=True):
        done = job(folder, "--report", tmp_path / "report").wait()
        assert done.code == 0, done.log
        assert contents(index) == expected
    assert (tmp_path / "report" / "_SUCCESS").exists()
    rows = rows_in(tmp_path / "report")
    assert {"kind": "count", "name": "found", "value": "93"} in rows
    assert [row["name"] for row in rows if row["kind"] == "skipped"] == ["no-photo.jpg"]
    assert (index.state().indexing, index.state().corpus) == (None, str(album.after))


@pytest.fixture
def said(tmp_path):
    """Two states of a folder of photos that are alike in size, with sidecars and copies; and a table for the second."""
    before, after = tmp_path / "before", tmp_path / "after"
    for number in range(12):
        save(before / f"{number}.bmp", colour=(20 * number, 100, 0))
    (before / "0.bmp.xmp").write_bytes(xmp(captions={"x-default": "a door"}))
    (before / "1.bmp.xmp").write_bytes(xmp(captions={"x-default": "a gate"}))
    shutil.copytree(before, after)
    (after / "0.bmp.xmp").write_bytes(xmp(captions={"x-default": "another door"}))
    (after / "2.bmp.xmp").write_bytes(xmp(captions={"x-default": "a wall"}))
    (after / "3.bmp").rename(after / "moved.bmp")
    for name in ("copy-1.bmp", "copy-2.bmp"):
        shutil.copy(after / "4.bmp", after / name)
    save(after / "5.bmp", colour=(1, 2, 3))
    (after / "6.bmp").unlink()
    for number in range(3):
        save(after / "new" / f"{number}.bmp", colour=(0, 0, 200))
    table = tmp_path / "photos.csv"
    table.write_text("file,label,shelf\n0.bmp,kept,3\n7.bmp,unchanged,\nmoved.bmp,other,\nnew/1.bmp,fresh,\n5.bmp,,4\n")
    return before, after, table


@pytest.mark.parametrize("reread", [False, True])
def test_sidecars_copies_and_tables_say_the_same_as_in_a_run_on_one_machine(
    job, settings, cluster, name, said, reread, tmp_path
):
    before, after, table = said
    index_photos(dataclasses.replace(settings, image_dir=before), progress=RecordedProgress)
    alone = dataclasses.replace(settings, index_name=f"{name}-whole")
    whole = ImageIndex(cluster, name=alone.index_name)
    try:
        index_photos(dataclasses.replace(alone, image_dir=before), progress=RecordedProgress)
        there = dataclasses.replace(alone, image_dir=after)
        report = index_photos(there, reread=reread, metadata=table, progress=RecordedProgress)
        expected = contents(whole)
    finally:
        whole.drop()
    options = ("--part-photos", 1, "--metadata", table, "--report", tmp_path / "report")
    done = job(after, *options, *(["--reread"] if reread else [])).wait()
    assert done.code == 0, done.log
    index = ImageIndex(cluster, name=name)
    assert contents(index) == expected
    assert (index.documents.get("7.bmp").label, index.documents.get("8.bmp").label) == ("unchanged", None)
    counts = counts_in(tmp_path / "report")
    assert counts == {name: getattr(report, name) for name in counts}


# Faults, each at a random moment. The job goes on, or is submitted again.


@pytest.fixture
def index(cluster, name):
    return ImageIndex(cluster, name=name)


@pytest.fixture
def moment():
    """A number of documents, at which something is to happen."""
    number = random.randint(1, 60)
    print(f"at {number} documents")  # pytest shows it if the test fails
    return number


def documents_in(index):
    with suppress(IndexMissingError):
        return patiently(index.count)  # the job has perhaps just made it
    return 0


def wait_for_documents(number, driver, index):
    def is_so_far():
        found = documents_in(index)
        if found:
            patiently(index.refresh)
        return found >= number or not driver.runs()

    wait_for(is_so_far, what=driver.log)
    assert driver.runs(), driver.log()


@pytest.mark.parametrize("victim", ["Python worker", "executor"])
def test_a_process_that_dies_costs_no_photo_and_writes_none_wrong(spark, job, index, album, expected, moment, victim):
    driver = job(album.after, "--part-photos", 1)  # which makes more parts than there are in one job of Spark
    wait_for_documents(moment, driver, index)
    spark.kill_python_worker() if victim == "Python worker" else spark.kill_executor()
    done = driver.wait()
    assert done.code == 0, done.log
    assert contents(index) == expected


def test_a_job_whose_driver_dies_is_submitted_again_and_does_only_the_rest(
    spark, job, index, album, expected, moment, tmp_path
):
    driver = job(album.after)
    wait_for_documents(moment, driver, index)
    driver.kill()
    wait_for(lambda: not spark.python_workers(), what=spark.executor_logs)
    patiently(index.refresh)
    there = documents_in(index)
    versions = versions_of(index)
    done = job(album.after, "--report", tmp_path / "report").wait()
    assert done.code == 0, done.log
    assert contents(index) == expected
    counts = counts_in(tmp_path / "report")
    assert (counts["unchanged"], counts["encoded"]) == (there, len(expected) - there)
    assert versions_of(index, among=versions) == versions


def versions_of(index, among=None):
    """Return image_id -> number of the run that has written the document."""
    found = index.cluster.client.search(index=index.name, size=1000, version=True, source=False)["hits"]["hits"]
    versions = {hit["_id"]: hit["_version"] for hit in found}
    return versions if among is None else {image_id: versions[image_id] for image_id in among}


def test_two_copies_of_a_task_write_each_photo_once(spark, job, index, album, expected, moment):
    speculation = {
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.multiplier": "1.01",
        "spark.speculation.quantile": "0.1",
        "spark.speculation.minTaskRuntime": "1s",
    }
    driver = job(album.after, conf=speculation)
    wait_for_documents(moment, driver, index)
    stopped = spark.python_workers()[0]
    stopped.send_signal(signal.SIGSTOP)  # its task hangs, and Spark begins a copy of it elsewhere
    try:
        wait_for(lambda: "speculat" in driver.log().lower() or not driver.runs(), what=driver.log)
    finally:
        with suppress(ProcessLookupError):
            stopped.send_signal(signal.SIGCONT)
    done = driver.wait()
    assert done.code == 0, done.log
    assert "speculat" in done.log.lower()
    assert contents(index) == expected


def test_an_elasticsearch_node_that_dies_costs_no_photo(
    spark, settings, package, album, expected, moment, node_jars, tmp_path
):
    (tmp_path / "nodes").mkdir()
    with three_nodes(tmp_path / "nodes", jars=node_jars) as nodes:
        there = dataclasses.replace(settings, es_host=nodes.hosts)
        environ = {"ES_HOST": nodes.hosts, "INDEX_NAME": there.index_name, "IMAGE_MODEL": "conse"}
        environ |= {"INDEX_SHARDS": "3", "INDEX_REPLICAS": "1", "DATA_DIR": str(settings.data_dir)}
        conf = ON_BOTH_WORKERS | {"spark.executorEnv.DATA_DIR": str(settings.data_dir)}
        driver = spark.start_driver(JOB, album.after, "--part-photos", 5, py_files=[package], conf=conf, env=environ)
        with closing(open_index(there).cluster) as cluster:
            index = ImageIndex(cluster, name=there.index_name)
            wait_for_documents(moment, driver, index)
            nodes.kill(random.randrange(3))
            done = driver.wait()
            assert done.code == 0, done.output + done.log
            assert contents(index) == expected


def test_a_job_that_cannot_go_on_says_why_and_ends_with_status_1(job, album):
    wrong = {"spark.executorEnv.MAX_IMAGE_PIXELS": "many", "spark.task.maxFailures": "1"}
    done = job(album.after, conf=wrong).wait()
    said = done.output + done.log
    assert done.code == 1, said
    reason = "a task failed again and again: On an executor: MAX_IMAGE_PIXELS has value 'many'."
    assert f"Spark gave the job up, because {reason}" in said
    assert "Traceback" not in done.output
