"""The plan of a run: a folder compared with the indexed photos; no index."""

import dataclasses
import os
import tempfile
from pathlib import Path

import pytest

from image_embeddings.config import SAMPLE_PHOTOS
from image_embeddings.documents import ETAG_SINCE, FileState
from image_embeddings.errors import CorpusError
from image_embeddings.indexing.plan import FREE_TO_DELETE, make_plan
from image_embeddings.sources import photo_folder
from image_embeddings.sources.folder_source import FolderSource
from image_embeddings.sources.skipped import Skipped
from tests.pictures import as_nobody, colour_photos

SOME_FILE = FileState(bytes=1, mtime_ns=1, content_hash="0")


@pytest.fixture
def photos(tmp_path):
    """A folder of six one-colour photos."""
    return colour_photos(tmp_path / "photos")


def state_of(file):
    return {"bytes": file.bytes, "mtime_ns": file.mtime_ns, "ctime_ns": file.ctime_ns, "inode": file.inode}


def states(photos, **changes):
    """Return the states of these photos in an index; `changes` apply to each of them."""
    return {
        file.image_id: dataclasses.replace(SOME_FILE, **{**state_of(file), **changes})
        for file in photo_folder.walk(photos, skip=pytest.fail)
    }


def test_all_photos_of_a_folder_are_new_to_an_empty_index(photos):
    work = make_plan(FolderSource(photos), indexed={})
    assert (work.found, len(work.to_encode), work.unchanged, work.changed, work.to_delete) == (6, 6, set(), set(), {})


def test_photos_of_the_same_size_and_time_are_left_alone(photos):
    indexed = states(photos)
    work = make_plan(FolderSource(photos), indexed=indexed)
    assert (list(work.to_encode), work.unchanged, set(work.image_ids())) == ([], indexed.keys(), indexed.keys())


@pytest.mark.parametrize(
    "change", [{"bytes": 1}, {"mtime_ns": 1}, {"ctime_ns": 1}, {"inode": 1}, {"etag": "a"}, {"format": ETAG_SINCE - 2}]
)
def test_photos_of_another_size_time_inode_or_format_are_read_again(photos, change):
    indexed = states(photos) | {"warm/red.png": dataclasses.replace(states(photos)["warm/red.png"], **change)}
    work = make_plan(FolderSource(photos), indexed=indexed)
    assert [file.image_id for file in work.to_encode] == ["warm/red.png"]
    assert work.changed == {"warm/red.png"}


def test_documents_of_folders_need_not_be_read_again_for_the_etag(photos):
    """Format 5 added the etag, which files of folders do not have."""
    assert make_plan(FolderSource(photos), indexed=states(photos, format=4)).unchanged == states(photos).keys()
    assert len(make_plan(FolderSource(photos), indexed=states(photos, format=3)).to_encode) == 6
    assert len(make_plan(FolderSource(photos), indexed=states(photos, etag="a")).to_encode) == 6


def test_an_inode_or_time_of_change_that_is_not_known_is_not_compared(photos):
    for unknown in ({"ctime_ns": 0}, {"inode": 0}, {"ctime_ns": 0, "inode": 0}):
        assert len(make_plan(FolderSource(photos), indexed=states(photos, **unknown)).to_encode) == 0


def test_an_edit_that_keeps_size_and_time_is_read_again(photos):
    indexed, path = states(photos), photos / "warm" / "red.png"
    status = path.stat()
    for edit in (path.write_bytes, lambda data: (path.unlink(), path.write_bytes(data))):
        edit(path.read_bytes())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert [file.image_id for file in make_plan(FolderSource(photos), indexed=indexed).to_encode] == [
            "warm/red.png"
        ]


def test_all_photos_are_read_again_on_demand(photos):
    work = make_plan(FolderSource(photos), indexed=states(photos), reread=True)
    assert (len(work.to_encode), work.changed, work.unchanged) == (6, states(photos).keys(), set())


def test_photos_that_became_excluded_are_to_be_deleted_under_the_same_protection(photos):
    indexed = states(photos)
    assert make_plan(FolderSource(photos, exclude=["warm"]), indexed=indexed).to_delete.keys() == {
        "warm/red.png",
        "warm/yellow.png",
        "warm/magenta.png",
    }
    with pytest.raises(CorpusError, match=r"no photos in .*2 files and folders are left out, by EXCLUDE.*--prune"):
        make_plan(FolderSource(photos, exclude=["warm", "cold"]), indexed=indexed)
    assert len(make_plan(FolderSource(photos, exclude=["*"]), indexed=indexed, prune=True).to_delete) == 6
    large = indexed | {f"warm/{number}.png": SOME_FILE for number in range(FREE_TO_DELETE)}
    with pytest.raises(CorpusError, match=r"or does EXCLUDE or a file \.ignore leave too much out\?"):
        make_plan(FolderSource(photos, exclude=["warm"]), indexed=large)


