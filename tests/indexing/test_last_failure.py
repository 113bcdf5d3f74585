"""The reason why the last run failed, from the run to the web app; no index."""

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import CorpusError, IndexBusyError
from image_embeddings.indexing.last_failure import MAX_LENGTH, note_errors, note_outcome, read_indexing_failure
from image_embeddings.indexing.report import IndexReport
from image_embeddings.sources.skipped import Skipped


@pytest.fixture
def settings(tmp_path):
    return load_settings({"DATA_DIR": str(tmp_path / "data"), "INDEX_NAME": "photos"})


def fail(settings, error):
    with pytest.raises(type(error)), note_errors(settings):
        raise error


def test_no_failure_is_known_at_first(settings):
    assert read_indexing_failure(settings) == ""


def test_the_reason_of_a_failure_is_kept_until_a_run_succeeds(settings):
    fail(settings, CorpusError("There are no photos in /photos."))
    assert read_indexing_failure(settings) == "There are no photos in /photos."
    note_outcome(settings, IndexReport(found=1, unchanged=1))
    assert read_indexing_failure(settings) == ""


def test_a_run_that_skipped_every_photo_has_failed(settings):
    note_outcome(settings, IndexReport(found=1, skipped=[Skipped(image_id="a.jpg", reason="is empty")]))
    assert read_indexing_failure(settings) == "No photo could be indexed. The first one: 'a.jpg' is empty."


def test_another_run_under_way_is_no_failure(settings):
    fail(settings, IndexBusyError("Another run is indexing."))
    assert read_indexing_failure(settings) == ""


def test_each_index_has_its_own_note(settings, tmp_path):
    fail(settings, CorpusError("gone"))
    other = load_settings({"DATA_DIR": str(tmp_path / "data"), "INDEX_NAME": "others"})
    assert read_indexing_failure(other) == ""


def test_a_note_that_cannot_be_written_hides_no_error(settings, tmp_path):
    (tmp_path / "data").write_text("no folder")
    fail(settings, CorpusError("gone"))
    assert read_indexing_failure(settings) == ""


def test_a_reason_is_shortened(settings):
    fail(settings, CorpusError("x" * 2 * MAX_LENGTH))
    assert len(read_indexing_failure(settings)) == MAX_LENGTH
