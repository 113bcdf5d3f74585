"""Signed addresses of thumbnails, and the names that thumbnails and photos are served by. No Elasticsearch needed."""

import shutil
import sys
import unicodedata
from urllib.parse import quote

import pytest

from app import create_app
from app.services import Services
from app.web.thumbnail_addresses import thumbnail_address
from image_embeddings import content_hash, errors
from image_embeddings.config import load_settings
from image_embeddings.sources.names import image_id_of
from tests.pictures import save
from tests.server.indexed import document

YEAR = 365 * 24 * 3600


class Index:
    """Has a document for every photo, and counts how often it is asked."""

    index = None

    def __init__(self):
        self.asked = 0
        self.hashes = {}

    def get(self, image_id):
        self.asked += 1
        if image_id not in self.hashes:
            raise errors.ImageNotFoundError(image_id)
        return document(image_id, content_hash=self.hashes[image_id])


class Album:
    """An app over a folder of photos."""

    def __init__(self, place, **environ):
        self.place, self.index = place, Index()
        settings = load_settings(
            {"ES_HOST": "http://not.asked:9200", **environ}, image_dir=place / "photos", data_dir=place / "data"
        )
        self.app = create_app(settings, services=Services(settings, open_search=lambda settings: self.index))
        self.services = self.app.extensions["services"]

    def add(self, image_id, colour="red"):
        path = save(self.place / "photos" / image_id, colour=colour)
        self.index.hashes[image_id] = content_hash(path.read_bytes())
        return path

    def address(self, image_id):
        with self.app.test_request_context():
            return thumbnail_address(document(image_id, content_hash=self.index.hashes[image_id]))

    def get(self, address, **options):
        self.index.asked = 0
        return self.app.test_client().get(address, buffered=True, **options)

    def thumbnail(self, image_id):
        return self.services.thumbnails.path(self.index.hashes[image_id])


@pytest.fixture
def album(tmp_path):
    album = Album(tmp_path)
    for image_id in ("a/red.png", "blue.png"):
        album.add(image_id, image_id.rpartition("/")[2].removesuffix(".png"))
        assert album.get(album.address(image_id)).status_code == 200  # makes the thumbnail
    return album


def test_a_thumbnail_that_was_shown_costs_no_question_and_is_kept_for_good(album):
    answer = album.get(album.address("a/red.png"))
    assert (answer.status_code, answer.mimetype, album.index.asked) == (200, "image/webp", 0)
    kept = answer.cache_control
    assert (kept.immutable, kept.private, kept.public, kept.max_age, kept.no_cache) == (True, True, False, YEAR, None)


def test_processes_and_restarts_share_the_signatures(album):
    again = Album(album.place)
    assert again.get(album.address("a/red.png")).status_code == 200
    assert again.index.asked == 0


def test_another_key_ends_the_signatures_and_the_index_is_asked(album):
    other = Album(album.place, SECRET_KEY="other")
    other.index.hashes = album.index.hashes
    assert other.get(album.address("a/red.png")).status_code == 200
    assert other.index.asked == 1


@pytest.mark.parametrize(
    "forge",
    [
        lambda path, v, s: f"{path}?v={v}",
        lambda path, v, s: f"{path}?v={v}&s=",
        lambda path, v, s: f"{path}?v={v}&s={s[:-1]}",
        lambda path, v, s: f"{path}?v={v}&s={s}A",
        lambda path, v, s: f"{path}?v={v}&s={s.swapcase()}",
        lambda path, v, s: f"{path}?v={v[:12]}&s={s}",
        lambda path, v, s: f"{path}?v={v}&s=%C3%A4%00",
        lambda path, v, s: f"{path}?s={s}",
        lambda path, v, s: f"/thumbnail/blue.png?v={v}&s={s}",
    ],
)
def test_an_address_that_this_app_has_not_made_is_looked_up(album, forge):
    address, _, query = album.address("a/red.png").partition("?")
    v, s = (part.partition("=")[2] for part in query.split("&"))
    assert album.get(forge(address, v, s)).status_code == 200
    assert album.index.asked == 1


def test_a_signature_is_for_one_photo_and_one_content(album):
    album.index.hashes["a/red.png"] = album.index.hashes["blue.png"]
    _, _, signature = album.address("a/red.png").rpartition("=")
    del album.index.hashes["a/red.png"]
    assert album.get(f"/thumbnail/a/red.png?v={'0' * 32}&s={signature}").status_code == 404


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"RIFF\x04\0\0\0WEBP", b"no picture", "shorter", "longer"])
def test_a_damaged_thumbnail_is_made_anew_before_it_is_served(album, content):
    path = album.thumbnail("a/red.png")
    sound = path.read_bytes()
    path.write_bytes({"shorter": sound[:-1], "longer": sound + b"x"}.get(content, content))
    answer = album.get(album.address("a/red.png"))
    assert answer.data == path.read_bytes() == sound
    assert answer.cache_control.immutable


