"""What every place for files does. Modules that import these tests have a fixture `store`."""

import os

import pytest

from image_embeddings.errors import StoreError, StoreMissingError
from image_embeddings.file_stores.folder import FolderStore

DATA = bytes(range(256)) * 4_000


def write(store, name, data=DATA, **options):
    with store.write_whole(name, **options) as file:
        file.write_bytes(data)


def test_a_file_is_listed_read_opened_and_copied(store):
    with store.hold():
        assert store.list_files() == {}
        write(store, "_SUCCESS", b"{}")
        write(store, "img_emb/img_emb_0.npy")
    assert store.list_files() == {"_SUCCESS": 2, "img_emb/img_emb_0.npy": len(DATA)}
    assert store.read("_SUCCESS") == b"{}"
    with store.open("img_emb/img_emb_0.npy") as file:
        assert file.seek(-5, os.SEEK_END) == len(DATA) - 5
        assert file.read() == DATA[-5:]
        file.seek(1000)
        assert file.read(10) == DATA[1000:1010]
    with store.local_copy("img_emb/img_emb_0.npy") as path:
        assert path.read_bytes() == DATA


def write_and_fail(store, name):
    with store.write_whole(name, replace=True) as file:
        file.write_bytes(DATA)
        raise ZeroDivisionError


def test_after_an_error_nothing_is_there_and_what_was_there_stays(store):
    with store.hold():
        write(store, "kept", b"old")
        for name in ("new", "kept"):
            with pytest.raises(ZeroDivisionError):
                write_and_fail(store, name)
    assert store.list_files() == {"kept": 3}
    assert store.read("kept") == b"old"


def test_a_file_is_replaced_only_if_that_is_meant(store):
    with store.hold():
        write(store, "a", b"one")
        write(store, "a", b"another", replace=True)
        assert store.read("a") == b"another"
        if not isinstance(store, FolderStore):  # which has a lock
            with pytest.raises(StoreError, match="Another run has written"):
                write(store, "a", b"third")
            assert store.read("a") == b"another"


def test_a_file_that_is_not_there_is_told(store):
    with store.hold():
        assert store.read("none") is None
        store.remove("none")
        with pytest.raises(StoreMissingError), store.local_copy("none"):
            pass
        with pytest.raises(StoreMissingError), store.open("none"):
            pass


def test_a_file_is_removed(store):
    with store.hold():
        write(store, "a")
        store.remove("a")
        assert store.list_files() == {}
