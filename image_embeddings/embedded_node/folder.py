"""The folder of the embedded node: who may read it, and the locks that commands and the node hold in it."""

import logging
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from image_embeddings.data_dir import make_data_dir
from image_embeddings.embedded_node import failures
from image_embeddings.embedded_node.state import LOCK_NAME

_RELEASE_SECONDS = 5.0

_log = logging.getLogger(__name__)


@contextmanager
def hold_start_lock(home: Path) -> Iterator[None]:
    """Make the folder, and hold the lock of the one command that starts or stops the node.

    Raise NodeStartError if the folder cannot be used.
    """
    with failures.readable_file_errors(home):
        make_data_dir(home.parent)
        _make_private(home)
        with FileLock(home / "start.lock"):
            yield


def wait_until_released(home: Path) -> None:
    """Wait until no node holds the folder. After a kill, threads keep its files and ports for a moment.

    Return in any case after _RELEASE_SECONDS. If a process still holds the folder, the next start says so.
    """
    with suppress(Timeout), FileLock(home / LOCK_NAME).acquire(timeout=_RELEASE_SECONDS):
        return


def _make_private(home: Path) -> None:
    """Make the folder. Nobody else may read it, because the index tells what is in private photos."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if stat.S_IMODE(home.stat().st_mode) & 0o077:
        try:
            home.chmod(0o700)
        except PermissionError:
            _log.warning("Other users may be able to read %s: its permissions cannot be changed.", home)