def test_a_damaged_thumbnail_of_a_photo_that_changed_is_not_kept_for_good(album):
    album.thumbnail("a/red.png").write_bytes(b"")
    shutil.copy(album.place / "photos" / "blue.png", album.place / "photos" / "a" / "red.png")
    answer = album.get(album.address("a/red.png"))
    assert answer.data == album.thumbnail("blue.png").read_bytes()
    assert not answer.cache_control.immutable


@pytest.mark.parametrize("signed", [True, False])
def test_the_thumbnail_of_a_removed_photo_is_not_served(album, signed):
    address = album.address("a/red.png") if signed else "/thumbnail/a/red.png"
    (album.place / "photos" / "a" / "red.png").unlink()
    assert album.get(address).status_code == 404
    assert album.get(album.address("blue.png")).status_code == 200


@pytest.mark.parametrize("empty", [True, False])
def test_thumbnails_are_served_while_the_drive_of_the_photos_is_not_mounted(album, empty):
    (album.place / "photos").rename(album.place / "elsewhere")
    if empty:
        (album.place / "photos").mkdir()
    assert album.get(album.address("a/red.png")).status_code == 200
    assert album.get("/image/a/red.png").status_code == 404


@pytest.mark.parametrize("stored", ["../../secret", "/etc/passwd", "", "0" * 1_000, "ab\0", "AB"])
def test_no_hash_in_the_index_leads_out_of_the_folder_of_thumbnails(album, stored):
    (album.place / "data" / "secret.webp").write_bytes(album.thumbnail("blue.png").read_bytes())
    sound = album.thumbnail("a/red.png").read_bytes()
    album.index.hashes["a/red.png"] = stored
    for address in (album.address("a/red.png"), "/thumbnail/a/red.png"):
        answer = album.get(address)
        assert (answer.status_code, answer.data) == (200, sound)
        assert not answer.cache_control.immutable


def test_names_in_addresses_are_quoted(album):
    for name in ("ä b.png", "a%2fb.png", "a?b#c.png", "犬&+=.png"):
        album.add(name)
        assert album.address(name).startswith(f"/thumbnail/{quote(name, safe='!$&()*+,:;=@')}".replace("%27", "'"))
        assert album.get(album.address(name)).status_code == 200


def odd_characters():
    """Return every character of the categories C and Z, but few of those for private use or without a meaning."""
    found = [chr(code) for code in range(1, sys.maxunicode + 1) if unicodedata.category(chr(code))[0] in "CZ"]
    few = "\ue000\U0010fffd\u0378\ufdd0\uffff\U0010ffff"
    return [sign for sign in found if unicodedata.category(sign) not in ("Co", "Cn")] + list(few)


def refusal_of(name, folder):
    try:
        image_id_of(folder / name, folder)
    except ValueError as error:
        return str(error)
    return ""


def test_every_odd_character_in_a_name_is_served_or_refused_by_indexing(album):
    path = album.add("blue.png", "blue")
    signs = odd_characters()
    assert len(signs) > 2_000
    refused = {sign for sign in signs if refusal_of(f"a{sign}b.png", album.place)}
    assert {unicodedata.category(sign) for sign in refused} == {"Cc", "Cs"}
    for sign in signs:
        if sign not in refused:
            name = f"a{sign}b.png"
            (path.parent / name).hardlink_to(path)
            album.index.hashes[name] = album.index.hashes["blue.png"]
            addresses = (album.address(name), f"/image/{quote(name)}", f"/image/{quote(name)}?original")
            for answer in map(album.get, addresses):
                assert answer.status_code == 200, ascii(name)
                assert all(value.isprintable() and value.isascii() for value in answer.headers.values()), ascii(name)


def test_control_characters_in_an_older_index_never_break_an_answer(album):
    path = album.add("blue.png", "blue")
    for code in [*range(1, 32), *range(127, 160)]:
        name = f"a{chr(code)}b.png"
        if not (path.parent / name).exists():
            (path.parent / name).hardlink_to(path)
        album.index.hashes[name] = album.index.hashes["blue.png"]
        for address in (album.address(name), f"/image/{quote(name)}"):
            answer = album.get(address)
            assert answer.status_code == (404 if name == "a\nb.png" else 200), ascii(name)
            assert all(value.isprintable() and value.isascii() for value in answer.headers.values()), ascii(name)
