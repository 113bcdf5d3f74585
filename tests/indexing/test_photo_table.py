"""The photos of a source and of an index in one table: as plans in dicts would have them, in little memory."""

import random
import sqlite3
import subprocess
import sys
import threading

import pytest

from image_embeddings.config import ROOT
from image_embeddings.documents import FileState
from image_embeddings.errors import DataDirError
from image_embeddings.indexing.fate import Fate, decide
from image_embeddings.indexing.photo_table import PAGE_ROWS, PhotoTable
from image_embeddings.sources.sidecar_files import SidecarFile
from image_embeddings.sources.source import PhotoFile


def file(image_id, **changes):
    return PhotoFile(**{"image_id": image_id, "bytes": 1, "mtime_ns": 2, **changes})


def state(**changes):
    return FileState(**{"bytes": 1, "mtime_ns": 2, "content_hash": "0", **changes})


def filled(files, indexed, **options):
    table = PhotoTable()
    table.read_indexed(indexed.items())
    table.read_listed(files, **{"reread": False, "is_rebuild": False, **options})
    return table


def fates(table, name="indexed"):
    return {image_id: Fate(fate) for image_id, fate in table.execute(f"SELECT image_id, fate FROM {name}")}


@pytest.mark.parametrize("seed", range(4))
def test_each_photo_has_the_fate_that_is_decided_for_it_alone(seed):
    draw = random.Random(seed)
    names = [f"{draw.choice('äb/Z0')}{number}.jpg" for number in range(3 * PAGE_ROWS)]
    listed = [file(name, bytes=draw.choice([1, 7])) for name in names if draw.random() < 0.7]
    indexed = {name: state(content_hash=name) for name in draw.sample(names, 2 * PAGE_ROWS)}
    table = filled(listed, indexed)
    decided = {each.image_id: decide(each, indexed.get(each.image_id)) for each in listed}
    assert fates(table) == {name: decided.get(name, Fate.REMOVE) for name in indexed}
    assert list(table.files("true")) == [each for each in listed if decided[each.image_id] is not Fate.LEAVE]


def test_a_file_comes_out_as_it_went_in():
    sidecars = (SidecarFile(file="ä.jpg.xmp", bytes=3, mtime_ns=4, ctime_ns=5, etag="e"),)
    odd = file("ä.jpg", mtime_ns=2**70, inode=-(2**63), ctime_ns=-1, etag='"x', sidecars=sidecars)
    assert list(filled([odd, file("b")], {}).files("true")) == [odd, file("b")]


def test_photos_below_a_folder_are_kept_and_no_others():
    names = ["a", "a.jpg", "a/1.jpg", "a/b/2.jpg", "a0.jpg", "a-/3.jpg", "b/a/1.jpg"]
    table = filled([file("a/1.jpg")], {name: state() for name in names})
    table.keep_below("a")
    assert {name for name, fate in fates(table).items() if fate is Fate.KEEP} == {"a/b/2.jpg"}


def test_an_index_that_is_read_again_takes_the_place_of_what_was_read_before():
    table = PhotoTable()

    def broken():
        yield "a.jpg", state()
        raise ConnectionError

    with pytest.raises(ConnectionError):
        table.read_indexed(broken())
    table.read_indexed([("b.jpg", state())])
    assert fates(table) == {"b.jpg": Fate.REMOVE}


def test_a_table_may_change_while_its_pages_are_read():
    names = [f"{number:05}" for number in range(2 * PAGE_ROWS + 1)]
    table = filled([], {name: state() for name in names})
    read = []
    for (name,) in table.pages("SELECT image_id FROM indexed WHERE true"):
        read.append(name)
        table.execute("DELETE FROM indexed WHERE image_id = ?", (name,))
    assert (read, fates(table)) == (names, {})


def test_threads_may_ask_and_add_at_the_same_time():
    table = filled([], {f"{number}": state() for number in range(100)})
    texts = table.make_set(["x"])
    failed = []

    def work(number):
        try:
            for each in range(200):
                texts.add(f"{number}-{each}")
                assert table.states_of(["7", "nowhere"]) == {"7": state()}
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert all(f"{number}-{each}" in texts for number in range(4) for each in range(200))
    assert ("x" in texts, "y" in texts) == (True, False)


def test_a_full_disk_is_named_with_the_remedy():
    table = filled([], {})
    table.execute(f"PRAGMA max_page_count = {table.first('PRAGMA page_count')[0]}")
    with pytest.raises(DataDirError, match=r"database or disk is full.*TMPDIR") as caught:
        table.read_indexed((f"{number}", state()) for number in range(10_000))
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


# A source and an index that name photos without holding them.
MANY = """
import resource, sys
from image_embeddings.documents import FileState
from image_embeddings.indexing import photo_table
from image_embeddings.indexing.plan import make_plan
from image_embeddings.sources.source import PhotoFile

photo_table.CACHE_KIB = 1024  # so that fewer photos than usual are more than the table keeps in memory
number = int(sys.argv[1])
names = lambda: (f"2024/trip {each // 500}/IMG_{each:08}.jpg" for each in range(number))

class Many:
    address = "many"
    def list_photos(self, *, skip, passed):
        return (PhotoFile(image_id=name, bytes=1, mtime_ns=2) for name in names())

def states():
    return ((name, FileState(bytes=1, mtime_ns=2, content_hash=f"{hash(name):032x}")) for name in names())

plan = make_plan(Many(), indexed=states)
assert (len(plan.unchanged), len(plan.to_encode), len(plan.to_delete)) == (number, 0, 0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mib(photos):
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(photos)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
def test_the_memory_of_a_plan_does_not_grow_with_its_photos():
    few, many = peak_mib(30_000), peak_mib(90_000)
    assert many - few < 8  # seen: 0; a dict of their states takes 25
