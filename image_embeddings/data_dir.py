"""DATA_DIR and who may read it: the index and the thumbnails in it show what the photos show."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_OWNER_ONLY = 0o700


def make_data_dir(folder: Path) -> None:
    """Make the folder, for its user alone, if it does not exist. An existing folder stays as it is.

    Raise OSError if it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=_OWNER_ONLY)


def others_may_enter(folder: Path) -> bool:
    """Return whether every user of this machine may enter the folder; False if there is none."""
    if os.name == "nt":  # modes say nothing there
        return False
    try:
        path = folder.resolve(strict=True)
        return all(stat.S_IMODE(each.stat().st_mode) & stat.S_IXOTH for each in (path, *path.parents))
    except OSError:
        return False
