"""Photos in S3, on a real server on loopback."""

import os
import pickle
import subprocess
import sys
from datetime import datetime, timezone

import pytest

from image_embeddings.config import ROOT, load_settings
from image_embeddings.errors import (
    CorpusError,
    ImageTooLargeError,
    SettingError,
    SourceUnreachableError,
    StoreError,
    StoreUnreachableError,
)
from image_embeddings.file_stores.s3_connection import S3Connection
from image_embeddings.sources import reading, s3_listing
from image_embeddings.sources.choice import source_of
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.photo_folder import walk
from image_embeddings.sources.s3 import S3Source
from tests.worded_photos import xmp


@pytest.fixture
def put(bucket):
    """Puts objects with these keys into the bucket."""
    name, client = bucket

    def put(*keys, data=b"x"):
        for key in keys:
            client.put_object(Bucket=name, Key=key, Body=data)

    return put


@pytest.fixture
def source(bucket, s3_server):
    """Returns the bucket, or a part of it, as a source."""

    def make(prefix="", **options):
        return S3Source(f"s3://{bucket[0]}{prefix}", endpoint=s3_server, **options)

    return make


def listed(source):
    """Return the image_ids, the reasons of what is skipped, and what is passed over."""
    skipped, passed = [], PassedOver()
    found = [file.image_id for file in source.list_photos(skip=skipped.append, passed=passed)]
    return found, {item.image_id: item.reason for item in skipped}, passed


def only_photo(source):
    (file,) = source.list_photos(skip=pytest.fail, passed=PassedOver())
    return file


# Lists


@pytest.fixture(params=[s3_listing.KEYS_AT_ONCE, 3, 0])
def keys_at_once(request, monkeypatch):
    """Lists the whole bucket at once, or small trees of folders at once, or each folder by itself."""
    monkeypatch.setattr(s3_listing, "KEYS_AT_ONCE", request.param)


def test_photos_are_listed_with_size_time_and_etag(source, put, bucket):
    put("photos/a.jpg", data=b"abc")
    file, (name, client) = only_photo(source("/photos")), bucket
    told = client.head_object(Bucket=name, Key="photos/a.jpg")
    assert (file.image_id, file.bytes, f'"{file.etag}"') == ("a.jpg", 3, told["ETag"])
    assert datetime.fromtimestamp(file.mtime_ns / 1e9, timezone.utc) == told["LastModified"]
    assert file.version == file.etag


def test_the_same_files_are_photos_sidecars_and_others_as_in_a_folder(keys_at_once, source, bucket, tmp_path):
    names = ["a.jpg", "a.jpg.xmp", "b/c.PNG", "b/c.xmp", "b/d/e.heic", "b/d.jpg", "b/f.jpg.json", "notes.txt", "README"]
    names += [".hidden.jpg", "b/.trash/x.jpg", "@eaDir/a.jpg", "#recycle/b.jpg", "out/x.jpg", "b/g.JXL", "c/.nomedia"]
    names += [
        "c/h.jpg",
        "c/d/i.jpg",
        "My.photoslibrary/originals/j.jpg",
        "My.photoslibrary/derivatives/j.jpg",
        "k+ü &#?.jpg",
    ]
    names += [
        "ignored/.ignore",
        "ignored/l.jpg",
        "ignored/m.jpg",
        "z/日本語/写真.jpg",
        "line\u2028break.jpg",
        "quo\"te'.jpg",
    ]
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"l.*\n" if name.endswith(".ignore") else b"x")
        bucket[1].put_object(Bucket=bucket[0], Key=f"p/{name}", Body=path.read_bytes())
    skipped, passed = [], PassedOver()
    folder = {
        file.image_id: [sidecar.file for sidecar in file.sidecars]
        for file in walk(tmp_path / "photos", skip=skipped.append, passed=passed, exclude=["out"])
    }
    store, store_passed, store_skipped = source("/p", exclude=["out"]), PassedOver(), []
    files = list(store.list_photos(skip=store_skipped.append, passed=store_passed))
    assert {file.image_id: [sidecar.file for sidecar in file.sidecars] for file in files} == folder
    assert [file.image_id for file in files] == list(folder)
    assert (store_skipped, store_passed) == (skipped, passed)
    assert "b/g.JXL" in {item.image_id for item in skipped}


