"""The login in a browser: in, to what was asked for, and out again; its page in light and dark, small and large."""

import subprocess
import sys
from contextlib import ExitStack

import pytest
import requests
from playwright.sync_api import expect

from app.web.attempts import OF_ONE_SENDER
from tests.browser import webapp
from tests.browser.axe import violations
from tests.browser.visit import search, shown, tiles, watched

pytestmark = [pytest.mark.browser, pytest.mark.server]

PASSWORD = "Schlüssel zum Garten"
TOKEN = "0123456789abcdef"
RESULTS = "/image_search?q=a+cat&k=10"


@pytest.fixture(scope="module")
def with_attempts(site, tmp_path_factory):
    """Returns the address of the sample photos with a password, at which that many attempts are left to this machine.

    If the server that runs has too few left, another one is started in its place.
    """
    protected = {**site, "APP_PASSWORD": PASSWORD, "API_TOKENS": TOKEN}
    with ExitStack() as running:
        address, left = "", 0

        def find(attempts):
            nonlocal address, left
            if not address or left < attempts:
                running.close()
                log = tmp_path_factory.mktemp("locked") / "gunicorn.log"
                address = running.enter_context(webapp.served(protected, log=log, ready="/healthz"))
                left = OF_ONE_SENDER
            left -= attempts
            return address

        yield find


@pytest.fixture
def attempts():
    """How often a test tries the password."""
    return 2


@pytest.fixture
def locked(with_attempts, attempts):
    """The address of the sample photos with a password."""
    return with_attempts(attempts)


@pytest.fixture
def visit(contexts, locked):
    with watched(contexts, locked) as visit:
        yield visit


def log_in(page, password=PASSWORD, *, button="Log in", label="Password"):
    page.get_by_label(label).fill(password)
    with page.expect_navigation():
        page.get_by_role("button", name=button).click()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_visitor_logs_in_searches_and_logs_out(visit, locked, javascript):
    page = visit(RESULTS, java_script_enabled=javascript)
    expect(page).to_have_title("Log in – Image search")
    expect(page.get_by_label("Password")).to_be_focused()
    log_in(page, "a wrong password")
    expect(page.get_by_role("alert")).to_have_text("This password is wrong.")
    log_in(page)
    assert page.url == f"{locked}{RESULTS}"
    search(page, "a dog")
    expect(tiles(page)).to_have_count(10)
    assert shown(page)[0].startswith("dogs/")
    assert tiles(page).first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    with page.expect_navigation():
        page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url("/login")
    page.go_back()
    page.goto(RESULTS)
    expect(page).to_have_title("Log in – Image search")


def test_scripts_cannot_read_the_session_and_a_page_says_so_if_it_has_ended(visit):
    page = visit("/")
    log_in(page)
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", False)
    assert page.evaluate("document.cookie") == ""
    page.goto(RESULTS)
    page.context.clear_cookies()
    page.get_by_role("link", name="More photos").dispatch_event("click")
    expect(page.get_by_role("alert")).to_contain_text("You are no longer logged in. Load the page again.")
    page.goto(f"{RESULTS}")
    log_in(page)
    expect(tiles(page)).to_have_count(10)


def test_the_page_speaks_the_visitors_language(visit):
    page = visit(RESULTS, locale="de-DE")
    expect(page.get_by_role("heading", level=1)).to_have_text("Anmelden")
    log_in(page, "ein falsches Passwort", button="Anmelden", label="Passwort")
    expect(page.get_by_role("alert")).to_have_text("Dieses Passwort ist falsch.")
    assert violations(page) == []
    with page.expect_navigation():
        page.get_by_role("link", name="日本語").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("ログイン")
    log_in(page, button="ログイン", label="パスワード")
    expect(tiles(page)).to_have_count(10)
    expect(page.locator("html")).to_have_attribute("lang", "ja")


@pytest.mark.parametrize("attempts", [0])
def test_the_client_of_the_docs_comes_in_by_a_token(locked):
    command = [sys.executable, str(webapp.ROOT / "docs" / "client.py"), "a cat", "--url", locked, "-k", "1"]
    known = subprocess.run(command, env={"IMAGE_SEARCH_TOKEN": TOKEN}, capture_output=True, text=True, check=True)
    assert "cats/" in known.stdout
    by_argument = subprocess.run([*command, "--token", TOKEN], env={}, capture_output=True, text=True, check=True)
    assert by_argument.stdout == known.stdout
    refused = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert (refused.returncode, "unauthorized" in refused.stderr) == (1, True)
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{locked}/image/cats/tiger.jpg", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
        assert answer.headers["Content-Type"] == "image/jpeg"


def check_in_light_and_dark_on_small_and_large_screens(page):
    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 780})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") == width


def test_axe_finds_nothing_wrong_with_the_login_page(visit):
    page = visit("/login")
    check_in_light_and_dark_on_small_and_large_screens(page)
    log_in(page, "a wrong password")
    check_in_light_and_dark_on_small_and_large_screens(page)
    log_in(page)
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    check_in_light_and_dark_on_small_and_large_screens(page)


# Send what the form holds as often, without showing the answers; return their codes.
TRY = """async (times) => {
  const form = document.querySelector("main form"), codes = [];
  for (let time = 0; time < times; time += 1)
    codes.push((await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form))})).status);
  return codes;
}"""


@pytest.mark.parametrize("attempts", [OF_ONE_SENDER])
def test_after_too_many_attempts_the_page_says_how_long_to_wait(visit):
    page = visit("/login")
    page.get_by_label("Password").fill("a wrong password")
    assert len(set(page.evaluate(TRY, OF_ONE_SENDER - 1))) == 1
    log_in(page, "a wrong password")
    expect(page.get_by_role("alert")).to_have_text("This password is wrong.")
    log_in(page)
    expect(page.get_by_role("alert")).to_contain_text("Too many attempts. Try again in")
