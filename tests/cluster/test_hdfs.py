"""The HDFS of the tests: what is written is there for others, a DataNode can be lost, and nothing is left."""

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cluster.owned_process import runs
from tests.cluster.spark_cluster import ON_BOTH_WORKERS
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

# Reads the files of a folder, and writes their names and sums as Parquet.
SUMS = """
import sys
from pyspark.sql import SparkSession

source, target = sys.argv[1:]
session = SparkSession.builder.getOrCreate()
files = session.sparkContext.binaryFiles(source, minPartitions=4).repartition(4)
rows = files.map(lambda file: (file[0].rpartition("/")[2], sum(file[1])))
session.createDataFrame(rows, "name string, sum long").write.parquet(target)
"""
NAMES = ["a b.bin", "a%20b.bin", "ü+&=?#.bin", "sub/deep/c.bin"]


@pytest.fixture
def files(hdfs):
    """HDFS, as an independent client sees it."""
    port = int(hdfs.web_url.rpartition(":")[2])
    return fsspec.filesystem("webhdfs", host="127.0.0.1", port=port, user=hdfs.user, skip_instance_cache=True)


@pytest.fixture
def folder(tmp_path):
    """A folder of four files with odd names; the largest one needs several packets on its way to the DataNodes."""
    numbers = np.random.default_rng(1)
    for count, name in enumerate(NAMES):
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(numbers.bytes(100_000 * count))
    return tmp_path / "folder"


def contents(folder):
    return {f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(files, path):
    return {name.removeprefix(path): files.cat_file(name) for name in files.find(path)}


def test_files_with_odd_names_are_written_twice_and_replaced(hdfs, files, folder):
    hdfs.write("/odd/sub/deep/c.bin", b"old")
    hdfs.put(folder, "/odd")
    assert read(files, "/odd") == contents(folder)
    wait_for(lambda: hdfs.state()["PendingReplicationBlocks"] + hdfs.state()["UnderReplicatedBlocks"] == 0)


def test_nothing_listens_for_other_machines(hdfs):
    sockets = [each for process in hdfs.processes() for each in process.net_connections() if not each.raddr]
    assert {each.laddr.ip.removeprefix("::ffff:") for each in sockets} == {"127.0.0.1"}


def test_spark_reads_from_it_and_writes_to_it(spark, hdfs, files, folder, tmp_path):
    hdfs.put(folder / "sub" / "deep", "/in")
    hdfs.put(folder / "a%20b.bin", "/in/b.bin")
    (tmp_path / "job.py").write_text(SUMS)
    spark.submit(tmp_path / "job.py", f"{hdfs.url}/in", f"{hdfs.url}/out", conf=ON_BOTH_WORKERS).expect_success()
    parts = [path for path in files.find("/out") if path.endswith(".parquet")]
    rows = [row for path in parts for row in pq.read_table(files.open(path)).to_pylist()]
    expected = {path.rpartition("/")[2]: sum(content) for path, content in read(files, "/in").items()}
    assert {row["name"]: row["sum"] for row in rows} == expected
    assert files.exists("/out/_SUCCESS")


def test_a_lost_datanode_costs_no_file(hdfs, files, folder):
    hdfs.put(folder, "/lost")
    hdfs.kill_datanode(0)
    wait_for(lambda: each_block_lacks_a_copy(hdfs.state()))  # from now on, no reader is sent to it
    assert read(files, "/lost") == contents(folder)


def each_block_lacks_a_copy(state):
    return state["UnderReplicatedBlocks"] == state["BlocksTotal"] > 0


def test_it_has_its_files_after_the_namenode_has_died(hdfs, files, folder):
    hdfs.put(folder, "/kept")
    hdfs.kill_namenode()
    hdfs.start()
    # A DataNode finds out by a failed request that its connection to the NameNode is an old one.
    wait_for(lambda: read(files, "/kept") == contents(folder))


def test_nothing_is_left_of_it_after_its_end(hdfs):
    processes = hdfs.processes()
    hdfs.close()
    assert (len(processes), any(map(runs, processes))) == (3, False)
