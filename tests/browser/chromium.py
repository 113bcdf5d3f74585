"""The Chromium for the browser tests: the distribution's."""

import shutil
import subprocess

from tests.waiting import LONG

MISSING = "Chromium is missing, and the tests in tests/browser need it. On Debian: apt-get install chromium"


def executable() -> str | None:
    """Return the path of Chromium if it is installed."""
    return shutil.which("chromium")


def describe() -> str:
    """Return path and version, for pytest's header."""
    path = executable()
    if path is None:
        return f"none: {MISSING}"
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=LONG, check=False).stdout
    return f"{version.strip() or 'of unknown version'} ({path})"
