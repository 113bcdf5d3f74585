"""An indexing run is killed: the next one ends as if nothing had happened."""

import random
import subprocess
import time

import pytest

from image_embeddings.es.image_index import ImageIndex
from tests.fakes import ColourEncoder
from tests.forked import forked_programs
from tests.pictures import save
from tests.server.album import contents
from tests.waiting import LONG

pytestmark = pytest.mark.server

PHOTOS = 120
KILLS = 6


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of many colours, some of them copies of others, and one file that is no photo."""
    folder = tmp_path_factory.mktemp("faults")
    for number in range(PHOTOS):
        save(folder / f"{number % 7}" / f"{number}.png", colour=(2 * (number % 100), 255 - number, 90), size=(400, 300))
    (folder / "0" / "no-photo.jpg").write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def begin(elasticsearch_url, photos):
    """Begin a run over the photos, in a process of its own."""
    with forked_programs("tests.server.index_colours", "elasticsearch") as start:
        yield lambda index, folder: start(elasticsearch_url, index.name, photos, folder / "thumbnails")


@pytest.fixture(scope="module")
def undisturbed(begin, cluster, tmp_path_factory):
    """The content of an index after an undisturbed run, and the duration of the run."""
    index = ImageIndex(cluster, name="test-not-killed")
    index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    started = time.monotonic()
    assert begin(index, tmp_path_factory.mktemp("not-killed")).wait(LONG) == 0
    yield contents(index), time.monotonic() - started
    index.drop()


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_any_moment_leaves_the_next_one_a_sound_index(begin, index, tmp_path, undisturbed, seed):
    expected, seconds = undisturbed
    moments = random.Random(seed)
    for _ in range(KILLS):
        process = begin(index, tmp_path)
        try:
            process.wait(moments.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert begin(index, tmp_path).wait(LONG) == 0
    assert contents(index) == expected
    assert index.state().indexing is None
