import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from PIL import Image

from image_embeddings import corpus, pipeline
from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.errors import CorpusError, IndexMissingError
from image_embeddings.pipeline import IndexOptions
from image_embeddings.thumbnails import Thumbnails
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import as_nobody, colour_photos, save
from tests.server.test_index import as_an_older_version_made_it

pytestmark = pytest.mark.server


@pytest.fixture
def photos(tmp_path):
    return colour_photos(tmp_path / "photos")


@pytest.fixture
def run(index, photos, tmp_path):
    """Runs the pipeline over `photos`; what it did is in the report, and in `run.encoder`."""

    def go(*, prune=False, **options):
        go.encoder = ColourEncoder()
        work = pipeline.plan(photos, indexed=index.file_states(), prune=prune)
        go.progress = RecordedProgress()
        return pipeline.run(
            work,
            index=index,
            encoder=go.encoder,
            thumbnails=Thumbnails(tmp_path / "thumbnails"),
            progress=go.progress,
            options=IndexOptions(**options),
        )

    return go


def nearest(index, colour):
    return index.near(ColourEncoder().encode_texts([colour])[0], k=1).hits[0].document.image_id


def test_a_first_run_indexes_every_photo(run, index):
    report = run()
    assert (report.found, report.encoded, report.skipped, index.count()) == (6, 6, [], 6)
    assert nearest(index, "cyan") == "cold/deep/cyan.png"


def test_a_second_run_encodes_nothing(run):
    run()
    report = run()
    assert (report.encoded, report.unchanged, run.encoder.batches) == (0, 6, [])


def test_only_new_and_changed_photos_are_encoded(run, index, photos):
    run()
    save(photos / "warm" / "red.png", colour="blue", size=(10, 10))
    save(photos / "new.png", colour="white")
    report = run()
    assert (report.encoded, report.unchanged, index.count()) == (2, 5, 7)
    assert index.get("warm/red.png").width == 10


def test_deleted_photos_go_from_the_index(run, index, photos):
    run()
    shutil.rmtree(photos / "cold")
    assert run().deleted == 3
    assert index.count() == 3


def test_a_file_that_cannot_be_read_never_shifts_the_others_data(run, index, photos):
    for name in ("cold/deep/aaa.png", "cold/deep/dd.png", "warm/aaa.png", "warm/rz.png"):
        (photos / name).write_bytes(b"no photo")
    report = run(batch_size=2, thread_count=3)
    assert sorted(skipped.image_id for skipped in report.skipped) == [
        "cold/deep/aaa.png",
        "cold/deep/dd.png",
        "warm/aaa.png",
        "warm/rz.png",
    ]
    for colour, folder in {"red": "warm", "green": "cold/deep", "cyan": "cold/deep", "magenta": "warm"}.items():
        assert nearest(index, colour) == f"{folder}/{colour}.png"
    assert (report.encoded, run.progress.done) == (6, 10)


def test_a_photo_that_became_unreadable_leaves_the_index(run, index, photos):
    run()
    (photos / "warm" / "red.png").write_bytes(b"damaged")
    report = run()
    assert [skipped.image_id for skipped in report.skipped] == ["warm/red.png"]
    assert (report.deleted, index.count()) == (1, 5)


def test_a_photo_that_can_only_not_be_opened_stays(run, index, photos):
    run()
    (photos / "warm" / "red.png").touch()
    work = pipeline.plan(photos, indexed=index.file_states())
    (photos / "warm" / "red.png").unlink()  # between the walk and the reading
    report = carried_out(work, index, photos)
    assert ([skipped.image_id for skipped in report.skipped], report.deleted, index.count()) == (["warm/red.png"], 0, 6)


def carried_out(work, index, photos, encoder=None):
    return pipeline.run(
        work,
        index=index,
        encoder=encoder or ColourEncoder(),
        thumbnails=Thumbnails(photos.parent / "thumbnails"),
        progress=RecordedProgress(),
        options=IndexOptions(),
    )


