"""Changes below a folder of photos: the system tells of them where it can, and where it cannot they are looked for."""

from __future__ import annotations

import errno
import logging
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from image_embeddings.errors import CorpusError
from image_embeddings.sources.photo_folder import named_like_a_photo, walk

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

    Hear = Callable[[FileSystemEvent], None]

# What other computers change on these, or the one that a virtual machine runs on, the system does not tell.
_NETWORK = ("nfs", "cifs", "smb", "9p", "afp", "afs", "ceph", "glusterfs", "lustre", "webdav", "fuse.")
_VIRTUAL = ("virtiofs", "vboxsf", "prl_fs", "drvfs", "fakeowner")
_LIMITS = {
    errno.ENOSPC: ("watches no more folders", "fs.inotify.max_user_watches=1048576"),
    errno.EMFILE: ("lets no more programs watch folders", "fs.inotify.max_user_instances=1024"),
}
_LOOKING_TAKES = 10  # at most one part in so many of the time goes into looking through a large folder


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many seconds there are between the steps of watching."""

    quiet: float = 1.5  # without a change, until a folder counts as quiet
    restless: float = 30.0  # with changes all the time, until quiet is waited for no longer
    glance: float = 2.0  # between glances at what is seen at once: whether the folder is still there
    look: float = 10.0  # between looks through the folder, where the system does not tell of changes
    renewal: float = 600.0  # until all counts as changed, and the system is asked anew to tell of changes


class Watcher(Protocol):
    """What has the system tell of changes; watchdog's observers fit."""

    def start(self) -> None:
        """Begins; OSError where the system cannot."""

    def stop(self) -> None:
        """Ends it, also where it could not begin."""


class MakeWatcher(Protocol):
    """Makes a watcher of a folder, and of those below if `recursive`; `hear` is called from a thread of its own."""

    def __call__(self, folder: Path, hear: Hear, *, recursive: bool) -> Watcher:
        """OSError where the system has none to give."""


