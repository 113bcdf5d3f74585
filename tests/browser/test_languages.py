"""The pages in other languages: chosen at the foot of a page, used by the scripts, and with room for long words."""

import pytest
from playwright.sync_api import expect

from app import create_app
from image_embeddings.config import load_settings
from tests.browser.axe import violations
from tests.browser.judged import OneSearch, judged
from tests.browser.visit import follow, search
from tests.pseudo import forgotten, write_translations

pytestmark = [pytest.mark.browser, pytest.mark.server]

# Few photos: each page needs time for each of its photos, and there is hardly a word on them.
HOME = "/?k=5"
RESULTS = "/image_search?q=a+cat+with+green+eyes&k=5"
ERROR = "/image_search?q=a+cat&k=0"
PATHS = [HOME, RESULTS, f"{RESULTS}&folder=cats", "/similar_image?id=cats/tiger.jpg", ERROR, "/nowhere"]
LANGUAGES = {"de": "de-DE", "es": "es-ES", "fr": "fr-FR", "it": "it-IT", "ja": "ja-JP"}

every_language = pytest.mark.parametrize("language", LANGUAGES)


@pytest.fixture
def look(visit):
    """Open a page in a browser of that language."""

    def open_page(path, language, *, width=1440, **context):
        phone = width < 600
        size = {"width": width, "height": 780 if phone else 900}
        return visit(path, locale=LANGUAGES[language], viewport=size, has_touch=phone, is_mobile=phone, **context)

    return open_page


# Chosen


@pytest.mark.parametrize("javascript", [True, False])
def test_a_language_chosen_at_the_foot_stays(visit, javascript):
    page = visit(RESULTS, java_script_enabled=javascript)
    follow(page, "Deutsch")
    expect(page).to_have_url(RESULTS)
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fotos zu „a cat with green eyes“")
    expect(page.get_by_role("link", name="Deutsch")).to_have_attribute("aria-current", "true")
    page.get_by_role("searchbox").fill("ein Hund")
    with page.expect_navigation():
        page.get_by_role("button", name="Suchen", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fotos zu „ein Hund“")
    assert page.context.cookies()[0]["sameSite"] == "Lax"


def test_english_can_be_chosen_although_the_browser_prefers_another_language(look):
    page = look("/", "ja")
    expect(page).to_have_title("画像検索")
    follow(page, "English")
    expect(page).to_have_title("Image search")
    search(page, "a dog")
    expect(page.get_by_role("heading", level=1)).to_have_text("Photos for “a dog”")


# Shown


@pytest.mark.parametrize(
    ("language", "width", "colours"),
    [("de", 360, {}), ("ja", 1440, {"color_scheme": "dark"}), ("ja", 360, {"color_scheme": "dark"})],
    ids=["de-360-light", "ja-1440-dark", "ja-360-dark"],
)
@pytest.mark.parametrize("path", [HOME, f"{RESULTS}&folder=cats", ERROR])
def test_axe_finds_nothing_wrong(look, path, language, width, colours):
    assert violations(look(path, language, width=width, **colours)) == []


@every_language
def test_no_page_scrolls_sideways(look, language):
    page = look(PATHS[0], language, width=360)  # the context of other tests; a narrower window is set below
    for path in PATHS:
        if path != PATHS[0]:
            page.goto(path)
        for width in (1024, 320):
            page.set_viewport_size({"width": width, "height": 740})
            assert page.evaluate("document.documentElement.scrollWidth") == width, path


@pytest.mark.parametrize("language", ["de", "ja"])
def test_no_page_scrolls_sideways_without_javascript(look, language):
    page = look(RESULTS, language, width=360, java_script_enabled=False)
    assert page.locator("main").bounding_box()["width"] == 360


@every_language
def test_on_a_phone_no_button_lies_over_another(look, language):
    page = look(RESULTS, language, width=360)
    parts = page.locator(":is(header, footer) :is(a, button, select, input:not([type=file])):visible")
    boxes = parts.evaluate_all("all => all.map(one => one.getBoundingClientRect().toJSON())")
    assert len(boxes) >= 9
    assert all(box["left"] >= 0 and box["right"] <= 360 for box in boxes)
    assert min(min(box["width"], box["height"]) for box in boxes) >= 24  # WCAG 2.2, 2.5.8
    pairs = [(one, other) for number, one in enumerate(boxes) for other in boxes[:number]]
    assert [pair for pair in pairs if overlap(*pair)] == []


def overlap(one, other):
    apart_x = one["left"] >= other["right"] - 0.5 or other["left"] >= one["right"] - 0.5
    apart_y = one["top"] >= other["bottom"] - 0.5 or other["top"] >= one["bottom"] - 0.5
    return not (apart_x or apart_y)


# In the scripts


@pytest.mark.parametrize("width", [360, 1440])
def test_the_lightbox_and_its_details_are_in_german(look, width):
    page = look(f"{RESULTS}#photo=cats/tiger.jpg", "de", width=width)
    page.get_by_role("button", name="Details").click()
    details = page.get_by_role("complementary", name="Details")
    expect(details).to_contain_text("Pixel, ")
    expect(details.locator("dt")).to_contain_text(["Ähnlichkeit", "Datei", "Ordner", "Größe"])
    expect(page.locator(".title .place")).to_contain_text("von")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_lightbox_is_in_japanese(look):
    page = look(f"{RESULTS}#photo=cats/tiger.jpg", "ja")
    page.get_by_role("button", name="詳細").click()
    expect(page.get_by_role("complementary", name="詳細")).to_contain_text("ピクセル、")
    assert violations(page) == []


def test_photos_that_load_later_are_in_german(look):
    page = look("/image_search?q=a+bird", "de")
    page.get_by_role("link", name="Weitere Fotos").dispatch_event("click")  # scrolling there would load more
    expect(page.locator("#said")).to_have_text("Fotos 1 bis 40 von 202 werden angezeigt.")
    expect(page.locator(".query .count")).to_contain_text("1–40 von 202 Fotos")


def test_failures_are_in_french_and_messages_of_the_server_are_marked_as_english(look, visit):
    page = look("/image_search?q=a+bird", "fr")
    gone = {"status": 503, "body": '<p class="notice error">Gone.</p>'}
    page.route("**/image_search?*offset=*", lambda route: route.fulfill(**gone))
    page.get_by_role("link", name="Afficher plus de photos").click()
    expect(page.get_by_role("alert")).to_have_text("Impossible de charger d’autres photos. Gone.")
    expect(page.get_by_role("alert").locator("[lang=en]")).to_have_text("Gone.")
    expect(page.get_by_role("link", name="Réessayer")).to_be_visible()
    visit.problems.clear()  # Chromium's own message about it


FACTS = {
    "image_id": "cats/tiger.jpg",
    "width": 4000,
    "height": 3000,
    "bytes": 2_345_678,
    "taken": "2024-05-31T10:00:00",
    "location": {"lat": 52.52, "lon": -13.405},
}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", ["31. Mai 2024 um 10:00", "52,5200° N, 13,4050° W", "4.000 × 3.000 Pixel, 2,3 MB"]),
        ("fr", ["31 mai 2024 à 10:00", "52,5200° N, 13,4050° O", "4\u202f000 × 3\u202f000 pixels, 2,3\u202fMo"]),
        ("ja", ["2024年5月31日 10:00", "北緯 52.5200°, 西経 13.4050°", "4,000 × 3,000 ピクセル、2.3 MB"]),
    ],
)
def test_dates_places_and_sizes_are_written_as_the_language_writes_them(look, language, said):
    page = look(RESULTS, language)
    page.route("**/api/v1/images/**", lambda route: route.fulfill(json=FACTS))
    page.locator(".grid a.photo").first.click()
    page.locator(".about").click()
    for text in said:
        expect(page.locator(".facts")).to_contain_text(text)


