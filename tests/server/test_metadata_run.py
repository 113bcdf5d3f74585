"""The data of a metadata file goes into the documents of the photos."""

import pytest

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
