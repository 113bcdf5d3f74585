"""How changes in a folder of photos are noticed: the system reports them, or else the folder is looked through."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from image_embeddings.errors import CorpusError
from image_embeddings.sources.drives import is_hidden, mounted_drives, shared_drive
from image_embeddings.sources.folders import walk_folders
from image_embeddings.sources.left_out import MARKERS, Rules, is_path_left_out
from image_embeddings.sources.names import named_like_a_photo
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.photo_folder import walk
from image_embeddings.sources.sidecar_files import may_be_a_sidecar
from image_embeddings.sources.system_events import ADDED, DELETED, system_events, why_unreported

if TYPE_CHECKING:
    from watchfiles import Change

    from image_embeddings.sources.system_events import Events

_NO_UNICODE = re.compile("[\udc80-\udcff]")  # what Python puts into a name for bytes that are not UTF-8
_LOOKING_TAKES = 10  # looking through a large folder takes at most one tenth of the time


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The times of watching, in seconds."""

    quiet: float = 1.5  # without a change, after which a folder counts as quiet
    restless: float = 30.0  # with changes all the time, after which nobody waits for quiet any longer
    glance: float = 2.0  # between quick checks, such as whether the folder is still there
    look: float = 10.0  # between looks through the whole folder, if the system does not report changes
    renewal: float = 600.0  # after which everything counts as changed, and watching begins again


class FolderWatch:
    """A context manager that waits for changes in `folder` that matter to an indexing run.

    Changes of files with names of photos or sidecars, of folders, and of the files .ignore and .nomedia matter. Changes
    of what is hidden, in the folder `leave_out` or left out by `exclude` and the like do not. It also matters if
    `folder` itself appears, disappears or is replaced, as with a drive, and if the file `also` changes. From time to
    time everything counts as changed, because the system misses some changes: events may come too fast, or a drive may
    be mounted below the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        leave_out: Path | None = None,
        exclude: Sequence[str] = (),
        also: Path | None = None,
        pace: Pace | None = None,
        notify: Callable[[str], None] = lambda line: None,
        make_events: Callable[[Collection[str]], Events] = system_events,
    ) -> None:
        """Watch `folder` with the times of `pace`. `leave_out` and `exclude` are those of `photo_folder.walk`.

        `notify` gets a line with the reason if the folder has to be looked through. `make_events` takes and yields the
        same as `system_events`.
        """
        self.folder = folder
        self._leave_out, self._exclude, self._also = leave_out, exclude, also
        self._pace = pace or Pace()
        self._notify = notify
        self._make_events = make_events
        self._events: Events | None = None
        self._why = ""  # the reason why the system does not report changes, as `notify` got it

    def __enter__(self) -> FolderWatch:
        """Begin to watch: no change from now on is missed."""
        self._begin()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop watching."""
        self._end()

    def wait(self, seconds: float = math.inf) -> bool:
        """Return True as soon as there is a change that was not reported yet, or False if `seconds` pass first."""
        end = time.monotonic() + seconds
        while True:
            if self._glance() or self._hear(end):
                return True
            if time.monotonic() >= end:
                return False

    def settle(self) -> None:
        """Wait until the folder is quiet, but not longer than `Pace.restless`."""
        end = time.monotonic() + self._pace.restless
        while time.monotonic() < end:
            for sign in self._signs:
                sign.due = 0.0
            if not self.wait(self._pace.quiet):
                return

    def _begin(self) -> None:
        """Begin to watch, or begin again, so that no change from now on is missed."""
        self._end()
        self._renewal_at = time.monotonic() + self._pace.renewal
        is_there = os.path.isdir(self.folder)  # noqa: PTH112 - Path.is_dir raises if a network drive is away
        self._root = self.folder.resolve() if is_there else self.folder
        left_out = self._leave_out.resolve() if self._leave_out else self._root
        self._left_out = str(left_out) if self._root in left_out.parents else ""
        self._rules = Rules.at_root(self._root, exclude=self._exclude)
        self._stale = False
        self._place = Sign(lambda: _identity(self.folder), every=self._pace.glance)
        self._signs = [Sign(lambda: _stamp(self._also), every=self._pace.glance)]
        why = self._listen() if is_there else ""
        if why:
            self._signs.append(Sign(self._look_through, every=self._pace.look))
        if why and why != self._why:
            self._notify(f"{why} Meanwhile {self.folder} is looked through every {self._pace.look:g} s.")
        self._why = why

    def _end(self) -> None:
        if self._events:
            self._events.close()
        self._events = None

    # Events of the system

    def _listen(self) -> str:
        """Ask the system to report changes; return the reason if it cannot, else an empty text."""
        shared = shared_drive(self._root, mounts=mounted_drives())
        if shared:
            return f"What other computers change on such a drive ({shared}), this one is not told."
        self._folders = self._find_folders()
        try:
            self._events = self._make_events(self._folders)
            self._any_matters(next(self._events))
        except FileNotFoundError:
            self._stale = True
        except (OSError, UnicodeError) as error:
            self._end()
            return why_unreported(error)
        # A folder that was made while the watch began is not watched yet.
        self._stale = self._stale or self._find_folders() != self._folders
        return ""

    def _find_folders(self) -> set[str]:
        """Return the folder and those below it that can hold photos: no links, and none that cannot be opened.

        Folders whose names are not Unicode are not even opened: the system reports that, and watchfiles would end.
        """
        found = {str(self._root)}
        with suppress(CorpusError):
            for folder, _ in walk_folders(
                self._root,
                skip=lambda skipped: None,
                passed=PassedOver(),
                leave_out=self._leave_out,
                exclude=self._exclude,
                is_entered=lambda path: not _NO_UNICODE.search(path),
            ):
                found.add(str(folder))
        return found

    def _look_through(self) -> int:
        """Return a number that changes if the photos in the folder change."""
        return _photos(self.folder, leave_out=self._leave_out, exclude=self._exclude)

    def _hear(self, end: float) -> bool:
        """Return whether the system reports a change that matters; wait for a moment only, at most until `end`."""
        if not self._events:
            time.sleep(max(0.0, min(self._pace.glance, end - time.monotonic())))
            return False
        try:
            return self._any_matters(next(self._events))
        except OSError:  # a limit, or a name that watchfiles cannot read; its events are lost
            self._stale = True
            return False

    def _any_matters(self, changes: set[tuple[Change, str]]) -> bool:
        """Return whether one of the changes matters; if folders come or go, note that the watch has to begin again."""
        marked = any(self._is_marker(path) for _, path in changes)
        shown = [(change, path) for change, path in changes if not self._is_left_out(path)]
        gone = any(change == DELETED and path in self._folders for change, path in shown)
        came = any(change == ADDED and _is_folder(path) for change, path in shown)
        self._stale = self._stale or gone or came or marked
        return gone or came or marked or any(_may_be_read(path) for _, path in shown)

    def _is_marker(self, path: str) -> bool:
        """Return whether the path is that of a file .ignore or .nomedia in a folder that is watched."""
        folder, name = os.path.split(path)
        return name in MARKERS and folder in self._folders

    def _is_left_out(self, path: str) -> bool:
        """Return whether no photo at this path can be indexed: it is hidden, left out, or not Unicode."""
        if self._left_out and f"{path}{os.sep}".startswith(f"{self._left_out}{os.sep}"):
            return True
        if is_hidden(path, self._root) or _NO_UNICODE.search(path):
            return True
        is_folder = path in self._folders or _is_folder(path)
        return path != str(self._root) and is_path_left_out(path, self._rules, root=self._root, is_folder=is_folder)

    # Looks at the folder

    def _glance(self) -> bool:
        """Return whether something has changed that no event reports."""
        due = time.monotonic() >= self._renewal_at
        if due or self._stale or self._place.has_changed():
            self._begin()
            return True
        return any(sign.has_changed() for sign in self._signs)


