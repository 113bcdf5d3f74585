"""What every place for files does: a file is there as a whole, or not at all."""

import os
import subprocess
import sys
import tempfile

import fsspec
import pytest

from image_embeddings.config import ROOT, load_settings
from image_embeddings.errors import SettingError, StoreError, StoreUnreachableError
from image_embeddings.file_stores import s3
from image_embeddings.file_stores.choice import store_at
from image_embeddings.file_stores.folder import FolderStore
from image_embeddings.file_stores.fsspec_store import FsspecStore
from image_embeddings.file_stores.s3 import S3Store
from tests.file_stores.contract import (  # noqa: F401
    DATA,
    test_a_file_is_listed_read_opened_and_copied,
    test_a_file_is_removed,
    test_a_file_is_replaced_only_if_that_is_meant,
    test_a_file_that_is_not_there_is_told,
    test_after_an_error_nothing_is_there_and_what_was_there_stays,
    write,
    write_and_fail,
)
from tests.waiting import LONG


@pytest.fixture(params=["folder", "s3", "memory"])
def store(request):
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture
def folder_store(tmp_path):
    return FolderStore(tmp_path / "files")


@pytest.fixture
def memory_store():
    yield FsspecStore("memory://files/out")
    fsspec.filesystem("memory").rm("/", recursive=True)


@pytest.fixture
def s3_store(bucket, s3_server):
    return S3Store(f"s3://{bucket[0]}/files", endpoint=s3_server)


def uploads(bucket):
    name, client = bucket
    return client.list_multipart_uploads(Bucket=name).get("Uploads", [])


# Folders


def test_a_second_run_in_a_folder_is_refused(tmp_path):
    refused = pytest.raises(StoreError, match="Another run writes into")
    with FolderStore(tmp_path / "out").hold(), refused, FolderStore(tmp_path / "out").hold():
        pass
    with FolderStore(tmp_path / "out").hold():
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be written to .*file/out"), FolderStore(tmp_path / "file/out").hold():
        pass


# S3


@pytest.fixture
def small_pieces(monkeypatch):
    """Files of more than 5 MiB, which is the least that stores allow, are sent in pieces."""
    monkeypatch.setattr(s3, "PIECE_BYTES", 5 * 2**20)
    return os.urandom(2 * s3.PIECE_BYTES + 1)


def test_a_large_file_is_sent_in_pieces_and_is_the_same(s3_store, small_pieces, bucket):
    write(s3_store, "large", small_pieces)
    assert s3_store.read("large") == small_pieces
    (found,) = bucket[1].list_objects_v2(Bucket=bucket[0])["Contents"]
    assert found["ETag"].strip('"').endswith("-3")
    with pytest.raises(StoreError, match="Another run has written"):
        write(s3_store, "large", small_pieces[:-1])
    write(s3_store, "large", small_pieces[:-1], replace=True)
    assert s3_store.read("large") == small_pieces[:-1]
    assert uploads(bucket) == []


def test_of_a_file_whose_pieces_cannot_be_sent_nothing_is_left(s3_store, small_pieces, bucket, monkeypatch):
    call = s3_store._call

    def failing(operation, name, **options):
        if options.get("PartNumber") == 2:
            raise StoreUnreachableError("away", passes=True)
        return call(operation, name, **options)

    monkeypatch.setattr(s3_store, "_call", failing)
    with pytest.raises(StoreUnreachableError):
        write(s3_store, "large", small_pieces)
    assert (s3_store.list_files(), uploads(bucket)) == ({}, [])


def test_a_writer_killed_amid_an_upload_leaves_no_file_and_the_next_run_removes_its_pieces(
    s3_store, s3_server, bucket, small_pieces
):
    command = [sys.executable, "-m", "tests.file_stores.write_and_wait", s3_store.address, s3_server]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"sent two pieces\n"
        writer.kill()
        writer.wait(LONG)
    assert (s3_store.list_files(), len(uploads(bucket))) == ({}, 1)
    other = S3Store(f"s3://{bucket[0]}/another", endpoint=s3_server)
    other.remove_unfinished()
    assert len(uploads(bucket)) == 1
    s3_store.remove_unfinished()
    assert uploads(bucket) == []
    write(s3_store, "part-00001.parquet", small_pieces)
    assert s3_store.list_files() == {"part-00001.parquet": len(small_pieces)}


class AskedTwice(S3Store):
    """A store to which the request that writes a file is made again, as if the answer had been lost."""

    def _put(self, *arguments):
        super()._put(*arguments)
        super()._put(*arguments)


def test_a_lost_answer_is_not_taken_for_another_run(s3_store, s3_server):
    write(AskedTwice(s3_store.address, endpoint=s3_server), "a")
    assert s3_store.read("a") == DATA


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(s3_store, monkeypatch):
    monkeypatch.setattr("image_embeddings.file_stores.ranged_file.WINDOW", 400_000)
    write(s3_store, "a", b"1" * 900_000)
    with s3_store.open("a") as file:
        assert file.read(10) == b"1" * 10
        write(s3_store, "a", b"2" * 900_000, replace=True)
        with pytest.raises(StoreError, match="changed"):
            file.read()


def test_a_list_of_many_pages_is_whole_and_of_this_folder_only(s3_store, bucket, monkeypatch):
    ask = s3_store._s3.list_page
    monkeypatch.setattr(s3_store._s3, "list_page", lambda more: ask({**more, "MaxKeys": 10}))
    name, client = bucket
    keys = [f"part-{number:05}.parquet" for number in range(25)]
    for key in (*keys, "folder/"):
        client.put_object(Bucket=name, Key=f"files/{key}", Body=b"x")
    client.put_object(Bucket=name, Key="files-old/a", Body=b"x")
    assert list(s3_store.list_files()) == keys


def test_a_bucket_that_is_not_there_is_named(s3_environ, s3_server):
    with (
        pytest.raises(StoreError, match="There is no bucket no-such"),
        S3Store("s3://no-such/x", endpoint=s3_server).hold(),
    ):
        pass


def test_a_full_disk_for_temporary_files_is_named(s3_store, tmp_path, monkeypatch):
    write(s3_store, "a")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    for use in (lambda: write(s3_store, "b"), lambda: s3_store.local_copy("a").__enter__()):
        with pytest.raises(StoreError, match="set TMPDIR to a folder on a disk with room"):
            use()


# Addresses


@pytest.mark.parametrize(
    ("address", "kind", "place"),
    [
        ("s3://bucket/out", S3Store, "s3://bucket/out"),
        ("gs://bucket/out", FsspecStore, "gs://bucket/out"),
        ("hdfs://me@namenode/out", FsspecStore, "webhdfs://me@namenode:9870/out"),
        ("webhdfs://namenode:14000/out", FsspecStore, "webhdfs://namenode:14000/out"),
    ],
)
def test_the_address_chooses_the_kind(address, kind, place):
    store = store_at(address, load_settings({}))
    assert (type(store), store.address) == (kind, place)


def test_an_address_with_a_password_is_refused_and_not_shown():
    with pytest.raises(SettingError, match="has a password in it") as caught:
        store_at("sftp://me:hunter2@host/out", load_settings({}))
    assert "hunter2" not in str(caught.value)


def test_an_address_without_a_driver_is_named():
    with pytest.raises(SettingError, match=r"no-such-thing://x is no address"):
        FsspecStore("no-such-thing://x").list_files()
