"""The distribution's exiftool, an independent reader of the metadata in photos."""

import os

from tests.programs import Program

MISSING = "exiftool is missing, and tests hold captions against it. On Debian: apt-get install libimage-exiftool-perl"
NEEDED = bool(os.environ.get("CI"))  # without exiftool, such a test would check nothing there
_PROGRAM = Program(commands=("exiftool",), version_option="-ver", missing=MISSING)
executable, describe = _PROGRAM.executable, _PROGRAM.describe
