import os
import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image

from image_embeddings.errors import IndexMissingError, RequestError, SlowError, UnreachableError
from image_embeddings.es.documents import Documents
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing import pipeline
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import save
from tests.server.indexed import as_an_older_version_made_it
from tests.waiting import LONG

pytestmark = pytest.mark.server


def nearest(index, colour):
    return index.nearest.to_embedding(ColourEncoder().encode_texts([colour])[0], k=1).hits[0].document.image_id


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
    assert index.documents.get("warm/red.png").width == 10


def test_deleted_photos_are_removed_from_the_index(run, index, photos):
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
    assert run.progress.said == f"{len(report.skipped)} skipped"


def test_a_photo_that_became_unreadable_is_removed_from_the_index(run, index, photos):
    run()
    (photos / "warm" / "red.png").write_bytes(b"damaged")
    report = run()
    assert [skipped.image_id for skipped in report.skipped] == ["warm/red.png"]
    assert (report.deleted, index.count()) == (1, 5)


def test_a_photo_that_only_cannot_be_opened_stays(run, index, photos):
    run()
    (photos / "warm" / "red.png").touch()
    work = make_plan(FolderSource(photos), indexed=index.documents.file_states())
    (photos / "warm" / "red.png").unlink()  # between the walk and the reading
    report = carried_out(work, index, photos)
    assert ([skipped.image_id for skipped in report.skipped], report.deleted, index.count()) == (["warm/red.png"], 0, 6)


def carried_out(work, index, photos, encoder=None, stopped=lambda: False, **options):
    return pipeline.run(
        work,
        index=index,
        encoder=encoder or ColourEncoder(),
        thumbnails=Thumbnails(photos.parent / "thumbnails"),
        progress=RecordedProgress(),
        options=IndexOptions(**options),
        stopped=stopped,
    )


def test_an_index_that_is_replaced_meanwhile_gets_no_documents_of_this_run(index, photos):
    class Replacing(ColourEncoder):
        def _embed_images(self, images):
            index.create(model=ColourEncoder(model_id="other").info, vector_index_type="flat")
            return super()._embed_images(images)

    work = make_plan(FolderSource(photos), indexed={})
    with pytest.raises(IndexMissingError):
        carried_out(work, index, photos, encoder=Replacing())
    index.refresh()
    assert (index.count(), index.state().model.model_id) == (0, "other")


def test_batches_have_the_given_size(run):
    run(batch_size=4)
    assert run.encoder.batches == [4, 2]


def test_as_many_batches_are_encoded_at_once_as_the_encoder_asks_for(index, photos):
    together = threading.Barrier(3)  # breaks and fails the run if there are fewer calls at a time

    class Meeting(ColourEncoder):
        def _embed_images(self, images):
            together.wait(LONG)
            return super()._embed_images(images)

    encoder = Meeting(calls=3)
    report = carried_out(make_plan(FolderSource(photos), indexed={}), index, photos, encoder=encoder, batch_size=2)
    assert (report.encoded, encoder.batches) == (6, [2, 2, 2])
    for colour, photo in {"red": "warm/red.png", "blue": "cold/deep/blue.png"}.items():
        assert nearest(index, colour) == photo


def test_photos_are_preprocessed_by_the_threads_that_read_them(index, photos):
    threads = set()

    class Preprocessing(ColourEncoder):
        def preprocess(self, image):
            threads.add(threading.current_thread())
            return image.resize((1, 1))

    report = carried_out(make_plan(FolderSource(photos), indexed={}), index, photos, encoder=Preprocessing())
    assert report.encoded == 6
    assert threading.main_thread() not in threads
    assert nearest(index, "red") == "warm/red.png"


def thumbnails_in(folder):
    return {path.stem for path in (folder / "thumbnails").rglob("*.webp")}


def hashes_in(index):
    return {state.content_hash for state in index.documents.file_states().values()}


def test_thumbnails_that_no_photo_has_any_more_are_removed(run, index, photos, tmp_path):
    run()
    before = thumbnails_in(tmp_path)
    save(photos / "warm" / "red.png", colour="white", size=(10, 10))  # changed
    (photos / "warm" / "yellow.png").unlink()  # gone
    (photos / "cold" / "deep" / "blue.png").rename(photos / "moved.png")
    shutil.copy(photos / "warm" / "magenta.png", photos / "copy.png")
    run()
    (photos / "warm" / "magenta.png").unlink()  # its copy stays
    run()
    assert thumbnails_in(tmp_path) == hashes_in(index)
    assert len(before & thumbnails_in(tmp_path)) == 4


def test_the_thumbnail_of_a_file_that_is_no_photo_any_more_is_removed(run, index, photos, tmp_path):
    run()
    (photos / "warm" / "red.png").write_bytes(b"no photo")
    run()
    assert len(thumbnails_in(tmp_path)) == 5
    assert thumbnails_in(tmp_path) == hashes_in(index)


def test_damaged_thumbnails_of_photos_that_are_read_are_made_anew(run, index, photos, tmp_path):
    run()
    for path in (tmp_path / "thumbnails").rglob("*.webp"):
        path.write_bytes(b"")
    assert list(index.documents.remove(list(index.documents.file_states()), chunk_size=9)) == []
    index.refresh()
    run()
    assert all(path.stat().st_size for path in (tmp_path / "thumbnails").rglob("*.webp"))


def test_thumbnails_are_made_during_the_run(run, index, tmp_path):
    run()
    assert Thumbnails(tmp_path / "thumbnails").path(index.documents.get("warm/red.png").content_hash).is_file()