def test_photos_that_are_gone_are_to_be_deleted_with_their_content_hashes(photos):
    work = make_plan(FolderSource(photos), indexed=states(photos) | {"gone.png": SOME_FILE})
    assert work.to_delete == {"gone.png": "0"}


def test_photos_of_the_index_that_is_replaced_are_dropped_or_missing(photos):
    work = make_plan(FolderSource(photos), indexed={}, replaced=states(photos) | {"gone.png": SOME_FILE})
    skipped = [
        Skipped(image_id="warm/red.png", reason="is no image", unusable=True),
        Skipped(image_id="cold", reason="cannot be opened", is_folder=True),
    ]
    assert work.count_dropped([]) == 1
    assert work.count_dropped(skipped) == 2
    assert work.find_missing(skipped) == ["cold/deep/blue.png", "cold/deep/cyan.png", "cold/deep/green.png"]


def others(count):
    return {f"other/{number}.jpg": SOME_FILE for number in range(count)}


def test_a_folder_that_lacks_most_of_a_large_index_is_refused(photos):
    indexed = others(FREE_TO_DELETE + 1)
    with pytest.raises(CorpusError, match=r"--prune"):
        make_plan(FolderSource(photos), indexed=indexed)
    assert len(make_plan(FolderSource(photos), indexed=indexed, prune=True).to_delete) == len(indexed)


def test_another_folder_than_before_is_refused_even_for_a_small_index(photos, tmp_path):
    with pytest.raises(CorpusError, match=r"/my/photos.*INDEX_NAME.*--prune"):
        make_plan(FolderSource(photos), indexed=others(30), corpus_before="/my/photos")


@pytest.mark.parametrize("before", [None, str(SAMPLE_PHOTOS), "the same"])
def test_photos_of_the_same_folder_and_the_sample_photos_may_be_removed(photos, before):
    corpus_before = str(photos) if before == "the same" else before
    assert len(make_plan(FolderSource(photos), indexed=others(30), corpus_before=corpus_before).to_delete) == 30


def test_a_folder_that_moved_with_its_photos_is_the_same_folder(photos):
    indexed = {
        file.image_id: dataclasses.replace(SOME_FILE, bytes=file.bytes, mtime_ns=file.mtime_ns)
        for file in photo_folder.walk(photos, skip=pytest.fail)
    }
    assert make_plan(FolderSource(photos), indexed=indexed, corpus_before="/moved/from/here").to_delete == {}


def test_another_folder_with_photos_of_the_same_names_is_refused_too(photos):
    indexed = {file.image_id: SOME_FILE for file in photo_folder.walk(photos, skip=pytest.fail)}
    with pytest.raises(
        CorpusError, match=r"holds 6 photos, of /my/photos, and most of them, by name and size, are not in"
    ):
        make_plan(FolderSource(photos), indexed=indexed, corpus_before="/my/photos")
    with pytest.raises(CorpusError, match=r"holds 6 photos, of /my/photos"):
        make_plan(FolderSource(photos), indexed={}, replaced=indexed, corpus_before="/my/photos")
    assert len(make_plan(FolderSource(photos), indexed=indexed, corpus_before=str(photos)).to_encode) == 6


def test_an_empty_folder_empties_no_index(tmp_path):
    with pytest.raises(CorpusError, match=r"no photos in .*mounted"):
        make_plan(FolderSource(tmp_path), indexed=others(3))
    assert len(make_plan(FolderSource(tmp_path), indexed=others(3), prune=True).to_delete) == 3


def test_photos_of_a_folder_that_cannot_be_opened_stay():
    with tempfile.TemporaryDirectory() as place, as_nobody(place):
        photos = colour_photos(Path(place) / "photos")
        indexed = {file.image_id: SOME_FILE for file in photo_folder.walk(photos, skip=pytest.fail)}
        (photos / "cold").chmod(0)
        work = make_plan(FolderSource(photos), indexed=indexed)
        (photos / "cold").chmod(0o755)
    assert [skipped.image_id for skipped in work.skipped] == ["cold"]
    assert (work.found, work.to_delete) == (3, {})


def test_contents_that_no_photo_has_after_a_run_are_told(photos):
    found = states(photos)
    hashes = dict(zip(sorted(found), "abcdef", strict=True))
    indexed = {name: dataclasses.replace(state, content_hash=hashes[name]) for name, state in found.items()}
    gone, changed, unread, copied, moved, kept = sorted(found)
    for image_id in (gone, copied, moved):
        (photos / image_id).unlink()
    for image_id in (changed, unread):
        indexed[image_id] = dataclasses.replace(indexed[image_id], mtime_ns=1)
    indexed[copied] = dataclasses.replace(indexed[copied], content_hash=hashes[kept])
    work = make_plan(FolderSource(photos), indexed=indexed)
    assert set(work.obsolete_hashes(read={hashes[moved]}, skipped={unread})) == {hashes[gone], hashes[changed]}
    assert set(work.obsolete_hashes(read=(), skipped=())) == {hashes[name] for name in (gone, changed, unread, moved)}
