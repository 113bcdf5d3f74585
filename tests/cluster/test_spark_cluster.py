"""The Spark of the tests: its jobs are right, its processes can be killed, and none of them is left."""

import json

import psutil
import pytest

from tests.cluster.owned_process import runs
from tests.cluster.spark_cluster import ON_BOTH_WORKERS
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

# Adds up 0 to 999 in four tasks. Each writes a file when it begins, and waits for the file `go`.
SUM = """
import json, os, sys, time
from pathlib import Path
from pyspark import TaskContext
from pyspark.sql import SparkSession

folder = Path(sys.argv[1])

def add_up(numbers):
    task = TaskContext.get()
    (folder / f"begun-{task.partitionId()}-{task.attemptNumber()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.02)
    yield sum(numbers), os.getppid(), os.environ.get("AWS_EC2_METADATA_DISABLED")

context = SparkSession.builder.getOrCreate().sparkContext
sums, parents, variables = zip(*context.parallelize(range(1000), 4).mapPartitions(add_up).collect())
print(json.dumps({"sum": sum(sums), "executors": len(set(parents)), "variables": sorted(set(variables))}))
"""
RIGHT = {"sum": 499500, "executors": 2, "variables": ["true"]}


@pytest.fixture
def job(spark, tmp_path):
    """A job that has begun a task on both workers, and goes on as soon as there is a file `go`."""
    script = tmp_path / "job.py"
    script.write_text(SUM)
    driver = spark.start_driver(script, tmp_path, conf=ON_BOTH_WORKERS)
    wait_for_attempts(2, driver, tmp_path)
    return driver


def wait_for_attempts(number, job, folder):
    """Wait until the job has begun `number` attempts at its tasks."""
    wait_for(lambda: len(list(folder.glob("begun-*"))) == number or not job.runs(), what=job.log)


def finish(job, folder):
    """Return what the job prints, and the number of attempts at a task that were not the first."""
    (folder / "go").touch()
    output = job.wait().expect_success()
    return json.loads(output), sum(not path.name.endswith("-0") for path in folder.glob("begun-*"))


def test_a_job_runs_on_both_workers_and_on_no_other_address(spark, job, tmp_path):
    counts = (len(spark.executors()), len(spark.python_workers()))
    sockets = [each for process in spark.processes() for each in process.net_connections() if not each.raddr]
    assert (*finish(job, tmp_path), counts) == (RIGHT, 0, (2, 2))
    assert {each.laddr.ip.removeprefix("::ffff:") for each in sockets} == {"127.0.0.1"}


def test_a_job_that_loses_processes_and_a_worker_does_these_tasks_again(spark, job, tmp_path):
    for number, kill in enumerate((spark.kill_python_worker, spark.kill_executor)):
        kill()
        wait_for_attempts(3 + number, job, tmp_path)
    spark.kill_worker(0)
    assert finish(job, tmp_path) == (RIGHT | {"executors": 1}, 3)


def test_a_killed_driver_frees_the_workers(spark, job):
    executors = spark.executors()
    assert (job.kill().code, job.runs()) == (-9, False)
    wait_for(lambda: not any(map(runs, executors)))
    wait_for(lambda: spark.state()["coresused"] == 0, what=lambda: str(spark.state()))


def test_a_job_that_fails_says_so(spark, tmp_path):
    (tmp_path / "job.py").write_text("print('begun')\nraise SystemExit(7)\n")
    done = spark.submit(tmp_path / "job.py")
    assert (done.code, done.output) == (7, "begun\n")


def test_nothing_is_left_of_a_cluster_that_is_closed(spark, job, tmp_path):
    processes = spark.processes()
    spark.close()
    assert (len(processes) >= 9, any(map(runs, processes)), job.runs()) == (True, False, False)
    assert not [each for each in psutil.process_iter() if str(spark.folder) in " ".join(command(each))]


def command(process):
    return process.cmdline() if runs(process) else []
