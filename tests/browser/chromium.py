"""The Chromium for the browser tests: the distribution's."""

from tests.programs import Program

MISSING = "Chromium is missing, and the tests in tests/browser need it. On Debian: apt-get install chromium"
_PROGRAM = Program(command="chromium", version_option="--version", missing=MISSING)
executable, describe = _PROGRAM.executable, _PROGRAM.describe
