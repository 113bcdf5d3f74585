"""What every source of photos does: the same photos give the same documents, wherever they are."""

import dataclasses
import os
import pickle

import fsspec
import pytest
from gunicorn.util import has_fileno

from image_embeddings.errors import CorpusError
from image_embeddings.indexing.part import PhotoReader, encode_batch
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from image_embeddings.sources.fsspec_source import FsspecSource
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.s3 import S3Source
from image_embeddings.sources.webhdfs import WebHdfsSource
from tests.fakes import ColourEncoder
from tests.pictures import colour_photos
from tests.webhdfs_server import webhdfs_server
from tests.worded_photos import xmp

EXCLUDE = ["out"]
KINDS = ["folder", "s3", "webhdfs", "memory"]


@pytest.fixture
def album(tmp_path):
    """A folder of photos, with sidecars, other files, and what is left out or skipped."""
    folder = colour_photos(tmp_path / "root" / "photos")
    (folder / "warm" / "red.png.xmp").write_bytes(xmp(captions={"x-default": "A red field"}, keywords=["red"]))
    others = ["notes.txt", "out/a.jpg", "@eaDir/a.jpg", ".hidden.jpg", "old/.nomedia", "old/a.jpg", "a.JXL", "b.jpg"]
    for name in others:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    for name in ["ä+ü &#%.png", "日本語/写真.png"]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((folder / "warm" / "red.png").read_bytes())
    return folder


class Place:
    """A source over a copy of the album, and a way to replace a file there."""

    def __init__(self, source, write):
        self.source, self.write = source, write


@pytest.fixture
def place(request, album, tmp_path):
    """The album in one kind of place."""
    kind, files = request.param, [path for path in album.rglob("*") if path.is_file()]
    if kind == "folder":
        yield Place(FolderSource(album, exclude=EXCLUDE), lambda name, data: (album / name).write_bytes(data))
    elif kind == "webhdfs":
        with webhdfs_server(album.parent) as server:
            address = f"webhdfs://{server.name_node.removeprefix('http://')}/photos"
            yield Place(WebHdfsSource(address, exclude=EXCLUDE), lambda name, data: (album / name).write_bytes(data))
    elif kind == "s3":
        name, client = request.getfixturevalue("bucket")
        server = request.getfixturevalue("s3_server")

        def put(file, data):
            client.put_object(Bucket=name, Key=f"photos/{file}", Body=data)

        for path in files:
            put(path.relative_to(album).as_posix(), path.read_bytes())
        yield Place(S3Source(f"s3://{name}/photos", endpoint=server, exclude=EXCLUDE), put)
    else:
        system, root = fsspec.filesystem("memory"), f"/{tmp_path.name}"

        def pipe(file, data):
            system.pipe_file(f"{root}/{file}", data)

        for path in files:
            pipe(path.relative_to(album).as_posix(), path.read_bytes())
        yield Place(FsspecSource(f"memory:/{root}", exclude=EXCLUDE), pipe)
        system.rm(root, recursive=True)


def documents_of(source, thumbnails):
    """Return the documents, embeddings and reasons that a run over a source would write, without states of files."""
    plan = make_plan(source, indexed={})
    encoder = ColourEncoder()
    reader = PhotoReader(
        source=source, preprocess=encoder.preprocess, thumbnails=Thumbnails(thumbnails), options=IndexOptions()
    )
    read = [reader.read(file) for file in plan.to_encode]
    made = encode_batch([item for item in read if hasattr(item, "pixels")], encoder=encoder)
    skipped = [item for item in read if not hasattr(item, "pixels")]
    state = {"mtime_ns": 0, "ctime_ns": 0, "inode": 0, "etag": None, "sidecar_state": None}
    documents = {
        item.document.image_id: (dataclasses.replace(item.document, **state), item.embedding.tolist()) for item in made
    }
    return documents, {*skipped, *plan.skipped}, plan.passed


@pytest.mark.parametrize("place", KINDS[1:], indirect=True)
def test_the_same_photos_give_the_same_documents(place, album, tmp_path):
    expected = documents_of(FolderSource(album, exclude=EXCLUDE), tmp_path / "thumbnails")
    assert len(expected[0]) == 8
    assert expected[0]["warm/red.png"][0].caption == "A red field"
    assert documents_of(place.source, tmp_path / "thumbnails") == expected


def listed(source):
    return {file.image_id: file for file in source.list_photos(skip=lambda item: None, passed=PassedOver())}


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_a_list_finds_no_change_if_there_is_none_and_the_one_that_there_is(place):
    before = listed(place.source)
    assert listed(place.source) == before
    place.write("warm/red.png", b"another content")
    place.write("warm/red.png.xmp", b"<another/>")
    assert {name for name, file in listed(place.source).items() if file != before[name]} == {"warm/red.png"}


@pytest.mark.parametrize("place", KINDS[1:], indirect=True)
def test_a_photo_that_changes_between_list_and_read_is_left_for_the_next_run(place):
    file = listed(place.source)["warm/red.png"]
    place.write("warm/red.png", b"another content")
    with pytest.raises(CorpusError, match=r"^warm/red\.png changed while it was read: index again"):
        place.source.read(file)
    assert place.source.read(listed(place.source)["warm/red.png"]).data == b"another content"


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_a_photo_is_found_opened_and_read_in_parts(place, album):
    for image_id in ("warm/red.png", "ä+ü &#%.png", "日本語/写真.png"):
        file, data = place.source.find(image_id), (album / image_id).read_bytes()
        assert dataclasses.replace(listed(place.source)[image_id], sidecars=()) == file
        with place.source.open(file) as content:
            assert content.read(8) == data[:8]
            assert content.seek(-5, os.SEEK_END) == len(data) - 5
            assert content.read() == data[-5:]
            content.seek(0)
            assert content.read() == data


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_the_descriptor_of_an_open_photo_is_where_the_photo_is_read_next(place):
    with place.source.open(place.source.find("warm/red.png")) as content:
        content.read(8)
        content.seek(0)
        content.read(3)
        if has_fileno(content):
            assert os.lseek(content.fileno(), 0, os.SEEK_CUR) == content.tell() == 3


@pytest.mark.parametrize("place", KINDS, indirect=True)
@pytest.mark.parametrize("image_id", ["", "/", "none.png", "warm", "../photos/b.jpg", "warm/../b.jpg", "nul\0.png"])
def test_what_is_no_photo_of_the_place_is_not_found(place, image_id):
    assert place.source.find(image_id) is None


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_a_place_is_checked_and_can_be_sent_to_another_process(place):
    sent = pickle.loads(pickle.dumps(place.source))
    sent.check()
    assert listed(sent) == listed(place.source)
