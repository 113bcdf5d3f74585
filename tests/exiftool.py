"""The distribution's exiftool, an independent reader of what photos say of themselves."""

import os
import shutil
import subprocess

MISSING = "exiftool is missing, and tests hold captions against it. On Debian: apt-get install libimage-exiftool-perl"
NEEDED = bool(os.environ.get("CI"))  # a test that does without it would say nothing there


def executable() -> str | None:
    """The path of exiftool, if it is installed."""
    return shutil.which("exiftool")


def describe() -> str:
    """Version and path, for pytest's header."""
    path = executable()
    if path is None:
        return f"none: {MISSING}"
    version = subprocess.run([path, "-ver"], capture_output=True, text=True, timeout=60, check=False).stdout
    return f"{version.strip() or 'of unknown version'} ({path})"
