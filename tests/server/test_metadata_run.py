"""The data of a metadata file goes into the documents of the photos."""

import dataclasses
import os
import uuid

import pytest

from image_embeddings.documents import ImageDocument, PhotoMetadata
from image_embeddings.es.mapping import document_body
from tests.fakes import COLOURS, ColourEncoder
from tests.pictures import save

pytestmark = pytest.mark.server


def said(index, image_id):
    document = index.documents.get(image_id)
    return document.label, document.caption, dict(document.extra)


def test_new_photos_get_the_data_of_the_file(run, index):
    run("file,label,caption,album", "warm/red.png,colour,A red one.,first")
    assert said(index, "warm/red.png") == ("colour", "A red one.", {"album": "first"})
    assert said(index, "warm/yellow.png") == (None, None, {})


def test_unchanged_photos_get_the_data_without_being_encoded_again(run, index):
    run()
    report = run("file,label", "warm/red.png,colour")
    assert (report.unchanged, run.encoder.batches) == (6, [])
    assert said(index, "warm/red.png")[0] == "colour"


def test_the_data_stays_if_the_photo_changes_or_moves(run, index, photos):
    run("file,label,album", "warm/red.png,colour,first", "warm/yellow.png,other,second")
    save(photos / "warm" / "red.png", colour="white", size=(9, 9))
    (photos / "warm" / "yellow.png").rename(photos / "moved.png")
    run()
    assert said(index, "warm/red.png") == ("colour", None, {"album": "first"})
    assert said(index, "moved.png") == ("other", None, {"album": "second"})


def test_fields_left_empty_change_nothing(run, index):
    run("file,label,caption", "warm/red.png,colour,A red one.")
    run("file,label,caption", "warm/red.png,,Another.")
    assert said(index, "warm/red.png") == ("colour", "Another.", {})


DERIVED = ("label_words", "extra_words", "columns")


def check_derived(index, image_id):
    """Assert that searches and filters of a photo have all that its document says, and return the document."""
    source = index.cluster.client.get(index=index.name, id=image_id)["_source"]
    document = index.documents.get(image_id)
    expected = document_body(document, vector="")
    assert {name: source.get(name) for name in DERIVED} == {name: expected.get(name) for name in DERIVED}
    return document


def test_filters_find_what_earlier_tables_said(run, index):
    run("file,photographer,rating", "warm/red.png,Ada,5")
    run("file,photographer,rating", "warm/red.png,Ada,")
    run("file,series", "warm/red.png,Zoo")
    assert check_derived(index, "warm/red.png").extra == {"photographer": "Ada", "rating": "5", "series": "Zoo"}


def merged(tables):
    """Return what tables say of a photo, one after another: the simplest model. An empty value says nothing."""
    said = {}
    for table in tables:
        said |= {column: value for column, value in table.items() if value}
    return said


def as_row(table):
    values = dict(table)
    return PhotoMetadata(label=values.pop("label", None), caption=values.pop("caption", None), extra=values)


def test_derived_fields_are_those_of_all_that_tables_say_whatever_their_sequence(index):
    """Tables come one after another, and between them the photo changes or not: into the index, and into a model."""
    hypothesis = pytest.importorskip("hypothesis", reason="hypothesis needs Python 3.11")
    st = hypothesis.strategies
    value = st.sampled_from(["", "Ada", "5", "two words", "a_b", "Zoo"])
    table = st.dictionaries(
        st.sampled_from(["label", "caption", "rating", "series", "photographer"]), value, max_size=4
    )
    vector = ColourEncoder().encode_texts(["red"])[0]

    @hypothesis.settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @hypothesis.given(st.lists(st.tuples(table, st.booleans()), min_size=1, max_size=5))
    def check(steps):
        image_id = f"{uuid.uuid4().hex}.png"
        photo = ImageDocument(
            image_id=image_id, width=1, height=1, bytes=1, mtime_ns=1, content_hash="0" * 32, caption="Own."
        )
        assert list(index.documents.add([(photo, vector)])) == []
        for said, file_changes in steps:
            if file_changes:  # a changed photo is written whole, with the table's words and the row of this run
                kept = photo.with_table_words_of(index.documents.get(image_id))
                assert list(index.documents.add([(as_row(said).merged_into(kept), vector)])) == []
            else:
                assert list(index.documents.describe({image_id: as_row(said)})) == []
        expected = merged(said for said, _ in steps)
        document = check_derived(index, image_id)
        assert (document.label, document.caption) == (expected.pop("label", None), expected.pop("caption", "Own."))
        assert document.extra == expected

    check()


def edit(path, **colour):
    """Write another picture over a photo, of the same size and time."""
    status = path.stat()
    save(path, **colour)
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_picture_of_the_same_size_and_time_is_another_picture(run, index, photos):
    path = save(photos / "a.bmp", colour="red")
    run()
    before = index.documents.get("a.bmp")
    edit(path, colour="blue")
    assert run().encoded == 1
    assert index.documents.get("a.bmp").content_hash != before.content_hash
    assert (run().unchanged, run.encoder.batches) == (7, [])


def test_files_that_were_only_copied_back_are_read_once_and_not_encoded(run, index, photos):
    run()
    for path in photos.rglob("*.png"):
        edit(path, colour=COLOURS[path.stem])
    report = run()
    assert (report.unchanged, report.encoded, report.written, run.encoder.batches) == (6, 0, 0, [])
    red = (photos / "warm" / "red.png").stat()
    assert index.documents.file_states()["warm/red.png"].ctime_ns == red.st_ctime_ns
    assert run.progress.done == 6
    run()
    assert run.progress.done == 0


def test_a_drive_whose_inodes_do_not_last_is_read_once(run, index):
    run()
    documents = [index.documents.get(image_id) for image_id in index.documents.file_states()]
    vector = ColourEncoder().encode_texts(["red"])[0]
    strange = [(dataclasses.replace(document, inode=document.inode + 1), vector) for document in documents]
    assert list(index.documents.add(strange)) == []
    run()
    assert {state.inode for state in index.documents.file_states().values()} == {0}
