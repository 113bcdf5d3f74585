"""The locks of an indexing run: one in DATA_DIR for this machine, one in Elasticsearch for all machines.

Runs that share the work have locks of their own in Elasticsearch, and none in DATA_DIR.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import psutil
import tenacity
from filelock import FileLock, Timeout

from image_embeddings.config import Settings
from image_embeddings.data_dir import make_data_dir
from image_embeddings.documents import JSON
from image_embeddings.errors import DataDirError, ElasticsearchError, IndexBusyError, SettingError
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.opening import uses_embedded_node
from image_embeddings.es.retries import PATIENCE_SECONDS, patiently
from image_embeddings.es.run_lock import RENEW_SECONDS, WHOLE, RunLock
from image_embeddings.indexing.last_failure import file_beside_index
from image_embeddings.indexing.share import Share

log = logging.getLogger(__name__)

_under_way: set[str] = set()  # the tokens of the runs of this process that are under way


@contextmanager
def lock_machine(settings: Settings) -> Iterator[None]:
    """Hold the lock that keeps two indexing runs of one machine out of one index.

    Raises:
        IndexBusyError: another run holds it.
        DataDirError: it cannot be written.
    """
    lock, holder = FileLock(file_beside_index(settings, ".lock")), file_beside_index(settings, ".run")
    try:
        make_data_dir(settings.data_dir)
        lock.acquire(timeout=0)
    except Timeout:
        raise IndexBusyError(
            f"Another run is indexing into '{settings.index_name}'{_who(holder)}. Wait for it to end, or choose "
            "another INDEX_NAME."
        ) from None
    except OSError as error:
        raise DataDirError(
            f"The folder {settings.data_dir} cannot be written to ({error.strerror or error}). Set DATA_DIR to one "
            "that this user may write to."
        ) from error
    try:
        with suppress(OSError):  # it is only for messages
            begun = datetime.now(timezone.utc)
            who = f"process {os.getpid()} on {socket.gethostname()}, since {begun:%Y-%m-%d %H:%M:%S} UTC"
            holder.write_text(who, encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    """Return which run holds the lock of this machine, as it has written itself."""
    try:
        return f": {holder.read_text(encoding='utf-8', errors='replace')[:200]}"
    except OSError:  # it has not written it yet, or another user may not read it
        return " just now"


@contextmanager
def lock_index(settings: Settings, index: ImageIndex) -> Iterator[Callable[[], None]]:
    """Hold the lock that keeps the runs of other machines out of the index.

    Yield a function that raises IndexBusyError if another run has taken the lock over: Elasticsearch did not hear of
    this run for some time. No other machine reaches the embedded node, so it needs no such lock.

    Raises:
        IndexBusyError: another run holds it, or runs with a part of the work are under way.
        ElasticsearchError: Elasticsearch does not answer, or refuses it.
    """
    if uses_embedded_node(settings):
        yield lambda: None
        return
    with _run_under_way() as owner:
        lock = _make_lock(index, owner)
        with _hold(lock):
            patiently(lock.check_others)
            yield lock.check


@dataclass(frozen=True, kw_only=True)
class RunLocks:
    """What a run may ask of its locks."""

    check: Callable[[], None]  # raises IndexBusyError if another run has taken the lock over
    alone: Callable[[], AbstractContextManager[None]]  # no other run does anything during the block


def check_takes_parts(settings: Settings) -> None:
    """Raise SettingError if Elasticsearch is the embedded node, which only this machine reaches."""
    if uses_embedded_node(settings):
        raise SettingError(
            "Parts are for several machines, and only this one reaches the embedded node. Set ES_HOST, or leave out "
            "--part: a run uses all cores of its machine in any case."
        )


@contextmanager
def lock_share(index: ImageIndex, share: Share) -> Iterator[RunLocks]:
    """Hold the lock of one part of the work. Other parts may be under way, but no run that has all of the work.

    Raises:
        IndexBusyError: another run has the same part, or all of the work.
        ElasticsearchError: Elasticsearch does not answer, or refuses it.
    """
    with _run_under_way(part=str(share)) as owner:
        lock = _make_lock(index, owner, name=f"part-{share.number}-of-{share.of}")
        with _hold(lock):
            alone = partial(_hold_alone, _make_lock(index, owner))
            with alone():
                pass  # no run that has all of the work is under way, and from now on none begins
            yield RunLocks(check=lock.check, alone=alone)


def _make_lock(index: ImageIndex, owner: JSON, *, name: str = WHOLE) -> RunLock:
    index.cluster.server_version()  # a wrong address is reported at once, and not waited for
    return RunLock(index.cluster, name=index.name, owner=owner, has_ended=has_ended, lock=name)


@contextmanager
def _hold(lock: RunLock) -> Iterator[None]:
    """Hold a lock and renew it."""
    patiently(lock.acquire)
    is_done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lock, is_done), name="keep-lock", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        is_done.set()
        keeper.join()
        try:
            lock.release()
        except ElasticsearchError as error:
            log.warning("The lock of an indexing run could not be released, and ends by itself: %s", error)


@contextmanager
def _hold_alone(lock: RunLock) -> Iterator[None]:
    """Hold the lock of the whole index. If a run with a part of the work holds it, wait: it does so for a moment."""
    acquire = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, IndexBusyError) and bool(error.part)),
        wait=tenacity.wait_random(0.05, 0.5),
        stop=tenacity.stop_after_delay(PATIENCE_SECONDS),
        reraise=True,
    )
    acquire(patiently, lock.acquire)
    try:
        yield
    finally:
        patiently(lock.release)


@contextmanager
def _run_under_way(**more: str) -> Iterator[JSON]:
    """Yield what tells this run from all others. The token of the run counts as under way during the block."""
    owner = this_run() | more
    _under_way.add(owner["token"])
    try:
        yield owner
    finally:
        _under_way.discard(owner["token"])


def _keep(lock: RunLock, is_done: threading.Event) -> None:
    """Renew the lock until the run is done. A failure is no matter here: `check` fails too if the lock is lost."""
    while not is_done.wait(RENEW_SECONDS):
        with suppress(ElasticsearchError, IndexBusyError):
            lock.renew()


def this_run() -> JSON:
    """Return what tells this run from all others of this process, of this machine and elsewhere."""
    process = psutil.Process()
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "started": process.create_time(),
        "place": _place(),
        "token": uuid.uuid4().hex,
    }


def has_ended(owner: JSON) -> bool:
    """Return whether an owner is a run of this machine that is over. Of other machines nobody knows.

    Its process has ended, or it is this one, which could not release the lock because Elasticsearch was away.
    """
    if owner.get("place") != _place():
        return False
    try:
        started = psutil.Process(owner["pid"]).create_time()
    except psutil.NoSuchProcess:
        return True
    is_same_process = abs(started - owner["started"]) <= 1
    return not is_same_process or (owner["pid"] == os.getpid() and owner.get("token") not in _under_way)


def _place() -> str:
    """Return the name of what process ids belong to: this machine since its start, or a container on it."""
    places = [socket.gethostname()]
    with suppress(OSError):
        places.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        places.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(places)
