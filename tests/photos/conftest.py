import pytest
from exiftool import ExifToolHelper

from tests import exiftool


@pytest.fixture(scope="session")
def exiftool_process():
    """One exiftool that stays open: to start it takes longer than to read a photo. It is ended with the session."""
    tool = exiftool.executable()
    if tool is None:
        assert not exiftool.NEEDED, exiftool.MISSING
        pytest.skip(exiftool.MISSING)
    with ExifToolHelper(executable=tool, common_args=[], encoding="utf-8") as process:
        yield process


@pytest.fixture
def run_exiftool(exiftool_process):
    """Return a function that calls exiftool with options, and returns what it prints. It raises if exiftool fails."""
    return exiftool_process.execute
