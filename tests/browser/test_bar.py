"""The search bar: chips by mouse, keyboard, finger and without JavaScript; its address holds the whole search."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.visit import bring, choose, search, settled_boxes, shown
from tests.browser.webapp import PHOTOS

pytestmark = [pytest.mark.browser, pytest.mark.server]

LION, TIGER, TRUCK = "cats/lion.jpg", "cats/tiger.jpg", "vehicles/fire-truck.jpg"
FEW = "k=5"  # photos: each page needs time for each of its photos
MIXED = f"/image_search?q=dog&like={LION}&without=people&{FEW}"
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
plain = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


def chips(page):
    """Return the texts of the chips, one a line."""
    return [" ".join(text.split()) for text in page.locator(".chip summary").all_inner_texts()]


def open_chip(page, name):
    page.locator(".chip summary").filter(has_text=name).click()


def press(page, name):
    """Press the first button of that name that leads to another page."""
    with page.expect_navigation():
        page.get_by_role("button", name=name, exact=True).locator("visible=true").first.click()


def expect_parts(page, address):
    expect(page).to_have_url(f"/image_search?{address}&{FEW}")


@plain
def test_a_typed_text_is_added_to_a_photo(visit, scripts):
    page = visit(f"/similar_image?id={LION}&{FEW}", java_script_enabled=scripts)
    search(page, "snow")
    expect_parts(page, f"q=snow&like={LION}")
    search(page, "grass")
    expect_parts(page, f"q=grass&like={LION}")


@plain
def test_a_typed_text_replaces_the_only_text(visit, scripts):
    page = visit(f"/image_search?q=dog&{FEW}", java_script_enabled=scripts)
    search(page, "cat")
    expect(page).to_have_url(f"/image_search?q=cat&{FEW}")
    assert chips(page) == []


@plain
def test_a_plus_or_minus_sign_starts_another_part(visit, scripts):
    page = visit(f"/?{FEW}", java_script_enabled=scripts)
    search(page, "dog -people +snow")
    expect_parts(page, "q=dog&q=snow&without=people")
    assert chips(page) == ["+ dog", "+ snow", "− Without: people"]


@plain
def test_further_and_excluded_texts_are_typed_in_the_menu(visit, scripts):
    page = visit(f"/image_search?q=dog&{FEW}", java_script_enabled=scripts)
    page.locator(".add summary").click()
    page.get_by_label("And also").fill("snow")
    page.get_by_label("But without").fill("people")
    press(page, "Apply")
    expect_parts(page, "q=dog&q=snow&without=people")


@plain
def test_chips_are_removed_inverted_and_weighted(visit, scripts):
    page = visit(MIXED, java_script_enabled=scripts)
    open_chip(page, "people")
    press(page, "2 times")
    expect_parts(page, f"q=dog&like={LION}&without=people&weight=1&weight=1&weight=2")
    open_chip(page, "people")
    expect(page.get_by_role("button", name="2 times", exact=True).locator("visible=true")).to_have_attribute(
        "aria-pressed", "true"
    )
    press(page, "Search for this instead")
    expect_parts(page, f"q=people&q=dog&like={LION}&weight=2&weight=1&weight=1")
    press(page, "Remove people")
    expect_parts(page, f"q=dog&like={LION}")
    press(page, "Remove lion.jpg")
    expect_parts(page, "q=dog")


def test_the_back_button_leads_through_the_edits(visit):
    page = visit(MIXED)
    press(page, "Remove people")
    press(page, "Remove lion.jpg")
    page.go_back()
    assert chips(page) == ["+ lion.jpg"]
    page.go_back()
    assert chips(page) == ["+ lion.jpg", "− Without: people"]


def test_a_shared_address_shows_the_same_search(visit):
    page, other = (visit(MIXED.replace(FEW, "k=20")) for _ in range(2))
    assert shown(page) == shown(other)
    assert chips(other) == ["+ lion.jpg", "− Without: people"]
    expect(other.get_by_role("searchbox")).to_have_value("dog")


def test_the_keyboard_moves_from_the_field_to_the_chips_and_removes_them(visit):
    page = visit(MIXED)
    field = page.get_by_role("searchbox")
    field.fill("")
    field.press("Backspace")
    expect(page.locator(".chip summary").last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Search for this instead")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Search for this instead")).to_be_hidden()
    expect(page.locator(".chip summary").last).to_be_focused()
    with page.expect_navigation():
        page.keyboard.press("Delete")
    assert chips(page) == ["+ lion.jpg"]


def test_backspace_in_a_text_only_shortens_it(visit):
    page = visit(MIXED)
    page.get_by_role("searchbox").press("End")
    page.keyboard.press("Backspace")
    expect(page.get_by_role("searchbox")).to_have_value("do")


def test_enter_in_the_field_searches_and_presses_no_chip(visit):
    page = visit(MIXED)
    page.get_by_role("searchbox").fill("cat")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect_parts(page, f"q=cat&like={LION}&without=people")


def test_a_menu_closes_by_a_click_beside_it(visit):
    page = visit(MIXED)
    open_chip(page, "people")
    page.locator("footer").click()
    expect(page.get_by_role("button", name="Search for this instead")).to_be_hidden()


def test_filters_in_force_stay_with_a_new_text_and_are_cleared(visit):
    page = visit("/image_search?q=dog&folder=cats")
    search(page, "stripes")
    expect(page).to_have_url("/image_search?folder=cats&q=stripes&k=20")
    assert all(image_id.startswith("cats/") for image_id in shown(page))
    with page.expect_navigation():
        page.locator(".tags").get_by_role("link", name="Folder: cats").click()
    expect(page).to_have_url("/image_search?q=stripes&k=20")


def test_a_photo_in_the_lightbox_can_be_added_to_the_search(visit):
    page = visit(f"/image_search?q=dog&like={LION}&weight=1&weight=2&{FEW}#photo={TIGER}")
    press(page, "Add to the search")
    expect_parts(page, f"q=dog&like={LION}&like={TIGER}&weight=1&weight=2&weight=1")


# Uploads, which no address can name


def send_truck(page, *, scripts):
    """Search by the photo of a truck; without a script, press the button that sends it."""
    if scripts:
        choose(page, PHOTOS / TRUCK)
    else:
        page.locator("#image").set_input_files(PHOTOS / TRUCK)
        press(page, "Find similar")


@plain
def test_an_upload_stays_while_texts_and_chips_come_and_go(visit, scripts):
    page = visit(f"/?{FEW}", java_script_enabled=scripts)
    send_truck(page, scripts=scripts)
    search(page, "snow -people")
    assert chips(page) == ["+ your photo", "− Without: people"]
    expect(page.get_by_alt_text("The photo you sent")).to_be_visible()
    press(page, "Remove people")
    assert chips(page) == ["+ your photo"]
    press(page, "Remove your photo")
    expect_parts(page, "q=snow")


def test_a_pasted_photo_is_added_to_the_search(visit):
    page = visit(MIXED)
    bring(page, TRUCK, by=("paste",))
    assert chips(page) == ["+ lion.jpg", "+ your photo", "− Without: people"]
    expect(page.get_by_role("searchbox")).to_have_value("dog")


def test_more_results_of_an_upload_load_by_themselves(page):
    choose(page, PHOTOS / TRUCK)
    button = page.get_by_role("button", name="More photos")
    button.dispatch_event("click")
    expect(page.locator("#range")).to_have_text("1–40")
    button.dispatch_event("click")
    expect(page.locator("#range")).to_have_text("1–60")
    assert len(shown(page)) == len(set(shown(page))) == 60
    page.mouse.wheel(0, 20_000)
    expect(page.locator("#range")).to_have_text(re.compile(r"^1–(80|1\d\d)$"))  # more load near the end
    photos = shown(page)
    assert len(photos) == len(set(photos)) >= 80


@plain
def test_an_upload_stays_in_another_language(visit, scripts):
    page = visit("/?k=10", java_script_enabled=scripts)
    send_truck(page, scripts=scripts)
    before = shown(page)
    press(page, "Français")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.get_by_alt_text("Votre photo")).to_be_visible()
    assert shown(page) == before
    search(page, "snow", button="Rechercher")
    expect(page.locator("html")).to_have_attribute("lang", "fr")


def test_a_file_that_is_no_photo_leaves_the_search_as_it_was(visit, tmp_path):
    (tmp_path / "notes.jpg").write_text("no photo")
    page = visit(MIXED)
    choose(page, tmp_path / "notes.jpg")
    expect(page.get_by_role("alert")).to_contain_text("no known image format")
    assert chips(page) == ["+ lion.jpg", "− Without: people"]
    search(page, "dog -people")
    expect_parts(page, f"q=dog&like={LION}&without=people")


def test_filters_of_an_upload_are_cleared(page):
    choose(page, PHOTOS / TRUCK)
    page.locator(".filters summary").click()
    page.locator(".filters").get_by_label("wild-animals").check()
    press(page, "Apply")
    assert all(image_id.startswith("wild-animals/") for image_id in shown(page))
    page.locator(".filters summary").click()
    press(page, "Remove all filters")
    assert shown(page)[0] == TRUCK


def test_a_touch_screen_offers_the_camera(visit):
    page = visit(f"/?{FEW}", **PHONE)
    page.locator(".add summary").tap()
    camera = page.get_by_label("Take a photo")
    expect(camera).to_have_attribute("capture", "environment")
    with page.expect_navigation():
        camera.set_input_files(PHOTOS / TRUCK)
    assert shown(page)[0] == TRUCK


def test_no_camera_is_offered_if_there_is_a_mouse(page):
    page.locator(".add summary").click()
    expect(page.get_by_label("And also")).to_be_visible()
    expect(page.get_by_label("Take a photo")).to_be_hidden()


# Phones


@pytest.mark.parametrize("path", ["/", "/image_search?q=dog"])
def test_on_a_phone_the_text_and_the_add_buttons_have_a_row_each(visit, path):
    page = visit(path, **PHONE)
    for row in ((".brand", "#q", ".go"), (".pick", ".add summary", ".by-image label")):
        boxes = [page.locator(f"header {place}").bounding_box() for place in row]
        middles = [box["y"] + box["height"] / 2 for box in boxes]
        assert max(middles) - min(middles) < 4
        assert min(box["height"] for box in boxes if box != boxes[0]) >= 40
    assert page.locator("#q").bounding_box()["width"] >= 220
    assert page.locator("header").bounding_box()["height"] < 120


@pytest.mark.parametrize("menu", [".add", ".chip:last-child"])
def test_menus_lie_within_the_window(visit, menu):
    page = visit(MIXED)
    for width in (360, 700, 1440):
        page.set_viewport_size({"width": width, "height": 740})
        page.locator(f"{menu} summary").click()
        (box,) = settled_boxes(page, f"{menu} .menu")
        assert box["x"] >= 0, width
        assert box["x"] + box["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.keyboard.press("Escape")
        expect(page.locator(f"{menu} .menu")).to_be_hidden()


def test_on_a_phone_chips_are_edited_by_touch(visit):
    page = visit(MIXED, **PHONE)
    page.locator(".chip summary").last.tap()
    with page.expect_navigation():
        page.get_by_role("button", name="Search for this instead").tap()
    assert chips(page) == ["+ people", "+ dog", "+ lion.jpg"]
