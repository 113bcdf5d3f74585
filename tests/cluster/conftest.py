import pytest

from tests.cluster import java, spark_cluster
from tests.cluster.hadoop_jars import fetch_jars
from tests.cluster.hdfs import hdfs_cluster


@pytest.fixture(scope="module")
def started_spark(tmp_path_factory):
    java.leave_out_without(spark_cluster.missing())
    with spark_cluster.spark_cluster(tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


@pytest.fixture
def spark(started_spark):
    """A Spark cluster with two workers. Those that the test before has killed are started again."""
    started_spark.start()
    return started_spark


@pytest.fixture(scope="module")
def started_hdfs(tmp_path_factory, pytestconfig):
    java.leave_out_without(java.missing())
    jars = fetch_jars(pytestconfig.cache.mkdir("hadoop"))
    with hdfs_cluster(tmp_path_factory.mktemp("hdfs"), jars=jars) as cluster:
        yield cluster


@pytest.fixture
def hdfs(started_hdfs):
    """HDFS with two DataNodes. Processes that the test before has killed are started again."""
    started_hdfs.start()
    return started_hdfs
