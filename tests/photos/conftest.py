import subprocess

import pytest

from tests import exiftool
from tests.waiting import LONG


@pytest.fixture
def run_exiftool():
    """Return a function that calls exiftool, and returns what it prints."""
    tool = exiftool.executable()
    if tool is None:
        assert not exiftool.NEEDED, exiftool.MISSING
        pytest.skip(exiftool.MISSING)
    return lambda *flags: subprocess.run([tool, *flags], check=True, capture_output=True, timeout=LONG).stdout
