"""The distribution's exiftool, an independent reader of the metadata in photos."""

import os
import shutil
import subprocess

from tests.waiting import LONG

MISSING = "exiftool is missing, and tests hold captions against it. On Debian: apt-get install libimage-exiftool-perl"
NEEDED = bool(os.environ.get("CI"))  # without exiftool, such a test would check nothing there


def executable() -> str | None:
    """Return the path of exiftool if it is installed."""
    return shutil.which("exiftool")


def describe() -> str:
    """Return version and path, for pytest's header."""
    path = executable()
    if path is None:
        return f"none: {MISSING}"
    version = subprocess.run([path, "-ver"], capture_output=True, text=True, timeout=LONG, check=False).stdout
    return f"{version.strip() or 'of unknown version'} ({path})"
