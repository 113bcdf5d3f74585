"""The rows of a metadata file that are to be written, from run to run."""

from image_embeddings.documents import ImageDocument, PhotoMetadata
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.report import IndexReport
from image_embeddings.sources.skipped import Skipped

ROWS = {"b.png": PhotoMetadata(label="second"), "a.png": PhotoMetadata(label="first")}
UNCHANGED = frozenset({"a.png", "b.png", "c.png"})


def document(image_id):
    return ImageDocument(image_id=image_id, width=1, height=1, bytes=1, mtime_ns=1, content_hash="0")


def after(report, *, rows=ROWS):
    """Return the changes after a first run of that report into the index `one`."""
    return MetadataChanges().next_run(rows, backing_index="one").after(report)


def test_the_row_of_a_photo_goes_into_its_document():
    changes = MetadataChanges(rows=ROWS)
    assert changes.merge_into(document("a.png")).label == "first"
    assert changes.merge_into(document("c.png")) == document("c.png")


def test_a_first_run_writes_all_rows_of_unchanged_photos_sorted():
    rows = MetadataChanges().next_run(ROWS, backing_index="one").select(UNCHANGED)
    assert list(rows.items()) == sorted(ROWS.items())
    assert MetadataChanges(rows=ROWS).select(frozenset({"a.png"})) == {"a.png": ROWS["a.png"]}


def test_the_next_run_writes_only_new_rows():
    rows = ROWS | {"a.png": PhotoMetadata(label="other"), "c.png": PhotoMetadata(label="third")}
    changes = after(IndexReport()).next_run(rows, backing_index="one")
    assert changes.select(UNCHANGED).keys() == {"a.png", "c.png"}


def test_another_index_gets_all_rows_again():
    changes = after(IndexReport()).next_run(ROWS, backing_index="two")
    assert changes.select(UNCHANGED) == ROWS


def test_a_run_that_was_stopped_counts_as_if_nothing_was_written():
    changes = after(IndexReport(stopped=True)).next_run(ROWS, backing_index="one")
    assert changes.select(UNCHANGED) == ROWS


def test_rows_of_skipped_photos_are_written_again():
    report = IndexReport(skipped=[Skipped(image_id="a.png", reason="Elasticsearch refused it")])
    assert after(report).next_run(ROWS, backing_index="one").select(UNCHANGED) == {"a.png": ROWS["a.png"]}


def test_a_photo_that_is_written_again_gets_its_row_again():
    changes = after(IndexReport()).next_run(ROWS, backing_index="one")
    assert changes.merge_into(document("a.png")).label == "first"
