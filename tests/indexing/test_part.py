"""The step from files to documents: no index, and threads only if a test says so."""

import dataclasses
import pickle

import numpy as np
import pytest
from PIL import Image

from image_embeddings.documents import ETAG_SINCE, FORMAT, ImageDocument
from image_embeddings.indexing.map_ahead import MapAhead
from image_embeddings.indexing.part import TABLE_CAPTION_SINCE, PhotoReader, encode_batch, make_documents
from image_embeddings.indexing.records import StoredPhoto
from image_embeddings.indexing.report import IndexOptions, Outcome, PhotoOutcome
from image_embeddings.photos.fingerprint import fingerprint
from image_embeddings.photos.photo import content_hash
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from image_embeddings.sources.photo_folder import walk
from tests.fakes import ColourEncoder
from tests.icc_profiles import rgb_profile
from tests.pictures import colour_photos, save
from tests.worded_photos import xmp

EMBEDDING = np.array([1, 0, 0, 0], np.float32)


@pytest.fixture
def photos(tmp_path):
    """A folder of six one-colour photos."""
    return colour_photos(tmp_path / "photos")


@pytest.fixture
def reader(tmp_path):
    """Return a function that makes a reader, for an index with the data that `stored` returns."""

    def make(stored=None, **options):
        return PhotoReader(
            source=FolderSource(tmp_path / "photos"),
            preprocess=ColourEncoder().preprocess,
            thumbnails=Thumbnails(tmp_path / "thumbnails"),
            options=IndexOptions(**options),
            **({"find_stored": lambda photo: stored} if stored else {}),
        )

    return make


def files_of(photos):
    return list(walk(photos, skip=pytest.fail))


def red(photos):
    return next(file for file in files_of(photos) if file.image_id == "warm/red.png")


def document_of(photos, file, **changes):
    """Return the document of a file in the folder `photos` as an index holds it."""
    document = ImageDocument(
        image_id=file.image_id,
        width=64,
        height=48,
        bytes=file.bytes,
        mtime_ns=file.mtime_ns,
        ctime_ns=file.ctime_ns,
        inode=file.inode,
        content_hash=content_hash((photos / file.image_id).read_bytes()),
        label="colour",
        extra={"shelf": "3"},
        location=(48.0, 2.0),
    )
    return dataclasses.replace(document, **changes)


# What becomes of a file


def test_a_new_photo_is_to_be_encoded(reader, photos, tmp_path):
    photo = reader().read(red(photos))
    assert (photo.outcome, photo.document.image_id, photo.document.label) == (Outcome.NEW, "warm/red.png", None)
    assert photo.pixels.getpixel((0, 0)) == (255, 0, 0)
    assert Thumbnails(tmp_path / "thumbnails").path(photo.document.content_hash).is_file()


def test_a_truncated_photo_goes_on_with_what_is_wrong_with_it(reader, photos):
    path = photos / "warm" / "red.png"
    Image.new("RGB", (64, 48), "red").save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-2])
    photo = reader().read(red(photos))
    assert photo.damage == "its end is missing"
    assert encode_batch([photo], encoder=ColourEncoder())[0].damage == photo.damage


def test_a_photo_is_encoded_without_its_profile_for_an_index_that_was_made_so(reader, photos):
    Image.new("RGB", (64, 48), "red").save(photos / "warm" / "red.png", icc_profile=rgb_profile("prophoto"))
    as_now, as_before = (
        dataclasses.replace(reader(), decoding=decoding).read(red(photos)) for decoding in ("decode-2", "decode-1")
    )
    assert as_before.pixels.getpixel((0, 0)) == (255, 0, 0)
    assert as_now.document.preview == as_before.document.preview
    Image.new("RGB", (64, 48), (99, 150, 99)).save(photos / "warm" / "red.png", icc_profile=rgb_profile("prophoto"))
    assert reader().read(red(photos)).pixels.getpixel((0, 0)) != (99, 150, 99)


