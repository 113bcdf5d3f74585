"""The Chromium for the browser tests: the distribution's.

The headless shell is the same browser without the windows of a desktop. It needs about two thirds of the CPU time.
"""

from tests.programs import Program

MISSING = (
    "Chromium is missing, and the tests in tests/browser need it. On Debian: apt-get install chromium-headless-shell"
)
_PROGRAM = Program(commands=("chromium-headless-shell", "chromium"), version_option="--version", missing=MISSING)
executable, describe = _PROGRAM.executable, _PROGRAM.describe
