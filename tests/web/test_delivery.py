"""Pages and their files are sent compressed, and the files only once."""

import gzip
import re

import brotli
import pytest

from app import create_app
from app.web import delivery
from image_embeddings.config import load_settings

FILES = sorted(path.name for path in (delivery.APP_FOLDER / delivery.STATIC_FOLDER).iterdir())


@pytest.fixture
def client():
    return create_app(load_settings({})).test_client()


@pytest.mark.parametrize("name", FILES)
def test_static_files_are_kept_for_good(client, name):
    with client.get(f"{delivery.static_url_path()}/{name}") as answer:
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["style.css", "lightbox.js", "world.svg"])
def test_text_is_compressed(client, name):
    address = f"{delivery.static_url_path()}/{name}"
    with client.get(address) as answer:
        assert "Content-Encoding" not in answer.headers
        plain = answer.data
    for encoding, read in (("gzip", gzip.decompress), ("br", brotli.decompress)):
        with client.get(address, headers={"Accept-Encoding": encoding}) as answer:
            assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == (encoding, "Accept-Encoding")
            assert len(answer.data) < 0.6 * len(plain)
            assert read(answer.data) == plain


def test_the_address_changes_with_any_file(tmp_path, monkeypatch):
    monkeypatch.setattr(delivery, "APP_FOLDER", tmp_path)
    folder = tmp_path / delivery.STATIC_FOLDER
    folder.mkdir(parents=True)
    (folder / "a.js").write_text("1")
    addresses = [delivery.static_url_path()]
    (folder / "a.js").write_text("2")
    addresses.append(delivery.static_url_path())
    (folder / "a.js").rename(folder / "b.js")
    addresses.append(delivery.static_url_path())
    assert len(set(addresses)) == 3
    assert all(re.fullmatch(r"/static/[0-9a-f]{12}", address) for address in addresses)


def test_a_file_that_is_not_there_is_not_kept(client):
    answer = client.get(f"{delivery.static_url_path()}/none.js")
    assert answer.status_code == 404
    assert "max-age" not in answer.headers.get("Cache-Control", "")
