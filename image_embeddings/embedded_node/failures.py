"""The reasons why the embedded node does not start: read from the log of its start, or checked before it."""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from image_embeddings.errors import (
    EmbeddedNodeError,
    NodeDataError,
    NodeMemoryError,
    NodePortError,
    NodeStartError,
)

WAY_OUT = "Or set ES_HOST to use an Elasticsearch of your own."
OVERHEAD = 400 * 2**20  # Seen: besides its heap, the process takes 265 MB after it has indexed 20,000 embeddings.
LEAST_DISK = 300 * 2**20  # The node's own low watermark: with less space, it puts no new index on the disk.

_PORT = re.compile(r"BindHttpException|BindTransportException|Address already in use")
_MEMORY = re.compile(
    r"Could not (reserve|allocate)|insufficient memory for the Java Runtime|Cannot allocate memory|OutOfMemoryError"
    r"|Invalid maximum heap size|Too small maximum heap|maximum heap size exceeds"
)
_NEWER = re.compile(r"cannot (downgrade|upgrade) a node from version \[[^\n]*|index created with version[^\n]*")
_DAMAGED = re.compile(r"[^\n]*(CorruptIndexException|CorruptStateException|codec footer mismatch)[^\n]*")
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_CAUSE = re.compile(r"Exception: |Error: |Caused by: |^Error |Another process", re.MULTILINE)


def explain(log: Path, *, home: Path, heap: str, java: str) -> EmbeddedNodeError:
    """Return the error that fits the text of `log`, the output of a start that failed."""
    text = _read(log)
    if _PORT.search(text):
        return NodePortError(f"The embedded node's port was taken while it started. Run the command again. {WAY_OUT}")
    if _MEMORY.search(text):
        return NodeMemoryError(
            f"Java could not get the memory for the embedded node's heap of {heap}. Close other programs, or set "
            f"ES_HEAP to another size (256m to 2g suits most collections). {WAY_OUT} Log: {log}"
        )
    if found := _NEWER.search(text):
        return data_error(home, found.group().strip())
    if found := _DAMAGED.search(text):
        return damaged_error(home, found.group().strip())
    if _FULL.search(text):
        return disk_full(home)
    return NodeStartError(
        f"The embedded Elasticsearch node did not start (Java: {java}). Its last lines:\n{_last_lines(text)}\n"
        f"The whole log: {log}. {WAY_OUT}"
    )


def data_error(home: Path, why: str) -> NodeDataError:
    """Return the error for data that another version of Elasticsearch wrote."""
    return NodeDataError(
        f"The embedded node's data in {home} was written by another version of Elasticsearch: {why}. Use the version "
        f"of this program that wrote it, or delete that folder and index the photos again. {WAY_OUT}"
    )


def damaged_error(home: Path, why: str) -> NodeDataError:
    """Return the error for data that cannot be read."""
    return NodeDataError(
        f"The embedded node's data in {home} is damaged: {why}. Delete that folder and index the photos again (the "
        f"photos themselves are not in it). {WAY_OUT}"
    )


def check_memory(heap: str) -> None:
    """Raise NodeMemoryError if the machine lacks the memory for the heap and the rest of the process."""
    needed = heap_bytes(heap) + OVERHEAD
    available = psutil.virtual_memory().available
    if available < needed:
        raise NodeMemoryError(
            f"The embedded node needs {_megabytes(needed)} of memory (heap of {heap} and {_megabytes(OVERHEAD)} beside "
            f"it), and {_megabytes(available)} are available. Close other programs, or set ES_HEAP to less than "
            f"{heap}. {WAY_OUT}"
        )


def check_disk(home: Path) -> None:
    """Raise NodeStartError if the disk lacks the room that the node needs."""
    if is_disk_full(home):
        raise disk_full(home)


def is_disk_full(home: Path) -> bool:
    """Return whether the disk lacks the room that the node needs."""
    return shutil.disk_usage(home).free < LEAST_DISK


def heap_bytes(heap: str) -> int:
    """Return the size of a heap in bytes, such as 1073741824 for 1g."""
    return int(heap[:-1]) * {"m": 2**20, "g": 2**30}[heap[-1].lower()]


@contextmanager
def readable_file_errors(home: Path) -> Iterator[None]:
    """Turn a failure to read or write the node's folder into a NodeStartError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(home) from error
        raise NodeStartError(
            f"The embedded node's folder {home} cannot be used: {error.strerror or error} ({error.filename or home}). "
            f"Make it writable for you, or set DATA_DIR to a folder that is. {WAY_OUT}"
        ) from error


def disk_full(home: Path) -> NodeStartError:
    """Return the error for a disk that lacks the room that the node needs."""
    return NodeStartError(
        f"The disk of the embedded node's folder {home} is full: it needs {_megabytes(LEAST_DISK)} free. Free some "
        "space (thumbnails below DATA_DIR are made anew as they are needed), or set DATA_DIR to a folder on another "
        f"disk. {WAY_OUT}"
    )


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""


def _last_lines(text: str) -> str:
    """Return the last lines that name a cause, or the last of all lines if none does.

    The end of a Java stack trace seldom names the cause.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "  (none: it was killed, perhaps for want of memory)"
    causes = [line for line in lines if _CAUSE.search(line)]
    return "\n".join(f"  {line.strip()[:300]}" for line in (causes or lines)[-5:])


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MB"
