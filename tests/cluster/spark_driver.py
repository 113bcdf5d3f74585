"""A job that `spark-submit` runs on the Spark cluster of the tests, and its outcome."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster.owned_process import OwnedProcess


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A job that has ended: its exit code, what its Python printed on either stream, and what Spark's driver logged."""

    code: int
    output: str
    log: str

    def expect_success(self) -> str:
        """Return the output. Fail with all that is known if the exit code is not 0."""
        assert self.code == 0, f"exit code {self.code}\n{self.log[-8000:]}\n{self.output}"
        return self.output


class Driver:
    """A job that `spark-submit` runs, with its driver in a process below this one."""

    def __init__(self, process: OwnedProcess, *, output: Path) -> None:
        self._process, self._output = process, output

    def wait(self) -> Finished:
        """Return the outcome once the job has ended."""
        return Finished(code=self._process.wait(), output=self.output(), log=self.log())

    def kill(self) -> Finished:
        """Kill the driver, its JVM and its Python, as a power cut does."""
        self._process.kill()
        return self.wait()

    def runs(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """Return what the job has printed so far."""
        return self._output.read_text(errors="replace")

    def log(self) -> str:
        """Return what Spark's driver has logged so far."""
        return self._process.log.read_text(errors="replace")