def test_a_changed_photo_is_to_be_encoded_and_keeps_the_data_of_a_metadata_file(reader, photos):
    older = document_of(photos, red(photos), content_hash="other")
    photo = reader(StoredPhoto(older=older)).read(red(photos))
    assert (photo.outcome, photo.document.label, photo.document.extra) == (Outcome.CHANGED, "colour", {"shelf": "3"})
    assert photo.document.location is None


def test_a_photo_whose_bytes_are_stored_reuses_document_and_embedding(reader, photos, tmp_path):
    stored = document_of(photos, red(photos), image_id="other.png", mtime_ns=5)
    result = reader(StoredPhoto(same_bytes=(stored, EMBEDDING))).read(red(photos))
    assert result.outcome is Outcome.REUSED
    assert result.document == document_of(photos, red(photos))
    assert result.embedding is EMBEDDING
    assert not Thumbnails(tmp_path / "thumbnails").path(stored.content_hash).exists()


def test_a_date_that_only_the_name_says_follows_the_name(reader, photos):
    for stored, expected in (
        ({"image_id": "IMG-20231224-WA0003.png", "taken": "2023-12-24", "taken_by": "name"}, (None, None)),
        (
            {"image_id": "other.png", "taken": "2024-05-01T12:30:00", "taken_by": "exif"},
            ("2024-05-01T12:30:00", "exif"),
        ),
    ):
        same_bytes = (document_of(photos, red(photos), **stored), EMBEDDING)
        document = reader(StoredPhoto(same_bytes=same_bytes)).read(red(photos)).document
        assert (document.image_id, document.taken, document.taken_by) == ("warm/red.png", *expected)


def test_a_place_is_not_reused_if_places_are_switched_off(reader, photos):
    stored = StoredPhoto(same_bytes=(document_of(photos, red(photos), mtime_ns=5), EMBEDDING))
    assert reader(stored, with_location=False).read(red(photos)).document.location is None


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [({}, Outcome.COMPLETED), ({"image_id": "other.png"}, Outcome.REUSED), ({"mtime_ns": 5}, Outcome.REUSED)],
)
def test_a_photo_of_which_an_older_version_stored_less_is_completed(reader, photos, changes, outcome):
    stored = document_of(photos, red(photos), format=TABLE_CAPTION_SINCE - 1, caption="Red.", width=1, **changes)
    result = reader(StoredPhoto(same_bytes=(stored, EMBEDDING))).read(red(photos))
    assert (result.outcome, result.embedding is EMBEDDING) == (outcome, True)
    document = result.document
    assert (document.image_id, document.format, document.width) == ("warm/red.png", FORMAT, 64)
    assert (document.label, document.caption, document.extra) == ("colour", "Red.", {"shelf": "3"})


def test_a_fingerprint_of_an_older_version_is_made_anew_and_a_table_s_caption_stays(reader, photos):
    stored = document_of(
        photos, red(photos), format=ETAG_SINCE - 2, table_caption="Red.", fingerprint="00ff00ff00ff00ff808080"
    )
    result = reader(StoredPhoto(older=stored, same_bytes=(stored, EMBEDDING))).read(red(photos))
    assert (result.outcome, result.embedding is EMBEDDING) == (Outcome.COMPLETED, True)
    with Image.open(photos / "warm" / "red.png") as image:
        assert result.document.fingerprint == fingerprint(image.convert("RGB"))
    assert (result.document.format, result.document.table_caption) == (FORMAT, "Red.")


def read_as_stored(reader, file, *, file_before=None, **changes):
    """Read a file that is indexed with the same bytes; `changes` are of its document."""
    stored = document_of(reader().source.folder, file, **changes)
    return reader(StoredPhoto(older=file_before or stored, same_bytes=(stored, EMBEDDING))).read(file)


