"""Photos in HDFS, on a server that answers as the documentation of WebHDFS says."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import CorpusError, SettingError, SourceUnreachableError
from image_embeddings.sources.choice import source_of
from image_embeddings.sources.passed_over import PassedOver
from image_embeddings.sources.webhdfs import WebHdfsSource
from tests.pictures import colour_photos
from tests.webhdfs_server import webhdfs_server


@pytest.fixture
def hdfs(tmp_path):
    colour_photos(tmp_path / "root" / "photos")
    with webhdfs_server(tmp_path / "root") as server:
        yield server


def source_at(hdfs, path="photos", *, user=""):
    return WebHdfsSource(f"webhdfs://{user}{hdfs.name_node.removeprefix('http://')}/{path}")


def listed(source):
    skipped = []
    found = [file.image_id for file in source.list_photos(skip=skipped.append, passed=PassedOver())]
    return found, {item.image_id: item.reason for item in skipped}


def test_the_user_of_the_address_is_told(hdfs):
    source_at(hdfs, user="ada@").check()
    assert [query["user.name"] for query in hdfs.queries] == ["ada"]


def test_the_root_of_hdfs_can_be_the_place(hdfs):
    assert "photos/warm/red.png" in listed(source_at(hdfs, ""))[0]


def test_a_place_that_is_no_folder_is_named(hdfs):
    for path, reason in (("none", "There is no folder"), ("photos/warm/red.png", "is not a folder")):
        with pytest.raises(CorpusError, match=reason):
            source_at(hdfs, path).check()


@pytest.mark.parametrize(
    ("status", "name", "error", "words"),
    [
        (403, "AccessControlException", CorpusError, "let this user read it"),
        (403, "StandbyException", SourceUnreachableError, "Name the active one"),
        (401, "SecurityException", SourceUnreachableError, "Kerberos"),
        (500, "RuntimeException", SourceUnreachableError, "Try later"),
        (400, "IllegalArgumentException", CorpusError, "look after HDFS"),
    ],
)
def test_what_hdfs_refuses_has_a_remedy(hdfs, status, name, error, words):
    hdfs.refused["LISTSTATUS"] = status, name
    with pytest.raises(CorpusError, match=words) as caught:
        listed(source_at(hdfs))
    assert type(caught.value) is error


def test_a_port_that_speaks_http_but_not_webhdfs_is_told_from_a_missing_folder():
    """Such as a NameNode's port for programs of Java, which answers so, or any other web server."""

    class Rpc(BaseHTTPRequestHandler):
        def do_GET(self):
            said = b"It looks like you are making an HTTP request to a Hadoop IPC port. "
            self.send_response(404)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Rpc) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        try:
            with pytest.raises(SourceUnreachableError, match=r"is not WebHDFS\. Write webhdfs://HOST:9870/PATH"):
                WebHdfsSource(f"hdfs://127.0.0.1:{server.server_address[1]}/photos").check()
        finally:
            thread.join()


def test_a_photo_is_read_from_another_data_node_if_one_is_away(hdfs):
    source = source_at(hdfs)
    photo, *_ = source.list_photos(skip=print, passed=PassedOver())
    whole = source.read(photo).data
    hdfs.dead_node = "http://127.0.0.1:9"
    assert source.read(photo).data == whole
    with source.open(photo) as file:
        assert file.read() == whole
    assert {"127.0.0.1"} == {query["excludedatanodes"] for query in hdfs.queries if "excludedatanodes" in query}


def test_if_all_data_nodes_are_away_the_error_says_so(hdfs):
    source = source_at(hdfs)
    photo, *_ = source.list_photos(skip=print, passed=PassedOver())
    hdfs.data_node = hdfs.dead_node = "http://127.0.0.1:9"
    with pytest.raises(SourceUnreachableError, match="or a DataNode does not"):
        source.read(photo)


def test_a_name_node_that_does_not_answer_is_named():
    with pytest.raises(SourceUnreachableError, match=r"does not answer at http://127\.0\.0\.1:9/") as caught:
        WebHdfsSource("webhdfs://127.0.0.1:9/photos").check()
    assert caught.value.passes


@pytest.mark.parametrize(
    "address", ["hdfs://host:8020/photos", "hdfs://host:9000/photos", "webhdfs:///photos", "hdfs://h:x/p"]
)
def test_an_address_that_cannot_be_asked_is_refused_with_the_right_form(address):
    with pytest.raises(SettingError, match=r"Write webhdfs://HOST:9870/PATH"):
        WebHdfsSource(address)


@pytest.mark.parametrize("scheme", ["hdfs", "webhdfs", "swebhdfs"])
def test_the_settings_choose_hdfs(scheme):
    settings = load_settings({"IMAGE_DIR": f"{scheme}://namenode/photos/"})
    source = source_of(settings.image_dir, settings)
    assert (type(source), source.address) == (WebHdfsSource, f"{scheme}://namenode/photos")