EVERY_FACT = FACTS | {
    "caption": "zebra",
    "camera_model": "zebra",
    "lens": "zebra",
    "label": "zebra",
    "keywords": ["zebra"],
}
DATA = ("zebra", "cats", "tiger.jpg", "lion.jpg", "MB")


@pytest.fixture
def page_in_brackets(tmp_path):
    """A page of results on which only translated texts stand in brackets."""
    write_translations(tmp_path, "ja")
    app = create_app(load_settings({}), services=OneSearch(result=judged("cats/tiger.jpg", "cats/lion.jpg")))
    app.extensions["babel"].translation_directories[:] = [str(tmp_path)]
    return app.test_client().get(RESULTS, headers={"Accept-Language": "ja"}).text


def test_the_scripts_leave_no_text_untranslated(look, visit, page_in_brackets):
    page = look("/healthz", "ja")
    page.route("**/image_search?*", lambda route: route.fulfill(body=page_in_brackets, content_type="text/html"))
    page.route("**/api/v1/images/**", lambda route: route.fulfill(json=EVERY_FACT))
    page.goto(RESULTS)
    page.locator("#more a").click()
    expect(page.locator("#said")).not_to_be_empty()
    page.locator(".grid a.photo").first.click()
    page.locator(".about").click()
    expect(page.locator(".facts dt")).to_have_count(11)
    seen = page.locator("#lightbox, #said, #more").evaluate_all("all => all.map(one => one.outerHTML).join(' ')")
    page.keyboard.press("Escape")
    page.unroute("**/image_search?*")
    page.route("**/image_search?*offset*", lambda route: route.abort())
    page.evaluate("document.querySelector('#more a').click()")
    expect(page.get_by_role("alert")).not_to_be_empty()
    visit.problems.clear()  # Chromium's own message about it
    seen += page.locator("#more").evaluate("more => more.outerHTML")
    assert seen.count("⟦") > 25
    assert forgotten(seen, language="ja", data=DATA) == []
