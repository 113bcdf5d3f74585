"""Texts encoded inside Elasticsearch, in a real browser: the command loads the model, the page searches, and it fails.

tests.ml_front, in front of the real node, stands in for Elasticsearch's machine learning.
"""

from pathlib import Path

import pytest
import trustme
from playwright.sync_api import expect

from tests import tls_front
from tests.browser import webapp
from tests.browser.visit import choose, search, shown
from tests.commands import run_here
from tests.ml_front import ml_front
from tests.tiny_models import make_aligned_text_folder, make_clip_folder

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.timeout(600)]  # the model is made in 100 s

PHOTO, CAPTION = "wild-animals/zebra.jpg", "A zebra."  # one of the captions that the tiny text model knows


@pytest.fixture(scope="module")
def secured(elasticsearch_url, tmp_path_factory):
    """Machine learning with TLS and a password, in front of the real node."""
    folder = tmp_path_factory.mktemp("front")
    ca = trustme.CA()
    with ml_front(elasticsearch_url, folder=folder / "models", ca=ca) as front:
        yield front, tls_front.ca_file(ca, folder)


@pytest.fixture(scope="module")
def environ(secured, tmp_path_factory):
    """The settings of a web app with tiny models, which know the captions of the sample photos."""
    place = tmp_path_factory.mktemp("site")
    clip = make_clip_folder(place / "models" / "clip-ViT-B-32")
    make_aligned_text_folder(place / "models" / "clip-ViT-B-32-multilingual-v1", clip=clip)
    settings = {"IMAGE_MODEL": str(clip), "ES_USER": tls_front.USER, "ES_PWD": tls_front.PASSWORD}
    front, ca_certs = secured
    environ = webapp.environ(front.url, data_dir=place, index_name="test-browser-ml")
    return {**environ, **settings, "ES_CA_CERTS": str(ca_certs)}


def run(environ, *words):
    """Run one of our commands in this process, which has imported torch for the models already."""
    done = run_here(environ, *words)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def address(environ):
    """The web app, after the steps of the README: index, install, status."""
    run(environ, "index")
    run(environ, "text-model", "install")
    assert run(environ, "text-model", "status").startswith("started: ")
    with webapp.served(environ, log=Path(environ["DATA_DIR"]) / "gunicorn.log") as address:
        yield address


@pytest.fixture
def front(secured, visit):
    """The front without any faults; the web app knows that the faults of the last test are over."""
    front, _ = secured
    yield front
    front.clear()
    front.ml_enabled = True
    visit("/api/v1/status")  # this checks at once; searches check again only after a minute


def note(page):
    return page.get_by_role("status")


def test_a_text_is_encoded_in_elasticsearch_and_finds_its_photo(visit, front):
    page = visit("/")
    search(page, CAPTION)
    assert shown(page)[0] == PHOTO
    expect(page.get_by_role("contentinfo")).to_contain_text("text encoded in Elasticsearch by sentence-transformers__")
    expect(note(page)).to_have_count(0)


def test_without_machine_learning_searches_by_text_still_work_and_the_page_says_how(visit, front):
    page = visit("/")
    search(page, CAPTION)
    before = shown(page)
    front.ml_enabled = False
    search(page, CAPTION)
    assert shown(page) == before
    expect(note(page)).to_contain_text("has no machine learning")
    expect(note(page)).to_contain_text("Meanwhile the app encodes texts itself")
    expect(page.get_by_role("contentinfo")).to_contain_text("text encoded by the app")


def test_a_photo_finds_others_without_the_text_model(visit, front):
    front.ml_enabled = False
    page = visit("/")
    choose(page, webapp.PHOTOS / PHOTO)
    assert shown(page)[0] == PHOTO
    expect(note(page)).to_have_count(0)
    expect(page.get_by_role("contentinfo")).not_to_contain_text("text encoded")


def test_when_the_model_is_back_the_note_is_gone(visit, front):
    page = visit("/")
    front.order("failed")
    search(page, CAPTION)
    expect(note(page)).to_contain_text("could not be run by Elasticsearch")
    front.clear()
    visit("/api/v1/status")
    search(page, CAPTION)
    expect(note(page)).to_have_count(0)
    expect(page.get_by_role("contentinfo")).to_contain_text("text encoded in Elasticsearch")