def test_a_photo_of_the_same_bytes_with_another_time_of_change_is_unchanged_and_its_new_state_is_stored(reader, photos):
    for changes in ({"ctime_ns": 5}, {"ctime_ns": 5, "inode": 5}, {"ctime_ns": 0}):
        result = read_as_stored(reader, red(photos), **changes)
        assert (result.outcome, result.document) == (Outcome.UNCHANGED, document_of(photos, red(photos)))
        assert result.embedding is EMBEDDING


def test_an_inode_that_changed_alone_is_not_compared_again(reader, photos):
    document = read_as_stored(reader, red(photos), inode=5).document
    assert document == document_of(photos, red(photos), inode=0)


def test_nothing_is_written_if_a_photo_says_what_is_stored(reader, photos):
    file = red(photos)
    first = reader().read(file).document
    stored = StoredPhoto(older=first, same_bytes=(first, EMBEDDING))
    again = dataclasses.replace(reader(stored), reread=True).read(file)
    assert (type(again), again.outcome, again.image_id) == (PhotoOutcome, Outcome.UNCHANGED, "warm/red.png")


def test_what_a_photo_says_is_read_again_on_demand(reader, photos):
    stored = document_of(
        photos, red(photos), table_caption="Red.", caption="Red.", width=1, taken="2001-01-01T00:00:00"
    )
    again = dataclasses.replace(reader(StoredPhoto(older=stored, same_bytes=(stored, EMBEDDING))), reread=True)
    result = again.read(red(photos))
    assert (result.outcome, result.embedding is EMBEDDING) == (Outcome.COMPLETED, True)
    assert (result.document.width, result.document.taken, result.document.location) == (64, None, None)
    assert (result.document.caption, result.document.label, result.document.extra) == ("Red.", "colour", {"shelf": "3"})


# Whose words are whose: what a metadata file said stays with its file


def words_of(document):
    return document.label, document.caption, document.table_caption, dict(document.extra)


TABLE = {"label": "table", "table_caption": "By the table.", "caption": "By the table.", "extra": {"shelf": "9"}}
NO_TABLE = {"label": None, "table_caption": None, "extra": {}}
BY_TABLE = ("table", "By the table.", "By the table.", {"shelf": "9"})


@pytest.mark.parametrize("copied", [TABLE | {"label": "other"}, NO_TABLE | {"caption": None}])
def test_a_file_overwritten_by_a_copy_of_another_photo_keeps_its_own_words(reader, photos, copied):
    file = red(photos)
    copy = document_of(photos, file, image_id="other.png", **copied)
    for own in (TABLE, NO_TABLE):
        older = document_of(photos, file, content_hash="other", **own)
        document = reader(StoredPhoto(older=older, same_bytes=(copy, EMBEDDING))).read(file).document
        assert words_of(document) == (BY_TABLE if own is TABLE else (None, None, None, {}))


def test_a_new_file_of_the_same_bytes_takes_the_words_along(reader, photos):
    copy = document_of(photos, red(photos), image_id="other.png", **TABLE)
    assert words_of(reader(StoredPhoto(same_bytes=(copy, EMBEDDING))).read(red(photos)).document) == BY_TABLE


def test_a_table_goes_before_what_a_photo_says_in_later_runs_too(reader, photos):
    older = document_of(photos, red(photos), content_hash="other", **TABLE)
    photo = reader(StoredPhoto(older=older)).read(red(photos))
    assert words_of(photo.document) == BY_TABLE


@pytest.mark.parametrize(
    ("changes", "caption"),
    [({}, "Red."), ({"label": None, "extra": {}}, "Red."), ({"caption": None}, None)],
)
def test_a_caption_of_an_older_version_that_the_photo_lacks_is_that_of_the_table(reader, photos, changes, caption):
    changes = {"caption": "Red.", "format": TABLE_CAPTION_SINCE - 1, **changes}
    document = read_as_stored(reader, red(photos), **changes).document
    assert (document.caption, document.table_caption) == (caption, caption)


