"""The changes in folders that the system reports, by watchfiles."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Collection, Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchfiles import Change

    Events = Generator[set[tuple[Change, str]], None, None]

_LIMITS = {
    errno.ENOSPC: ("watches no more folders", "fs.inotify.max_user_watches=1048576"),
    errno.EMFILE: ("lets no more programs watch folders", "fs.inotify.max_user_instances=1024"),
}
_WATCHES_FULL = "OS file watch limit reached"  # the message of watchfiles in place of ENOSPC
_EACH_FOLDER = sys.platform == "linux"  # inotify watches single folders, and watchfiles would follow links to others
ADDED, DELETED = 1, 3  # as `watchfiles.Change` numbers the changes
_STEP_MS = 50  # how long watchfiles collects events


def system_events(folders: Collection[str]) -> Events:
    """Yield the changes in these folders that the system reports, by watchfiles.

    A set comes several times a second; it is empty if nothing has changed. The first set comes as soon as no later
    change can be missed. On Linux each folder has to be named. Elsewhere a folder includes those below it.

    Raises:
        OSError: if the system does not report changes, or stops. Its `errno` names a limit that is reached.
    """
    from watchfiles import watch
    from watchfiles._rust_notify import WatchfilesRustInternalError

    try:
        yield from watch(
            *folders,
            watch_filter=None,
            debounce=_STEP_MS,
            step=_STEP_MS,
            rust_timeout=_STEP_MS,
            yield_on_timeout=True,
            debug=False,
            force_polling=False,
            recursive=not _EACH_FOLDER,
            ignore_permission_denied=False,  # True would also hide that a limit is reached
        )
    except FileNotFoundError:
        raise
    except (OSError, WatchfilesRustInternalError) as error:
        raise _with_number(str(error)) from error


def _with_number(reason: str) -> OSError:
    """Return an error with the errno in the reason, which watchfiles gives only as text."""
    if _WATCHES_FULL in reason:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    number = re.search(r"\(os error (\d+)\)", reason)
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(reason)


def why_unreported(error: OSError | UnicodeError) -> str:
    """Return why the system does not report changes, and the remedy."""
    if isinstance(error, UnicodeError):
        return "The path of the folder is not valid UTF-8, and the system is not asked to tell of its changes."
    if error.errno not in _LIMITS:
        return f"The system does not tell of changes ({error.strerror or error})."
    refuses, higher = _LIMITS[error.errno]
    return f"The system {refuses} for this user; to raise its limit: sudo sysctl {higher}."