def test_keys_that_are_no_paths_are_skipped_with_the_reason(keys_at_once, source, put):
    put("good.jpg", "a//b.jpg", "a/../c.jpg", "./d.jpg", "/e.jpg", "f.jpg/", "folder/", "a//notes.txt", "g\t.jpg")
    put("x" * 600 + ".jpg")
    found, skipped, passed = listed(source())
    assert found == ["good.jpg"]
    odd = {"a//b.jpg", "a/../c.jpg", "./d.jpg", "/e.jpg", "f.jpg/"}
    assert odd <= skipped.keys()
    assert all(skipped[key].startswith("its key has an empty part") for key in odd)
    assert skipped["g\t.jpg"].startswith("its name has the control character")
    assert skipped["x" * 600 + ".jpg"].startswith("its path takes 604 bytes, 512 at most")
    assert (len(skipped), passed.other_files) == (7, {".txt": 1})


def test_a_key_may_be_a_photo_and_the_folder_of_others(keys_at_once, source, put):
    put("a.jpg", "a.jpg/b.jpg")
    assert listed(source())[0] == ["a.jpg", "a.jpg/b.jpg"]


def test_a_prefix_is_a_folder_and_no_beginning_of_names(keys_at_once, source, put):
    put("photos/a.jpg", "photos-old/b.jpg", "photos.jpg")
    assert listed(source("/photos"))[0] == ["a.jpg"]


def test_a_list_of_many_pages_is_whole(keys_at_once, source, put, monkeypatch):
    sizes, list_page = [], S3Connection.list_page

    def list_short_page(self, options):
        page = list_page(self, {**options, "MaxKeys": 10})
        sizes.append(page["KeyCount"])
        return page

    monkeypatch.setattr(S3Connection, "list_page", list_short_page)
    keys = [f"{number % 3}/{number}.jpg" for number in range(43)]
    put(*keys)
    assert sorted(listed(source())[0]) == sorted(keys)
    assert max(sizes) == 10


# Reading


def test_a_photo_is_read_with_its_sidecars(source, put):
    said = xmp(captions={"x-default": "Sea"})
    put("a.jpg", data=b"photo")
    put("a.jpg.xmp", data=said)
    file = only_photo(source())
    content = source().read(file)
    assert (content.data, content.etag, content.mtime_ns) == (b"photo", file.etag, file.mtime_ns)
    assert [(sidecar.file, sidecar.data) for sidecar in content.sidecars] == [("a.jpg.xmp", said)]
    assert content.sidecar_state == file.sidecar_state


def test_the_state_of_sidecars_differs_after_a_change_within_a_second(source, put):
    put("a.jpg", "a.jpg.xmp")
    before = only_photo(source()).sidecar_state
    put("a.jpg.xmp", data=b"y")
    assert only_photo(source()).sidecar_state != before


@pytest.mark.parametrize("data", [b"y", b"xx", b""])
def test_a_photo_that_changes_between_list_and_read_is_left_for_the_next_run(source, put, data):
    put("a.jpg")
    file = only_photo(source())
    put("a.jpg", data=data)
    with pytest.raises(CorpusError, match=r"^a\.jpg changed while it was read: index again"):
        source().read(file)
    assert source().read(only_photo(source())).data == data


def test_a_photo_that_is_gone_is_named(source, put, bucket):
    put("a.jpg")
    file = only_photo(source())
    bucket[1].delete_object(Bucket=bucket[0], Key="a.jpg")
    with pytest.raises(CorpusError, match=r"^a\.jpg cannot be opened \(not found\): it is gone"):
        source().read(file)
    assert source().find("a.jpg") is None


def test_an_object_larger_than_any_photo_is_not_fetched(source, put, monkeypatch):
    put("film.jpg", data=b"xxx")
    monkeypatch.setattr("image_embeddings.sources.remote_source.MAX_FILE_BYTES", 2)
    assert reading.MAX_FILE_BYTES > 2
    with pytest.raises(ImageTooLargeError, match="Make it smaller"):
        source().read(only_photo(source()))


# Finding and opening


@pytest.mark.parametrize(
    "image_id", ["", "/a.jpg", "../a.jpg", "x/../a.jpg", "./a.jpg", "b//c.jpg", "nul\0.jpg", "none.jpg"]
)
def test_only_plain_paths_below_the_prefix_are_found(source, put, image_id):
    put("a.jpg", "photos/b.jpg", "photos/b//c.jpg")
    assert source("/photos").find(image_id) is None


