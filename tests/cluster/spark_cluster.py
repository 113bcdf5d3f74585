"""A Spark standalone cluster on the loopback interface: one master, and two workers of one core each.

    with spark_cluster(folder) as spark:
        done = spark.submit("job.py", "hdfs://…", py_files=["package.zip"], conf={"spark.speculation": "true"})
        done.code, done.output
        driver = spark.start_driver("job.py")
        spark.kill_executor()  # or spark.kill_python_worker(), driver.kill(), spark.kill_worker(0)
        driver.wait()

The cluster is that of the package pyspark, or the one that SPARK_HOME names. All processes end with the one that
started the cluster.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import psutil

from tests.cluster import java
from tests.cluster.owned_process import OwnedProcess, runs
from tests.cluster.spark_driver import Driver, Finished
from tests.cluster.three_nodes import free_ports
from tests.waiting import LONG, wait_for

WORKERS = 2
MISSING = "pyspark is missing, and tests on Spark need it: .venv/bin/python -m pip install -r requirements-spark.txt"
_DEFAULTS = """\
spark.master spark://127.0.0.1:{port}
spark.master.rest.enabled false
spark.port.maxRetries 0
spark.ui.enabled false
spark.ui.showConsoleProgress false
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.driver.memory 600m
spark.executor.memory 600m
spark.sql.shuffle.partitions 4
spark.sql.warehouse.dir {folder}/warehouse
"""
# For `conf`: no task starts before both workers have an executor.
ON_BOTH_WORKERS = {
    "spark.cores.max": str(WORKERS),
    "spark.scheduler.minRegisteredResourcesRatio": "1",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{LONG:.0f}s",
}
_EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
_DAEMON = "pyspark.daemon"  # forks the Python workers of an executor


class Spark:
    """The cluster, as tests use it. `home` is the folder of the package pyspark.

    All files of it, also the logs, are below `folder`.
    """

    def __init__(self, folder: Path, *, home: Path) -> None:
        self.folder, self._home = folder, home
        found = java.find_java()
        assert found, java.MISSING
        with free_ports(2) as (self._port, self._web_port):
            pass
        config = folder / "conf"
        config.mkdir()
        (config / "spark-defaults.conf").write_text(_DEFAULTS.format(port=self._port, folder=folder))
        self._environment = java.environment(folder, found) | {
            "SPARK_HOME": str(home),
            "SPARK_CONF_DIR": str(config),
            "SPARK_DAEMON_MEMORY": "192m",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "tmp"),
            "PYSPARK_PYTHON": sys.executable,
        }
        self._master: OwnedProcess | None = None
        self._workers: dict[int, OwnedProcess] = {}
        self._drivers: list[OwnedProcess] = []

    @property
    def master_url(self) -> str:
        return f"spark://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the master and the workers that do not run, and return when the master knows both workers."""
        master = ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(self._web_port)]
        if self._master is None:
            self._master = self._start_daemon("master", "org.apache.spark.deploy.master.Master", *master)
        for number in set(range(WORKERS)) - set(self._workers):
            name = f"worker-{number}"
            options = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--cores", "1", "--memory", "1g"]
            options += ["--work-dir", str(self.folder / name), self.master_url]
            self._workers[number] = self._start_daemon(name, "org.apache.spark.deploy.worker.Worker", *options)
        wait_for(self._is_whole, what=lambda: str(self.state()))

    def _start_daemon(self, name: str, class_name: str, *options: str) -> OwnedProcess:
        command = [self._home / "bin" / "spark-class", class_name, *options]
        return OwnedProcess(command, log=self.folder / f"{name}.log", env=self._environment)

    def _is_whole(self) -> bool:
        for daemon in self._daemons():
            daemon.check_runs()
        return bool(self.state().get("aliveworkers") == WORKERS)

    def _daemons(self) -> list[OwnedProcess]:
        return [*([self._master] if self._master else []), *self._workers.values()]

    def state(self) -> dict:
        """What the master says of workers and applications; empty if it does not answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self._web_port}/json/", timeout=10) as answer:
                return json.load(answer)
        except (OSError, json.JSONDecodeError):  # while it starts, it answers by a page
            return {}

    def submit(
        self,
        script: Path | str,
        *arguments: object,
        py_files: Sequence[Path | str] = (),
        conf: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a job by `spark-submit`, and return its outcome. `env`: further variables, for the driver alone."""
        return self.start_driver(script, *arguments, py_files=py_files, conf=conf, env=env).wait()

    def start_driver(
        self,
        script: Path | str,
        *arguments: object,
        py_files: Sequence[Path | str] = (),
        conf: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Driver:
        """Start a job, as `submit` does, and return at once."""
        command: list[str | Path] = [self._home / "bin" / "spark-submit"]
        for name, value in (conf or {}).items():
            command += ["--conf", f"{name}={value}"]
        if py_files:
            command += ["--py-files", ",".join(map(str, py_files))]
        folder = self.folder / f"driver-{len(self._drivers)}"
        folder.mkdir()
        output = folder / "output.txt"
        environment = self._environment | (env or {})
        command += [script, *map(str, arguments)]
        process = OwnedProcess(command, log=folder / "log.txt", output=output, env=environment)
        self._drivers.append(process)
        return Driver(process, output=output)

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the cluster and of its drivers."""
        return [each for owned in [*self._daemons(), *self._drivers] for each in owned.children()]

    def executors(self) -> list[psutil.Process]:
        """Return the JVMs that run tasks, those of worker 0 first."""
        workers = [self._workers[number] for number in sorted(self._workers)]
        return [each for worker in workers for each in worker.children() if _EXECUTOR in _command(each)]

    def python_workers(self) -> list[psutil.Process]:
        """Return the Python processes in which the executors run tasks."""
        below = [each for executor in self.executors() for each in _below(executor)]
        return [each for each in below if _DAEMON in _command(each) and _DAEMON in _command(_parent(each))]

    def kill_executor(self, number: int = 0) -> int:
        """Kill an executor as soon as there are enough of them, and return its process id. Spark starts another."""
        return _kill_one(self.executors, number)

    def kill_python_worker(self, number: int = 0) -> int:
        """Kill a Python worker as soon as there are enough of them, and return its process id."""
        return _kill_one(self.python_workers, number)

    def kill_worker(self, number: int) -> None:
        """Kill a worker with its executors, as the loss of a machine does, and return when the master knows.

        `start` starts it again.
        """
        self._workers.pop(number).kill()
        wait_for(lambda: self.state().get("aliveworkers") == len(self._workers), what=lambda: str(self.state()))

    def executor_logs(self) -> str:
        """Return what all executors have logged and printed."""
        logs = sorted(path for name in ("stdout", "stderr") for path in self.folder.glob(f"worker-*/*/*/{name}"))
        return "\n".join(f"{path}:\n{path.read_text(errors='replace')}" for path in logs)

    def close(self) -> None:
        """Kill all that runs. `start` starts the cluster again."""
        for process in [*self._drivers, *reversed(self._daemons())]:
            process.kill()
        self._master = None
        self._workers.clear()


@contextmanager
def spark_cluster(folder: Path, *, home: Path | None = None) -> Iterator[Spark]:
    """Start a cluster with all its files below `folder`, and kill it at the end.

    `home` is the folder of the package pyspark, of Spark 3.5 or 4 (default: the installed one).
    """
    home = home or installed_home()
    assert home, MISSING
    cluster = Spark(folder, home=home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def installed_home() -> Path | None:
    """Return the folder that SPARK_HOME names, for tests on another version, else that of the installed pyspark.

    None: there is neither.
    """
    if named := os.environ.get("SPARK_HOME"):
        return Path(named)
    found = find_spec("pyspark")
    return Path(found.origin).parent if found and found.origin else None


def missing() -> str | None:
    """Return what to say if the cluster cannot be started here."""
    return java.missing() or (None if installed_home() else MISSING)


def describe() -> str:
    """Return the version, for pytest's header."""
    if named := os.environ.get("SPARK_HOME"):
        return f"the one of SPARK_HOME, {named}"
    try:
        return version("pyspark")
    except PackageNotFoundError:
        return f"none: {MISSING}"


def _kill_one(processes, number: int) -> int:
    wait_for(lambda: len(processes()) > number, what=lambda: f"there are only {processes()}")
    process = processes()[number]
    process.kill()
    wait_for(lambda: not runs(process))
    return process.pid


def _command(process: psutil.Process | None) -> str:
    try:
        return " ".join(process.cmdline()) if process else ""
    except psutil.Error:
        return ""


def _parent(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