def observer(folder: Path, hear: Hear, *, recursive: bool) -> Watcher:
    """watchdog's observer for this system, not started.

    Raises:
        OSError: the system has none to give.
    """
    from watchdog import events
    from watchdog.observers import Observer

    class Handler(events.FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            hear(event)

    # What it says itself is of no use to a user: pages on a folder that it met twice, while that was being filled.
    warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    # Not those of reading, which would come in thousands from every walk through the folder.
    unwanted = ("", events.EVENT_TYPE_OPENED, events.EVENT_TYPE_CLOSED_NO_WRITE)
    kinds = [kind for kind in vars(events).values() if getattr(kind, "event_type", "") not in unwanted]
    made = Observer()
    made.schedule(Handler(), str(folder), recursive=recursive, event_filter=kinds)
    return made


class FolderWatch:
    """Tells when something has changed that matters to an indexing run; a context manager.

    What matters: files named like photos, and folders; not what is hidden, nor what is in the folder `leave_out`. Also
    that `folder` goes, comes or is another one, as with a drive, and the file `also`. From time to time everything
    counts as changed, for systems miss things: events come too fast, a drive is mounted somewhere below.
    """

    def __init__(
        self,
        folder: Path,
        *,
        leave_out: Path | None = None,
        also: Path | None = None,
        pace: Pace | None = None,
        notify: Callable[[str], None] = lambda line: None,
        make_watcher: MakeWatcher = observer,
    ) -> None:
        """`notify` gets the line that says why the folder has to be looked through, if so."""
        self.folder = folder
        self._leave_out, self._also = leave_out, also
        self._pace = pace or Pace()
        self._notify = notify
        self._make_watcher = make_watcher
        self._watcher: Watcher | None = None
        self._changed = threading.Event()
        self._why = ""  # the system does not tell, as the user knows by now

    def __enter__(self) -> FolderWatch:
        """Begins: changes from now on are told of."""
        self._begin()
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends it, and its threads."""
        self._end()

    def wait(self, seconds: float = math.inf) -> bool:
        """Whether anything has changed since it was last said; waits for it, but no longer than so many seconds."""
        end = time.monotonic() + seconds
        while True:
            if self._changed.wait(min(self._pace.glance, max(0.0, end - time.monotonic()))):
                self._changed.clear()
                return True
            if self._glance():
                return True
            if time.monotonic() >= end:
                return False

    def settle(self) -> None:
        """Waits until the folder is quiet; not for long where it never is."""
        end = time.monotonic() + self._pace.restless
        while time.monotonic() < end:
            for sign in self._signs:
                sign.due = 0.0
            if not self.wait(self._pace.quiet):
                return

    def _begin(self) -> None:
        """Sees to it, also where that was seen to before, that no change from now on is missed."""
        self._end()
        self._renewal_at = time.monotonic() + self._pace.renewal
        is_there = os.path.isdir(self.folder)  # noqa: PTH112 - Path.is_dir raises where a network drive is away
        self._root = self.folder.resolve() if is_there else self.folder
        left_out = self._leave_out.resolve() if self._leave_out else self._root
        self._left_out = str(left_out) if self._root in left_out.parents else ""
        self._stale = False
        self._place = Sign(lambda: _identity(self.folder))
        self._signs = [Sign(lambda: _stamp(self._also))]
        why = self._watch() if is_there else ""
        if why:
            self._signs.append(Sign(lambda: _photos(self.folder, leave_out=self._leave_out), every=self._pace.look))
        if why and why != self._why:
            self._notify(f"{why} Meanwhile {self.folder} is looked through every {self._pace.look:g} s.")
        self._why = why

    def _end(self) -> None:
        if self._watcher:
            self._watcher.stop()
        self._watcher = None

    # Being told

    def _watch(self) -> str:
        """Has the system tell of changes; if it cannot, says why."""
        shared = shared_drive(self._root, mounts=_mounts())
        if shared:
            return f"What other computers change on such a drive ({shared}), this one is not told."
        try:
            self._watcher = self._make_watcher(self._root, self._hear, recursive=True)
            self._watcher.start()
            self._check_room()
        except OSError as error:
            self._end()
            return _why(error)
        return ""

    def _check_room(self) -> None:
        """Looks whether one more folder could be watched; if not, some below may not be, of which nobody tells.

        Raises:
            OSError: it could not.
        """
        if sys.platform != "linux":
            return
        one_more = None
        try:
            one_more = self._make_watcher(self._root, self._hear, recursive=False)
            one_more.start()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
        finally:
            if one_more:
                one_more.stop()

    def _hear(self, event: FileSystemEvent) -> None:
        """Takes an event, in a thread of the watcher."""
        if event.is_directory and event.event_type == "modified":
            return  # something in it has changed, of which another event tells
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if any(self._matters(path, is_directory=event.is_directory) for path in paths):
            # A watcher may not know what is in a folder that was moved in, and ends with the one it was made for.
            if event.is_directory and (event.event_type != "deleted" or paths == [str(self._root)]):
                self._stale = True
            self._changed.set()

    def _matters(self, path: str, *, is_directory: bool) -> bool:
        hidden = _is_hidden(path, self._root)
        left_out = self._left_out and f"{path}{os.sep}".startswith(f"{self._left_out}{os.sep}")
        return not hidden and not left_out and (is_directory or named_like_a_photo(path))

    # Looking

    def _glance(self) -> bool:
        """Whether something has changed of which no event tells."""
        due = time.monotonic() >= self._renewal_at
        if due or self._stale or self._place.has_changed():
            self._begin()
            return True
        return any(sign.has_changed() for sign in self._signs)


class Sign:
    """Something that is looked at from time to time, by which a change is known."""

    def __init__(self, look: Callable[[], object], *, every: float = 0.0) -> None:
        self._look, self._every = look, every
        self._seen, self.due = look(), time.monotonic() + every

    def has_changed(self) -> bool:
        """Whether it is other than at the last look; False where no look is due."""
        begun = time.monotonic()
        if begun < self.due:
            return False
        before, self._seen = self._seen, self._look()
        now = time.monotonic()
        self.due = now + max(self._every, _LOOKING_TAKES * (now - begun) if self._every else 0.0)
        return self._seen != before


def _why(error: OSError) -> str:
    """Why the system does not tell of changes, and what to do."""
    if error.errno not in _LIMITS:
        return f"The system does not tell of changes ({error.strerror or error})."
    refuses, higher = _LIMITS[error.errno]
    return f"The system {refuses} for this user; to raise its limit: sudo sysctl {higher}."


def _is_hidden(path: Path | str, folder: Path) -> bool:
    """Whether a name on the way from the folder to the path begins with a dot."""
    return f"{os.sep}." in str(path).removeprefix(str(folder))


def _identity(folder: Path) -> tuple[int, int] | None:
    """Tells a folder from another of the same path; None where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stamp(file: Path | None) -> tuple[int, ...] | None:
    """Tells a file from what it was before; None where there is none."""
    try:
        status = file.stat() if file else None
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if status else None


def _photos(folder: Path, *, leave_out: Path | None) -> int:
    """A number that is another one as soon as the photos in the folder are."""
    seen = 0

    def add(*facts: object) -> None:
        nonlocal seen
        seen = hash((seen, facts))

    try:
        for file in walk(folder, skip=add, leave_out=leave_out):
            add(file.image_id, file.bytes, file.mtime_ns)
    except CorpusError as error:
        add(str(error))
    return seen


def _mounts() -> list[tuple[Path, str]]:
    return [(Path(found.mountpoint), found.fstype) for found in psutil.disk_partitions(all=True)]


def shared_drive(folder: Path, *, mounts: Iterable[tuple[Path, str]]) -> str:
    """The kind of a drive in or below `folder` that other computers may write to; empty where there is none.

    `mounts` are places and kinds of file systems, in the order in which they were mounted.
    """
    kind_here, depth = "", -1
    kinds_below = []
    for place, kind in mounts:
        if folder.is_relative_to(place) and len(place.parts) >= depth:
            kind_here, depth = kind, len(place.parts)
        elif folder in place.parents and not _is_hidden(place, folder):
            kinds_below.append(kind)
    return next((kind for kind in (kind_here, *kinds_below) if kind.startswith(_NETWORK + _VIRTUAL)), "")
