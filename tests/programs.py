"""The programs of the distribution that tests need."""

import shutil
import subprocess
from dataclasses import dataclass

from tests.waiting import LONG


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program of the distribution: its commands, the best one first, and what to say if none is installed."""

    commands: tuple[str, ...]
    version_option: str
    missing: str
    before_version: str = ""  # text before the version in the output; empty: the output is the version

    def executable(self) -> str | None:
        """Return the path of the first command that is installed, if any."""
        return next(filter(None, map(shutil.which, self.commands)), None)

    def describe(self) -> str:
        """Return version and path, for pytest's header."""
        path = self.executable()
        if path is None:
            return f"none: {self.missing}"
        done = subprocess.run([path, self.version_option], capture_output=True, text=True, timeout=LONG, check=False)
        version = (done.stdout or done.stderr).strip()
        if self.before_version:
            version = version.partition(self.before_version)[2].partition(" ")[0]
        return f"{version or 'of unknown version'} ({path})"
