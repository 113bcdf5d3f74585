"""What a metadata file says of photos goes into their documents."""

import pytest

from image_embeddings.indexing import pipeline
from image_embeddings.indexing.writer import IndexOptions
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.metadata_table import read_metadata
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import save

pytestmark = pytest.mark.server


@pytest.fixture
def run(index, photos, tmp_path):
    """Runs the pipeline over `photos`, with a metadata file of these lines."""

    def go(*lines):
        work = pipeline.plan(photos, indexed=index.documents.file_states())
        csv = tmp_path / "photos.csv"
        csv.write_text("\n".join(lines))
        go.encoder = ColourEncoder()
        return pipeline.run(
            work,
            index=index,
            encoder=go.encoder,
            thumbnails=Thumbnails(tmp_path / "thumbnails"),
            progress=RecordedProgress(),
            options=IndexOptions(),
            metadata=read_metadata(csv, image_ids=work.image_ids()) if lines else None,
        )

    return go


def said(index, image_id):
    document = index.documents.get(image_id)
    return document.label, document.caption, dict(document.extra)


def test_new_photos_get_what_the_file_says(run, index):
    run("file,label,caption,album", "warm/red.png,colour,A red one.,first")
    assert said(index, "warm/red.png") == ("colour", "A red one.", {"album": "first"})
    assert said(index, "warm/yellow.png") == (None, None, {})


def test_unchanged_photos_get_it_without_being_encoded_again(run, index):
    run()
    report = run("file,label", "warm/red.png,colour")
    assert (report.unchanged, run.encoder.batches) == (6, [])
    assert said(index, "warm/red.png")[0] == "colour"


def test_it_stays_when_the_photo_changes_or_moves(run, index, photos):
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
