"""One process that decodes photos, as the process sees it that has started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from pickle import PickleBuffer
from typing import Any

from image_embeddings.config import ROOT
from image_embeddings.photos import parcels

_MODULE = "image_embeddings.photos.decoder_process"
# The package is found where this process has it, also in a zip file, as in Spark. The present folder does not count.
_START = f"import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('{_MODULE}', None, '__main__', True)"
Lend = Callable[[int], AbstractContextManager[None]]  # holds that many bytes during a block

START_SECONDS = 120.0  # that a new process may take until it is ready
END_SECONDS = 10.0  # that a process may take to end after it has said the last word

NO_ROOM = 75  # the status with which a process ends if it cannot hand over what it has made
# What the two processes say to each other: a tuple of one of these words and of what belongs to it.
READY, DONE, FAILED = "ready", "done", "failed"
WANTS, GIVES_BACK = "wants", "gives back"
GRANTED, REFUSED = "granted", "refused"


class DecoderStartError(Exception):
    """The process cannot get a task: the system does not start it, or has no room for the bytes of the file."""


class DecoderEndedError(Exception):
    """The process has ended by itself before it took the task: it was idle, or had kept too much memory."""


class DecoderKilledError(Exception):
    """The process has ended because the system had too little memory, or because a person ended it."""


class DecoderCrashedError(Exception):
    """The process has crashed."""


class DecoderSlowError(Exception):
    """The task took too long, and the process was ended."""


class RemoteTraceback(Exception):  # noqa: N818 it is no error, but where one comes from
    """The traceback of an error that the process has raised."""

    def __str__(self) -> str:
        """Return it below an empty line, as Python shows it."""
        return f"\n\n{self.args[0]}"


class Decoder:
    """A process that decodes photos, one after the other. It starts at once, and ends with this process."""

    def __init__(self, *, niceness: int = 0, idle_seconds: float | None = None, modules: Sequence[str] = ()) -> None:
        """Start it; the first task waits until it is ready. `modules` are loaded into it; they are for tests.

        It ends if it gets no task for `idle_seconds`; None: never.

        Raises:
            DecoderStartError: the system starts no further process.
        """
        self.is_idle = True  # False while it works, and for good if it could not finish a task
        self._is_ready = self._is_closed = False
        try:
            self._launch(niceness, idle_seconds or 0, modules)
        except OSError as error:
            raise DecoderStartError(error.strerror or str(error)) from error

    def _launch(self, niceness: int, idle_seconds: float, modules: Sequence[str]) -> None:
        with ExitStack() as opened:
            ours, theirs = (opened.enter_context(end) for end in socket.socketpair())
            self._file = parcels.make_file()
            opened.callback(os.close, self._file)
            passed = (theirs.fileno(), self._file)
            numbers = (*passed, niceness, idle_seconds)
            command = [sys.executable, "-c", _START, str(ROOT), *map(str, numbers), _working_folder(), *modules]
            # It never reads its standard input: it ends as soon as our end of it is closed, by whatever. In a session
            # of its own, it does not get the Ctrl-C of a terminal, at which a run finishes the work in hand.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, cwd=ROOT.anchor, pass_fds=passed, start_new_session=True
            )
            opened.pop_all()
            theirs.close()
            self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def run(
        self,
        task: str,
        data: bytes,
        options: dict[str, Any],
        *,
        lend: Lend,
        seconds: float,
        cpu_seconds: float,
    ) -> Any:
        """Return what the task makes of the bytes of a file; raise what it raises.

        `lend` holds memory for the task; what it raises, the task raises. `seconds` do not count while `lend` waits.
        If it is not idle afterwards, it is of no more use.

        Raises:
            DecoderStartError, DecoderEndedError, DecoderKilledError, DecoderCrashedError, DecoderSlowError: it did not
                finish the task.
        """
        self.is_idle = False
        self._wait_until_ready()
        try:
            sizes = parcels.write(self._file, (task, PickleBuffer(data), options))
        except OSError as full:
            raise DecoderStartError(full.strerror or str(full)) from full
        try:
            self._connection.send((sizes, cpu_seconds))
            word, sizes = self._converse(lend, seconds)
        except (EOFError, ConnectionError):
            raise self._end() from None
        value = parcels.read(self._file, sizes)
        self.is_idle = True
        if word == DONE:
            return value
        error, said = value
        raise error from (RemoteTraceback(said) if said else None)

    def _wait_until_ready(self) -> None:
        if self._is_ready:
            return
        if not self._connection.poll(START_SECONDS):
            raise DecoderStartError(f"it takes more than {START_SECONDS:.0f} s")
        try:
            self._connection.recv()
        except (EOFError, ConnectionError):
            raise DecoderStartError(repr(self._end())) from None
        self._is_ready = True

    def _converse(self, lend: Lend, seconds: float) -> tuple[str, list[int]]:
        """Lend memory as the process wants it, until it is done; return its last word."""
        deadline = time.monotonic() + seconds
        with ExitStack() as lent:
            while self._connection.poll(max(0.0, deadline - time.monotonic())):
                word, *rest = self._connection.recv()
                if word == WANTS:
                    asked = time.monotonic()
                    self._connection.send(_lend(lend, rest[0], lent))
                    deadline += time.monotonic() - asked
                elif word == GIVES_BACK:
                    lent.close()
                else:
                    return word, rest[0]
        raise DecoderSlowError

    def _end(self) -> Exception:
        """Return why the process has ended, which has closed its end of the connection."""
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return DecoderCrashedError()
        if status == 0:
            return DecoderEndedError()
        killed = DecoderKilledError()
        return {-signal.SIGKILL: killed, NO_ROOM: killed, -signal.SIGXCPU: DecoderSlowError()}.get(
            status, DecoderCrashedError(f"status {status}")
        )

    def close(self) -> None:
        """End the process, whatever it does, and wait for its end."""
        if self._is_closed:
            return
        self._is_closed = True
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._connection.close()
        os.close(self._file)


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # somebody has removed it
        return str(ROOT)


def _lend(lend: Lend, wanted: int, lent: ExitStack) -> tuple[Any, ...]:
    """Return the answer to a process that wants memory, and hold the memory in `lent`."""
    try:
        lent.enter_context(lend(wanted))
    except Exception as error:  # noqa: BLE001 the task raises it
        return REFUSED, error
    return (GRANTED,)