def test_a_photo_is_opened_and_fetched_in_parts(source, put, monkeypatch):
    monkeypatch.setattr("image_embeddings.file_stores.ranged_file.WINDOW", 400_000)
    data = os.urandom(1_000_000)
    put("photos/a.jpg", data=data)
    store = source("/photos")
    file = store.find("a.jpg")
    assert file == only_photo(store)
    with store.open(file) as content:
        assert content.read(16) == data[:16]
        assert content.seek(0) == 0
        assert content.read() == data
        content.seek(-5, os.SEEK_END)
        assert (content.read(), content.read()) == (data[-5:], b"")
        content.seek(999_000)
        assert content.read(10) == data[999_000:999_010]


def test_a_photo_that_changes_while_it_is_served_is_not_mixed_with_the_new_one(source, put, monkeypatch):
    monkeypatch.setattr("image_embeddings.file_stores.ranged_file.WINDOW", 300_000)
    put("a.jpg", data=b"1" * 900_000)
    store = source()
    with store.open(store.find("a.jpg")) as content:
        assert content.read(10) == b"1" * 10
        put("a.jpg", data=b"2" * 900_000)
        with pytest.raises(CorpusError, match="changed"):
            content.read()


# Errors


def test_a_bucket_that_is_not_there_is_named_with_the_setting(s3_environ, s3_server):
    store = S3Source("s3://no-such-bucket/photos", endpoint=s3_server)
    for call in (store.check, lambda: listed(store)):
        with pytest.raises(CorpusError, match=r"There is no bucket no-such-bucket .*S3_ENDPOINT"):
            call()


def test_a_store_that_does_not_answer_is_named_and_waiting_may_help(s3_environ):
    store = S3Source("s3://bucket", endpoint="http://127.0.0.1:9")
    with pytest.raises(
        SourceUnreachableError, match=r"does not answer \(EndpointConnectionError\).*127\.0\.0\.1:9.*S3_ENDPOINT"
    ) as caught:
        store.check()
    assert caught.value.passes


def test_missing_credentials_are_told_from_a_missing_bucket(s3_server, s3_environ, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceUnreachableError, match=r"no credentials for s3://bucket.*AWS_ACCESS_KEY_ID"):
        S3Source("s3://bucket", endpoint=s3_server).check()


@pytest.mark.parametrize(
    ("status", "code", "error", "passes"),
    [
        (403, "AccessDenied", StoreError, None),
        (403, "SignatureDoesNotMatch", StoreUnreachableError, False),
        (503, "SlowDown", StoreUnreachableError, True),
        (500, "InternalError", StoreUnreachableError, True),
    ],
)
def test_what_a_store_refuses_has_a_remedy(status, code, error, passes):
    made = S3Connection("s3://bucket/p", rights="s3:GetObject").error_of(status, code, "a.jpg")
    assert (type(made), getattr(made, "passes", None)) == (error, passes)
    assert code in str(made)


def test_without_boto3_the_package_to_install_is_named():
    program = (
        "import sys; sys.modules['boto3'] = None; sys.modules['boto3.session'] = None\n"
        "from image_embeddings.sources.s3 import S3Source\n"
        "S3Source('s3://bucket').check()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1]
    assert "SettingError: Addresses of S3 need the package boto3, which is not installed." in said
    assert said.endswith("pip install -r requirements-s3.txt. Elsewhere: pip install 'image-search[s3]'.")


# Addresses


def test_the_settings_choose_the_bucket_and_the_store(s3_server, put, bucket):
    put("p/a.jpg", "p/out/b.jpg")
    settings = load_settings({"IMAGE_DIR": f"S3://{bucket[0]}/p/", "S3_ENDPOINT": s3_server, "EXCLUDE": "out"})
    store = source_of(settings.image_dir, settings)
    assert store.address == f"s3://{bucket[0]}/p"
    store.check()
    assert listed(store)[0] == ["a.jpg"]


def test_an_address_without_a_bucket_is_refused():
    settings = load_settings({})
    with pytest.raises(SettingError, match=r"s3://BUCKET"):
        source_of("s3://", settings)


def test_an_address_with_a_password_is_refused_and_not_shown():
    with pytest.raises(SettingError, match="has a password in it") as caught:
        load_settings({"IMAGE_DIR": "sftp://me:hunter2@host/photos"})
    assert "hunter2" not in str(caught.value)


def test_a_source_can_be_sent_to_another_process_without_credentials(source, put):
    put("a.jpg")
    store = source()
    store.check()
    sent = pickle.dumps(store)
    assert b"secret-of-tests" not in sent
    assert listed(pickle.loads(sent))[0] == ["a.jpg"]