class Sign:
    """A value that is read from time to time; another value means a change."""

    def __init__(self, look: Callable[[], object], *, every: float = 0.0) -> None:
        self._look, self._every = look, every
        self._seen, self.due = look(), time.monotonic() + every

    def has_changed(self) -> bool:
        """Return whether the value differs from the last one; False, without reading it, if it is not due yet."""
        begun = time.monotonic()
        if begun < self.due:
            return False
        before, self._seen = self._seen, self._look()
        now = time.monotonic()
        self.due = now + max(self._every, _LOOKING_TAKES * (now - begun) if self._every else 0.0)
        return self._seen != before


def _may_be_read(path: str) -> bool:
    """Return whether the path is that of a photo or a sidecar, by its name."""
    name = os.path.basename(path)  # noqa: PTH119 - the path is a text
    return named_like_a_photo(name) or may_be_a_sidecar(name)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114 - Path.is_dir raises if a drive is away


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what distinguishes a folder from another one at the same path; None if there is no folder."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _stamp(file: Path | None) -> tuple[int, ...] | None:
    """Return values that differ after a change of the file; None if there is no file."""
    try:
        status = file.stat() if file else None
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if status else None


def _photos(folder: Path, *, leave_out: Path | None, exclude: Sequence[str]) -> int:
    """Return a number that changes if the photos in the folder change."""
    seen = 0

    def add(*facts: object) -> None:
        nonlocal seen
        seen = hash((seen, facts))

    try:
        for file in walk(folder, skip=add, leave_out=leave_out, exclude=exclude):
            add(file.image_id, file.bytes, file.mtime_ns, file.ctime_ns, file.sidecar_state)
    except CorpusError as error:
        add(str(error))
    return seen
