"""Drives that other computers may write to, whose changes this system does not report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

# The system does not report what other computers, or the host of a virtual machine, change on these file systems.
_NETWORK = ("nfs", "cifs", "smb", "9p", "afp", "afs", "ceph", "glusterfs", "lustre", "webdav", "fuse.")
_VIRTUAL = ("virtiofs", "vboxsf", "prl_fs", "drvfs", "fakeowner")


def mounted_drives() -> list[tuple[Path, str]]:
    """Return the mount points and kinds of all file systems, in the order in which they were mounted."""
    return [(Path(found.mountpoint), found.fstype) for found in psutil.disk_partitions(all=True)]


def shared_drive(folder: Path, *, mounts: Iterable[tuple[Path, str]]) -> str:
    """Return the kind of a file system at or below `folder` that other computers may write to; empty if there is none.

    `mounts` holds mount points and kinds of file systems, in the order in which they were mounted.
    """
    kind_here, depth = "", -1
    kinds_below = []
    for place, kind in mounts:
        if folder.is_relative_to(place) and len(place.parts) >= depth:
            kind_here, depth = kind, len(place.parts)
        elif folder in place.parents and not is_hidden(place, folder):
            kinds_below.append(kind)
    return next((kind for kind in (kind_here, *kinds_below) if kind.startswith(_NETWORK + _VIRTUAL)), "")


def is_hidden(path: Path | str, folder: Path) -> bool:
    """Return whether the path, or a folder between `folder` and the path, has a name that begins with a dot."""
    return f"{os.sep}." in str(path).removeprefix(str(folder))