def test_a_place_is_stored_unless_places_are_switched_off(run, index, photos):
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)})
    save(photos / "placed.jpg", colour="white", exif=exif)
    run()
    assert index.documents.get("placed.jpg").location == (48.0, 2.0)
    os.utime(photos / "placed.jpg", ns=(1, 1))
    run(with_location=False)
    assert index.documents.get("placed.jpg").location is None


def test_an_index_of_an_older_version_is_filled_further(run, index, photos):
    as_an_older_version_made_it(index)
    exif = Image.Exif()
    exif[272] = "Camera"
    save(photos / "shot.jpg", colour="white", exif=exif)
    assert run().skipped == []
    assert index.documents.get("shot.jpg").camera_model == "Camera"


def test_the_index_remembers_its_folder(run, index, photos):
    run()
    assert index.state().corpus == str(photos)


def test_progress_is_noted_in_the_index_while_it_runs_and_cleared_after(run, index, photos):
    seen = []

    class Watching(ColourEncoder):
        def _embed_images(self, images):
            seen.append(index.state().indexing)
            return super()._embed_images(images)

    begun = time.time()
    carried_out(make_plan(FolderSource(photos), indexed={}), index, photos, encoder=Watching())
    assert (seen[0]["done"], seen[0]["total"], seen[0]["stopped"]) == (0, 6, False)
    assert begun - 1 < seen[0]["updated"] <= time.time()
    assert index.state().indexing is None


# Photos that are not encoded again


def test_a_renamed_photo_keeps_its_embedding(run, index, photos):
    run()
    (photos / "warm" / "red.png").rename(photos / "renamed.png")
    report = run()
    assert (report.encoded, report.reused, report.deleted, run.encoder.batches) == (0, 1, 1, [])
    assert nearest(index, "red") == "renamed.png"
    assert index.count() == 6


def test_a_copy_has_a_document_of_its_own(run, index, photos):
    run()
    shutil.copy(photos / "warm" / "red.png", photos / "copy.png")
    assert (run().reused, run.encoder.batches, index.count()) == (1, [], 7)
    assert index.documents.get("copy.png").content_hash == index.documents.get("warm/red.png").content_hash
    np.testing.assert_array_equal(index.documents.embedding("copy.png"), index.documents.embedding("warm/red.png"))


def test_a_photo_that_was_only_touched_is_not_encoded_again(run, index, photos):
    run()
    os.utime(photos / "warm" / "red.png", ns=(5, 5))
    assert (run().reused, run.encoder.batches) == (1, [])
    assert index.documents.get("warm/red.png").mtime_ns == 5
    assert run().unchanged == 6


def test_photos_that_swap_names_swap_their_documents(run, index, photos):
    run()
    red, blue = photos / "warm" / "red.png", photos / "cold" / "deep" / "blue.png"
    red.rename(photos / "kept.png")
    blue.rename(red)
    (photos / "kept.png").rename(blue)
    run()
    assert nearest(index, "red") == "cold/deep/blue.png"
    assert nearest(index, "blue") == "warm/red.png"


# While Elasticsearch is away, and when the user stops it


def with_documents(index, kind):
    """Return the same index, with documents of another class."""

    class Changed(ImageIndex):
        def __init__(self, cluster, *, name, fence=None):
            super().__init__(cluster, name=name, fence=fence)
            self.documents = kind(self._client, fence=fence)

    return Changed(index.cluster, name=index.name)


def test_writing_goes_on_while_the_next_photos_are_encoded(index, photos):
    written, encoded_meanwhile = threading.Event(), []

    class Waiting(ColourEncoder):
        def _embed_images(self, images):
            if self.batches:
                encoded_meanwhile.append(written.wait(LONG))
            return super()._embed_images(images)

    class Telling(Documents):
        def add(self, documents, *, chunk_size):
            yield from super().add(documents, chunk_size=chunk_size)
            written.set()

    work = make_plan(FolderSource(photos), indexed={})
    report = carried_out(work, with_documents(index, Telling), photos, encoder=Waiting(), batch_size=1, chunk_size=1)
    assert (report.encoded, encoded_meanwhile[0]) == (6, True)


@pytest.mark.parametrize(
    "error",
    [UnreachableError("away"), SlowError("slow"), RequestError("no master", status=503), RequestError("", status=429)],
)
def test_a_group_that_elasticsearch_could_not_take_is_sent_again(index, photos, error):
    failures = [error, error]

    class Failing(Documents):
        def add(self, documents, *, chunk_size):
            if failures:
                raise failures.pop()
            return super().add(documents, chunk_size=chunk_size)

    report = carried_out(make_plan(FolderSource(photos), indexed={}), with_documents(index, Failing), photos)
    assert (report.encoded, report.skipped, index.count()) == (6, [], 6)


def test_a_run_that_is_stopped_finishes_the_work_in_hand_and_removes_nothing(run, index, photos):
    run()
    (photos / "warm" / "red.png").unlink()
    for number in range(40):
        save(photos / "more" / f"{number}.png", colour=(number, 0, 0))
    work = make_plan(FolderSource(photos), indexed=index.documents.file_states())
    encoder = ColourEncoder()
    report = carried_out(work, index, photos, encoder=encoder, batch_size=4, stopped=lambda: len(encoder.batches) > 1)
    assert report.stopped
    assert 8 <= report.encoded < 40
    assert (report.encoded, index.count()) == (sum(encoder.batches), 6 + report.encoded)
    said = index.state().indexing
    assert (said["done"], said["total"], said["stopped"]) == (report.indexed, 45, True)
    assert run().encoded == 40 - report.encoded
    assert index.count() == 45
