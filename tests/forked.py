"""Programs for tests that start them often: each is forked from a process that has imported it, which takes a second.

    with forked_programs("tests.server.import_files") as start:
        program = start(folder, settings)
        program.kill()
        program.wait()

`python -m tests.forked MODULE LIBRARY…` is the process between the two. It imports them, calls `main` of the module in
one fork at a time, and ends with the tests.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from image_embeddings.config import ROOT
from tests.waiting import LONG


class Program:
    """A program that runs, or has ended. Its methods are those of `subprocess.Popen`."""

    def __init__(self, pid: int, codes: IO[bytes]) -> None:
        self.pid = pid
        self._codes, self._code = codes, None

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            readable, _, _ = select.select([self._codes], [], [], timeout)
            if not readable:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            self._code = int(self._codes.readline())
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


@contextmanager
def forked_programs(module: str, *libraries: str) -> Iterator[Callable[..., Program]]:
    """Yield a function that starts a program of the module with arguments. Only one may run at a time.

    `libraries` are what the program imports when it runs.
    """
    command = [sys.executable, "-m", "tests.forked", module, *libraries]
    between = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def start(*arguments: object) -> Program:
        between.stdin.write(json.dumps([str(argument) for argument in arguments]).encode() + b"\n")
        return Program(int(between.stdout.readline()), between.stdout)

    with between:
        yield start
        between.stdin.close()
        between.wait(LONG)


def main(module: str, *libraries: str) -> None:
    """Run a program for each line of arguments; print its number, and later how it ended."""
    program = importlib.import_module(module).main
    for library in libraries:
        importlib.import_module(library)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _run(program, json.loads(line))
        print(pid, flush=True)
        # It stays a zombie until the line is written: so nobody who has not read the line kills another process.
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        print(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status, flush=True)
        os.waitpid(pid, 0)


def _run(program: Callable[..., None], arguments: list[str]) -> NoReturn:
    """Be the program. What it prints goes to standard error."""
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.exit(program(*arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