def test_a_caption_of_an_older_version_gives_way_to_the_photos_own_if_no_table_spoke(reader, photos):
    save(photos / "warm" / "red.jpg", colour="red", xmp=xmp(captions={"x-default": "Own."}))
    file = next(file for file in files_of(photos) if file.image_id == "warm/red.jpg")
    told = {"caption": "Of another picture.", "format": TABLE_CAPTION_SINCE - 1}
    document = read_as_stored(reader, file, **told, label=None, extra={}).document
    assert (document.caption, document.table_caption) == ("Own.", None)
    document = read_as_stored(reader, file, **told).document
    assert (document.caption, document.table_caption) == ("Of another picture.", "Of another picture.")


def test_a_file_that_is_no_photo_is_unusable_and_a_file_that_is_gone_is_only_skipped(reader, photos):
    file, path = red(photos), photos / "warm" / "red.png"
    path.write_bytes(b"no photo")
    damaged = reader().read(file)
    path.unlink()
    gone = reader().read(file)
    assert (damaged.image_id, damaged.unusable, damaged.reason[:15]) == ("warm/red.png", True, "is not an image")
    assert (gone.image_id, gone.unusable, gone.reason[:16]) == ("warm/red.png", False, "cannot be opened")


# The whole step


def documents_of(files, reader, *, batch_size=4, **choices):
    """Return the batches of documents, and the skipped files."""
    skipped = []
    batches = make_documents(
        files, reader=reader, encoder=ColourEncoder(), batch_size=batch_size, note=skipped.append, **choices
    )
    return list(batches), skipped


def as_bytes(batches):
    return [(item.document, item.embedding.tobytes(), item.outcome) for batch in batches for item in batch]


def test_photos_come_in_order_and_in_batches_and_no_failure_shifts_the_data_of_others(reader, photos):
    (photos / "cold" / "deep" / "cc.png").write_bytes(b"no photo")
    files = files_of(photos)
    batches, skipped = documents_of(files, reader())
    assert [len(batch) for batch in batches] == [4, 2]
    assert [item.image_id for item in skipped] == ["cold/deep/cc.png"]
    documents = [item for batch in batches for item in batch]
    assert [item.document.image_id for item in documents] == [f.image_id for f in files if "cc" not in f.image_id]
    for item in documents:
        colour = item.document.image_id.rpartition("/")[2].removesuffix(".png")
        np.testing.assert_allclose(item.embedding, ColourEncoder().encode_texts([colour])[0], atol=1e-6)


def test_threads_give_the_same_as_one_after_another(reader, photos):
    threads = {
        "map_reads": MapAhead(threads=3, waiting=6),
        "map_encodes": MapAhead(threads=2, waiting=3),
    }
    alone, _ = documents_of(files_of(photos), reader(), batch_size=1)
    ahead, _ = documents_of(files_of(photos), reader(), batch_size=1, **threads)
    assert as_bytes(ahead) == as_bytes(alone)


def test_the_step_works_in_another_process_after_pickling(reader, photos):
    sent = pickle.dumps((files_of(photos), reader()))
    (photos / "warm" / "red.png").write_bytes(b"no photo")
    files, copy = pickle.loads(sent)
    returned = pickle.loads(pickle.dumps(documents_of(files, copy)))
    batches, skipped = documents_of(files_of(photos), reader())
    assert as_bytes(returned[0]) == as_bytes(batches)
    assert returned[1] == skipped != []


def test_only_photos_without_an_embedding_are_encoded(reader, photos):
    new = reader().read(red(photos))
    stored = reader(StoredPhoto(same_bytes=(document_of(photos, red(photos), mtime_ns=5), EMBEDDING))).read(red(photos))
    encoder = ColourEncoder()
    batch = encode_batch([stored, new, stored], encoder=encoder)
    assert encoder.batches == [1]
    assert [item.outcome for item in batch] == [Outcome.REUSED, Outcome.NEW, Outcome.REUSED]
