"""Our disk fills up in mid-run: a clear error, nothing broken left behind, and the next run does the rest."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from image_embeddings.photos.thumbnails import Thumbnails
from tests.server.album import contents, run_over
from tests.waiting import LONG

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path):
    """Photos with more and more detail, so the thumbnails of the first are small and those of the last are large."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(60):
        width = 2 * number + 8
        noise = random.Random(number).randbytes(width * 90 * 3)
        Image.frombytes("RGB", (width, 90), noise).save(folder / f"{number:02}.png")
    return folder


def index_in_process(url, index, photos, *faults):
    command = [sys.executable, "-m", "tests.server.index_colours", url, index.name, str(photos)]
    thumbnails = str(photos.parent / "thumbnails")
    return subprocess.run([*command, thumbnails, *faults], cwd=ROOT, capture_output=True, text=True, timeout=LONG)


def test_a_thumbnail_that_cannot_be_written_ends_the_run_and_loses_nothing(elasticsearch_url, index, photos):
    done = index_in_process(elasticsearch_url, index, photos, "tests.photos.full_disk")
    assert done.returncode != 0
    assert "DataDirError: No thumbnail can be written below" in done.stderr.splitlines()[-1]
    assert "Make room there" in done.stderr.splitlines()[-1]
    written = [path for path in photos.parent.glob("thumbnails/**/*") if path.is_file()]
    assert 0 < len(written) < 60
    for path in written:
        assert path.suffix == ".webp"
        Image.open(path).load()  # whole
    report = run_over(photos, index)
    assert (report.indexed, report.skipped) == (60, [])
    thumbnails = Thumbnails(photos.parent / "thumbnails")
    assert all(thumbnails.path(document.content_hash).exists() for document, _ in contents(index).values())