def test_an_index_that_is_replaced_meanwhile_gets_nothing_of_this_run(index, photos):
    class Replacing(ColourEncoder):
        def _embed_images(self, images):
            index.create(model=ColourEncoder(model_id="other").info, vector_index_type="flat")
            return super()._embed_images(images)

    work = pipeline.plan(photos, indexed={})
    with pytest.raises(IndexMissingError):
        carried_out(work, index, photos, encoder=Replacing())
    index.refresh()
    assert (index.count(), index.state().model.model_id) == (0, "other")


def test_batches_are_as_large_as_asked(run):
    run(batch_size=4)
    assert run.encoder.batches == [4, 2]


def test_thumbnails_are_made_on_the_way(run, index, tmp_path):
    run()
    assert Thumbnails(tmp_path / "thumbnails").path(index.get("warm/red.png").content_hash).is_file()


def test_a_place_is_stored_unless_it_is_not_wanted(run, index, photos):
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)})
    save(photos / "placed.jpg", colour="white", exif=exif)
    run()
    assert index.get("placed.jpg").location == (48.0, 2.0)
    os.utime(photos / "placed.jpg", ns=(1, 1))
    run(with_location=False)
    assert index.get("placed.jpg").location is None


def test_an_index_of_an_older_version_is_filled_further(run, index, photos):
    as_an_older_version_made_it(index)
    exif = Image.Exif()
    exif[272] = "Camera"
    save(photos / "shot.jpg", colour="white", exif=exif)
    assert run().skipped == []
    assert index.get("shot.jpg").camera_model == "Camera"


def others(count):
    return {f"other/{number}.jpg": None for number in range(count)}


def test_a_folder_that_lacks_most_of_a_large_index_is_questioned(photos):
    indexed = others(pipeline.FREE_TO_DELETE + 1)
    with pytest.raises(CorpusError, match=r"--prune"):
        pipeline.plan(photos, indexed=indexed)
    assert len(pipeline.plan(photos, indexed=indexed, prune=True).to_delete) == len(indexed)


def test_another_folder_than_before_is_questioned_however_small_the_index(photos, tmp_path):
    with pytest.raises(CorpusError, match=r"/my/photos.*INDEX_NAME.*--prune"):
        pipeline.plan(photos, indexed=others(30), corpus_before=Path("/my/photos"))


@pytest.mark.parametrize("before", [None, SAMPLE_PHOTOS, "the same"])
def test_the_same_folder_and_the_sample_photos_may_go(photos, before):
    corpus_before = photos if before == "the same" else before
    assert len(pipeline.plan(photos, indexed=others(30), corpus_before=corpus_before).to_delete) == 30


def test_a_folder_that_moved_with_its_photos_is_no_other(photos):
    indexed = {file.image_id: None for file in corpus.walk(photos, skip=pytest.fail)}
    assert pipeline.plan(photos, indexed=indexed, corpus_before=Path("/moved/from/here")).to_delete == []


def test_an_empty_folder_empties_no_index(tmp_path):
    with pytest.raises(CorpusError, match=r"no photos in .*mounted"):
        pipeline.plan(tmp_path, indexed=others(3))
    assert len(pipeline.plan(tmp_path, indexed=others(3), prune=True).to_delete) == 3


def test_the_index_remembers_its_folder(run, index, photos):
    run()
    assert index.state().corpus == str(photos)


def test_photos_of_a_folder_that_cannot_be_opened_stay():
    with tempfile.TemporaryDirectory() as place, as_nobody(place):
        photos = colour_photos(Path(place) / "photos")
        indexed = {file.image_id: None for file in corpus.walk(photos, skip=pytest.fail)}
        (photos / "cold").chmod(0)
        work = pipeline.plan(photos, indexed=indexed)
        (photos / "cold").chmod(0o755)
    assert [skipped.image_id for skipped in work.report.skipped] == ["cold"]
    assert (work.report.found, work.to_delete) == (3, [])


def test_progress_is_noted_in_the_index_while_it_runs_and_cleared_after(run, index, photos):
    seen = []

    class Watching(ColourEncoder):
        def _embed_images(self, images):
            seen.append(index.state().indexing)
            return super()._embed_images(images)

    carried_out(pipeline.plan(photos, indexed={}), index, photos, encoder=Watching())
    assert (seen[0]["done"], seen[0]["total"]) == (0, 6)
    assert time.time() - seen[0]["updated"] < 60
    assert index.state().indexing is None
