"""An index stays in use whatever happens to a later indexing run, and the pages say what happened."""

import time

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import CorpusError
from image_embeddings.indexing.runs import Indexing
from tests.fakes import RecordedProgress
from tests.server.filling import fill
from tests.server.web_client import make_app

pytestmark = pytest.mark.server


@pytest.fixture
def app(index, tmp_path):
    fill(index, tmp_path)
    return make_app(index, tmp_path)


def fail_to_index(index, tmp_path):
    """Fail to index a folder that is not there."""
    settings = load_settings(
        {"ES_HOST": "http://not.asked:9200", "INDEX_NAME": index.name, "DATA_DIR": str(tmp_path / "data")},
        image_dir=tmp_path / "unmounted",
    )
    with pytest.raises(CorpusError):
        Indexing(settings).run(progress=RecordedProgress)


def test_the_pages_show_what_was_indexed_and_why_the_last_run_failed(app, index, tmp_path):
    fail_to_index(index, tmp_path)
    for page in ("/", "/image_search?q=red", "/similar_image?id=warm/red.png"):
        text = app.test_client().get(page).text
        assert "The last indexing run failed" in text
        assert f"There is no folder {tmp_path / 'unmounted'}" in text
        assert "red.png" in text


def test_the_pages_say_nothing_without_a_failure(app):
    assert "The last indexing run failed" not in app.test_client().get("/").text


def note(index, **more):
    """Note in the index that a run has begun."""
    index.note_progress(index.state(), {"done": 0, "total": 9, "updated": time.time(), "stopped": False, **more})


def test_a_run_under_way_is_told_by_the_photos_that_are_found_already(app, index):
    note(index)
    text = app.test_client().get("/").text
    assert "Still indexing: 6 of 9 photos can be found so far." in text
    assert app.test_client().get("/api/v1/status").json["indexing"] == {"done": 0, "total": 9, "alive": True}


def test_a_stopped_run_is_told_by_the_photos_that_it_did(app, index):
    note(index, stopped=True, done=2)
    text = app.test_client().get("/").text
    assert "An indexing run stopped at 2 of 9 photos." in text
    assert "image_embeddings index /path/to/your/photos" in text


def test_a_failure_is_not_told_while_the_next_run_is_under_way(app, index, tmp_path):
    fail_to_index(index, tmp_path)
    note(index)
    assert "The last indexing run failed" not in app.test_client().get("/").text
