"""The collections that a plan is asked for: they are those that sets and dicts of the same photos would be."""

import pickle
import random

import pytest

from image_embeddings.documents import FileState
from image_embeddings.indexing.fate import Fate
from image_embeddings.indexing.photo_table import PhotoTable
from image_embeddings.indexing.planned_photos import (
    MOST_HASHES,
    FilesToEncode,
    HashesById,
    IndexedHashes,
    IndexedIds,
    ReplacedPhotos,
)
from image_embeddings.indexing.share import Share
from image_embeddings.sources.source import PhotoFile


def file(image_id, *, size=1):
    return PhotoFile(image_id=image_id, bytes=size, mtime_ns=2)


def state(content_hash="0", *, size=1):
    return FileState(bytes=size, mtime_ns=2, content_hash=content_hash)


def make_table(files=(), indexed=None, replaced=None):
    table = PhotoTable()
    table.read_indexed((indexed or {}).items())
    table.read_replaced((replaced or {}).items())
    table.read_listed(files, reread=False, is_rebuild=replaced is not None)
    return table


@pytest.fixture(scope="module")
def drawn():
    """A table of photos that are gone, left, changed and new, and what went into it."""
    draw = random.Random(0)
    names = [f"{number}.jpg" for number in range(300)]
    indexed = {name: state(draw.choice("abcdefghijklmnopqrstuvw"), size=draw.choice([1, 2])) for name in names[:200]}
    files = [file(name) for name in names[50:]]
    return make_table(files, indexed), indexed, files


def test_photos_of_one_fate_are_a_set(drawn):
    table, indexed, files = drawn
    here = {each.image_id for each in files}
    left = {name for name, each in indexed.items() if each.bytes == 1} & here
    ids = IndexedIds(table, Fate.LEAVE)
    assert ids == left
    assert (list(ids), len(ids), ids & {"60.jpg", "1.jpg"}) == (sorted(left), len(left), left & {"60.jpg"})
    assert [name in ids for name in ("1.jpg", "nowhere", None)] == [False] * 3


def test_photos_of_one_fate_have_their_hashes(drawn):
    table, indexed, _ = drawn
    gone = HashesById(table, Fate.REMOVE)
    assert gone == {f"{number}.jpg": indexed[f"{number}.jpg"].content_hash for number in range(50)}
    with pytest.raises(KeyError):
        gone["60.jpg"]


def test_shares_divide_photos_and_files(drawn):
    table, _, _ = drawn
    shares = [Share(number=number, of=3) for number in (1, 2, 3)]
    for fate in Fate:
        parts = [IndexedIds(table, fate, share=share) for share in shares]
        assert sorted(name for part in parts for name in part) == list(IndexedIds(table, fate))
    parts = [FilesToEncode(table, share=share) for share in shares]
    assert sum(map(len, parts)) == len(FilesToEncode(table))
    assert {each for part in parts for each in part} == set(FilesToEncode(table))
    assert all(share.has(each.image_id) for share, part in zip(shares, parts, strict=True) for each in part)


def test_hashes_that_only_these_photos_have(drawn):
    table, indexed, _ = drawn
    leaving = {name for name in indexed if name[0] in "1357"}
    expected = {indexed[name].content_hash for name in leaving} - {
        each.content_hash for name, each in indexed.items() if name not in leaving
    }
    assert list(IndexedHashes(table).only_of(leaving)) == sorted(expected)
    assert list(IndexedHashes(table).only_of(["1.jpg"])) == []
    assert list(IndexedHashes(make_table([], {"1.jpg": state("x"), "2.jpg": state("y")})).only_of(["1.jpg"])) == ["x"]


def test_files_may_have_the_hashes_of_photos_of_their_size():
    table = make_table([], {"1": state("a", size=1), "2": state("b", size=2), "3": state("c", size=2)})
    hashes = IndexedHashes(table)
    assert ("a" in hashes, "x" in hashes) == (True, False)
    assert hashes.of([file("x", size=2), file("y", size=9)]) == {"b", "c"}
    assert pickle.loads(pickle.dumps(hashes.of([file("x", size=1)]))) == {"a"}


def test_too_many_hashes_to_name_stand_for_all_that_there_are():
    table = make_table([], {str(number): state(f"{number}") for number in range(MOST_HASHES + 1)})
    assert len(IndexedHashes(table).of([file("x", size=9)])) == 0
    hashes = pickle.loads(pickle.dumps(IndexedHashes(table).of([file("x")])))
    assert ("7" in hashes, "nowhere" in hashes) == (True, True)


def test_photos_of_the_replaced_index_are_counted_and_found():
    replaced = {name: state() for name in ("a.jpg", "gone.jpg", "c/1.jpg", "c/d/2.jpg", "c.jpg", "c0.jpg")}
    photos = ReplacedPhotos(make_table([file("a.jpg"), file("c.jpg"), file("new.jpg")], {}, replaced))
    assert photos.count_dropped([]) == 4
    assert photos.count_dropped(["a.jpg", "a.jpg", "gone.jpg", "new.jpg"]) == 5
    assert sorted(photos.find(["a.jpg", "c", "new.jpg"])) == ["a.jpg", "c/1.jpg", "c/d/2.jpg"]
