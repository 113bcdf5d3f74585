"""Forms are read as a whole or not at all, and uploads are written to no file, however they are sent."""

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from flask import request

from app import create_app
from image_embeddings.config import load_settings

LIMIT = 3_000_000


def open_files():
    """Return what the open files of this process are called, those without a name too."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder itself
            found.add(str(link.readlink()))
    return found


@pytest.fixture
def client(tmp_path):
    app = create_app(load_settings({"DATA_DIR": str(tmp_path), "MAX_CONTENT_LENGTH": str(LIMIT)}))

    before = open_files()

    @app.post("/upload")
    def upload():
        files = request.files.getlist("image")
        opened = open_files() - before
        kinds = sorted({type(file.stream).__name__ for file in files})
        return {
            "sizes": [len(file.read()) for file in files],
            "kinds": kinds,
            "files": sorted(opened),
        }

    return app.test_client()


def body(*sizes):
    """Return a form with files of these sizes. The test client would make it with temporary files of its own."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return b"".join(head + b"x" * size + b"\r\n" for size in sizes) + b"--x--\r\n"


def post(client, data, **more):
    return client.post("/upload", input_stream=BytesIO(data), content_type="multipart/form-data; boundary=x", **more)


@pytest.mark.parametrize("sizes", [(10,), (600_000,), (2_900_000,), (900_000, 900_000, 900_000)])
def test_files_of_any_size_are_in_memory(client, sizes):
    data = body(*sizes)
    told = post(client, data, content_length=len(data)).json
    assert told == {"sizes": list(sizes), "kinds": ["BytesIO"], "files": []}


def test_what_is_larger_than_the_limit_is_refused(client):
    data = body(LIMIT)
    assert post(client, data, content_length=len(data)).status_code == 413


@pytest.mark.parametrize(("size", "status"), [(LIMIT - 1_000, 200), (LIMIT + 1, 413)])
def test_the_limit_holds_for_bodies_of_unknown_length(client, size, status):
    answer = post(client, body(size), environ_overrides={"wsgi.input_terminated": True})
    assert answer.status_code == status


PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\nabc'


@pytest.mark.parametrize("path", ["/api/v1/search", "/api/v1/searches", "/similar_image", "/upload"])
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("multipart/form-data; boundary=x", PART),
        ("multipart/form-data; boundary=x", PART + b"\r\n--x"),
        ("multipart/form-data; boundary=y", PART + b"\r\n--x--\r\n"),
        ("multipart/form-data", PART + b"\r\n--x--\r\n"),
        ("multipart/form-data; boundary=\xe4", PART + b"\r\n--x--\r\n"),
        ("application/x-www-form-urlencoded", b"q=\xff"),
    ],
)
def test_a_malformed_form_is_called_so(client, path, kind, data):
    answer = client.post(path, data=data, content_type=kind)
    assert answer.status_code == 400
    assert "The body of the request is malformed" in answer.text
