from contextlib import closing

import pytest
from playwright.sync_api import expect, sync_playwright

from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from tests.browser import chromium, webapp
from tests.browser.album import make_album
from tests.browser.contexts import PATIENCE, Contexts
from tests.browser.visit import watched

# Chromium sends requests only to this machine, by several names: it finds no other host, and asks for no updates and no
# proxy. /dev/shm is small in containers. The pages of a context share a process.
FLAGS = (
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--process-per-site",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-proxy-server",
    "--disable-dev-shm-usage",
)


expect.set_options(timeout=PATIENCE)


# Package scope: so Playwright's event loop ends before other tests, which may need a loop of their own.
@pytest.fixture(scope="package")
def contexts():
    executable = chromium.executable()
    assert executable, chromium.MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield Contexts(browser)
        browser.close()


@pytest.fixture(scope="package")
def site(elasticsearch_url, networks, tmp_path_factory):
    """The settings of a web app on the sample photos, which are indexed."""
    place = tmp_path_factory.mktemp("site")
    (place / "networks").symlink_to(networks)
    env = webapp.environ(elasticsearch_url, data_dir=place, index_name="test-browser")
    webapp.index_photos(env)
    yield env
    with closing(connect([elasticsearch_url])) as cluster:
        ImageIndex(cluster, name="test-browser").drop()


@pytest.fixture(scope="package")
def address(site, tmp_path_factory):
    """The web app on the sample photos."""
    with webapp.served(site, log=tmp_path_factory.mktemp("address") / "gunicorn.log") as address:
        yield address


@pytest.fixture(scope="package")
def album_site(elasticsearch_url, networks, tmp_path_factory):
    """The settings of a web app on an album: its photos have dates, places, cameras, labels and a further column."""
    place = tmp_path_factory.mktemp("album")
    table = make_album(place / "photos")
    (place / "networks").symlink_to(networks)
    env = webapp.environ(elasticsearch_url, data_dir=place, index_name="test-browser-album")
    env["IMAGE_DIR"] = str(place / "photos")
    webapp.index_photos(env, "--metadata", str(table))
    yield env
    with closing(connect([elasticsearch_url])) as cluster:
        ImageIndex(cluster, name="test-browser-album").drop()


@pytest.fixture(scope="package")
def album_address(album_site, tmp_path_factory):
    """The web app on the album."""
    with webapp.served(album_site, log=tmp_path_factory.mktemp("album-address") / "gunicorn.log") as address:
        yield address


@pytest.fixture
def visit_album(contexts, album_address):
    """Opens pages of the album's site, with the same checks as `visit`."""
    with watched(contexts, album_address) as visit:
        yield visit


@pytest.fixture
def visit(contexts, address):
    """Opens pages of the site; fails if one of them logs an error, breaks the CSP or requests another origin."""
    with watched(contexts, address) as visit:
        yield visit


@pytest.fixture
def page(visit):
    """The home page on a desktop."""
    return visit("/")
