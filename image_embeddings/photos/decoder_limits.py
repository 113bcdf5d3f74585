"""The limits that a process which decodes sets itself, so that no file can cost more than was reckoned for it."""

from __future__ import annotations

import fcntl
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from image_embeddings.memory_arenas import limit_arenas

SPARE_BYTES = 2**28  # for what is not reckoned: libraries that are loaded, stacks of threads, metadata, copies
_COPIES = 8  # of a file's bytes, at most: some tries to decode it leave out other parts of it
_OOM_SCORE = 800  # of 1,000: if the system runs out of memory, it ends this process before others


def isolate(*, niceness: int) -> None:
    """Prepare this process: it is silent, writes no core dump, goes first if memory is short, and dies with its parent.

    The parent holds the other end of standard input, and writes nothing into it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent ends this process when it has no more use for it
    _silence_libraries()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)
    with suppress(OSError):  # no /proc, or not allowed
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
    limit_arenas()  # their addresses count as memory that is taken
    _die_with_parent()


def _silence_libraries() -> None:
    """Let C libraries write into nothing: their lines name no file. Messages of Python still reach the terminal."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _die_with_parent() -> None:
    """Let the system end this process as soon as the parent's end of standard input is closed.

    It does so even in the midst of a decoder, which would not notice the end of a connection. SIGIO ends a process by
    default. (Linux could also send a signal at the parent's death, but it does so at the death of the thread that has
    started this process.)
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)


@contextmanager
def limit_task(*, file_bytes: int, cpu_seconds: float) -> Iterator[None]:
    """Limit CPU time and memory of this process during the block, until `limit_memory` admits more memory.

    `file_bytes` is the size of the file that is decoded. If the CPU time is spent, the system ends the process.
    """
    used = sum(os.times()[:2])
    _set_soft_limit(resource.RLIMIT_CPU, math.ceil(used + cpu_seconds))
    with limit_memory(_COPIES * file_bytes):
        yield


@contextmanager
def limit_memory(wanted: int) -> Iterator[None]:
    """Limit the memory of this process to what it has now, `wanted` bytes more, and SPARE_BYTES, during the block."""
    before, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken, _ = memory_in_use()
    if taken:
        _set_soft_limit(resource.RLIMIT_AS, taken + wanted + SPARE_BYTES)
    try:
        yield
    finally:
        if taken:
            _set_soft_limit(resource.RLIMIT_AS, before)


def memory_in_use() -> tuple[int, int]:
    """Return the bytes of addresses and of memory that this process uses; zeros if the system does not say it."""
    if not sys.platform.startswith("linux"):
        return 0, 0
    addresses, resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[:2]
    return int(addresses) * resource.getpagesize(), int(resident) * resource.getpagesize()


def _set_soft_limit(kind: int, value: int) -> None:
    """Set the limit, or the highest one that the system allows this process."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY and not 0 <= value <= hard:
        value = hard
    resource.setrlimit(kind, (value, hard))
