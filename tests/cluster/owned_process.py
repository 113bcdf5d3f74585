"""A program that ends with the process that starts it, in whatever way that one ends, and with all that it has started.

    process = OwnedProcess([java, …], log=folder / "name.log", env=environment)
    process.children()  # all processes below it
    process.kill()      # SIGKILL for all of them

`python -m tests.cluster.owned_process COMMAND…` is a process between the two. It runs the command until somebody closes
its standard input, or until the command ends. Then it kills whatever is left, also processes whose parent has died.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from image_embeddings.config import ROOT
from tests.waiting import LONG

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


class OwnedProcess:
    """A program that runs in the folder of `log`. Its errors are in `log`, and its output in `output`, or in `log`."""

    def __init__(
        self, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], output: Path | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as errors, (output or log).open("ab") as printed:
            self._between = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.owned_process", str(log.parent), *map(str, command)],
                cwd=ROOT,
                env=dict(env),
                stdin=subprocess.PIPE,  # its other end closes if this process ends, in whatever way
                stdout=printed,
                stderr=errors,
                start_new_session=True,  # Ctrl-C, and a signal to the group of this process, leave it alone
            )

    @property
    def pid(self) -> int:
        """The number of the process between; all others are below it."""
        return self._between.pid

    def children(self) -> list[psutil.Process]:
        """Return all processes below it that run, parents before their children."""
        if self.poll() is not None:
            return []
        return [each for each in psutil.Process(self.pid).children(recursive=True) if runs(each)]

    def poll(self) -> int | None:
        """Return the exit code, or None if the program runs. Less than 0: the number of the signal that ended it."""
        code = self._between.poll()
        return None if code is None else _exit_code(code)

    def wait(self) -> int:
        """Return the exit code once the program, and all that it has started, has ended."""
        code = self._between.wait(timeout=LONG)
        self._between.stdin.close()
        return _exit_code(code)

    def kill(self) -> None:
        """Kill the program and all that it has started, as a power cut does, and return when they are gone."""
        self._between.stdin.close()
        self._between.wait(timeout=LONG)

    def check_runs(self) -> None:
        """Fail with the last lines of the log if the program has ended."""
        assert self.poll() is None, self.log.read_text(errors="replace")[-4000:]


def runs(process: psutil.Process) -> bool:
    """Whether the process exists and is more than a zombie."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _exit_code(code: int) -> int:
    return code if code < 128 else 128 - code


def _run(folder: str, command: list[str]) -> int:
    """Run the command in `folder`, and return its exit code, or 128 and the number of the signal that ended it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # this process becomes the parent of those below it whose parent dies
    child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    signal.signal(signal.SIGTERM, lambda *_: child.kill())
    threading.Thread(target=_kill_with_owner, args=(child,), daemon=True).start()
    code = child.wait()
    _kill_children()
    return code if code >= 0 else 128 - code


def _kill_with_owner(child: subprocess.Popen) -> None:
    sys.stdin.buffer.read()
    child.kill()


def _kill_children() -> None:
    while children := psutil.Process().children(recursive=True):
        for each in children:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    """Ask Linux for it. Other systems have nothing like it: there, only an orderly end leaves no process behind."""
    if sys.platform == "linux":
        assert ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0


if __name__ == "__main__":
    # os._exit: the thread holds a lock of standard input, for which an orderly end of Python would wait
    os._exit(_run(sys.argv[1], sys.argv[2:]))
