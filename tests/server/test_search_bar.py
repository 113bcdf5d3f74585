"""The search bar's form on the pages, several photos at once, and the API's answers to them; on the real node."""

import re
from io import BytesIO

import html5lib
import pytest

from app.search_request.schemas import MAX_UPLOADS
from tests.server.web_client import colour_app, picture, shown, upload

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def web(cluster, tmp_path_factory):
    """The app over the colour photos; no test changes them."""
    with colour_app(cluster, tmp_path_factory.mktemp("bar"), name="test-bar") as app:
        yield app.test_client()


def tree_of(page):
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page.text)


def fields(page, form="ask"):
    """Return names and values that the form sends unchanged."""
    found = tree_of(page).find(f".//form[@id='{form}']")
    sent = [
        (field.get("name"), field.get("value") or "") for field in found.iter("input") if field.get("type") != "file"
    ]
    picked = [
        (select.get("name"), option.get("value"))
        for select in found.iter("select")
        for option in select.iter("option")
        if option.get("selected") is not None and select.get("name") != "k"
    ]
    return [(name, value) for name, value in [*sent, *picked] if value]


def files(*data):
    return [(BytesIO(each), f"{number}.png") for number, each in enumerate(data)]


def test_a_single_text_stands_in_the_field(web):
    assert fields(web.get("/image_search?q=red")) == [("q", "red")]


def test_parts_are_chips_whose_values_are_sent_again(web):
    page = web.get("/image_search?q=red&like=cold/deep/green.png&without=blue&weight=1&weight=2&weight=0.5")
    assert fields(page) == [
        ("like", "cold/deep/green.png"),
        ("without", "blue"),
        ("weight", "2"),
        ("weight", "0.5"),
        ("text", "red"),
    ]


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("like=warm/red.png&text=blue&image=", "q=blue&like=warm/red.png"),
        ("q=red&like=warm/red.png&edit=remove+0&text=blue", "q=blue&like=warm/red.png"),
        ("like=warm/red.png&edit=turn+0&text=blue", "q=blue&unlike=warm/red.png"),
        ("like=warm/red.png&edit=weigh+0+4&text=blue", "q=blue&like=warm/red.png&weight=1&weight=4"),
        ("q=red+-blue", "q=red&without=blue"),
        ("q=red&not=blue&text=&folder=warm&sort=newest", "q=red&without=blue&folder=warm&sort=newest"),
        ("q=red&add=warm/red.png%23xywh%3Dpercent:0,0,50,50", "q=red&like=warm/red.png%23xywh%3Dpercent:0,0,50,50"),
    ],
)
def test_the_form_leads_to_an_address_with_all_its_values(web, sent, address):
    location = web.get(f"/image_search?{sent}&k=20").location
    assert location.replace("k=20&", "").removesuffix("&k=20") == f"/image_search?{address}"
    assert web.get(location).status_code == 200


def test_filters_in_force_are_sent_with_a_new_text(web):
    sent = fields(web.get("/image_search?q=red&folder=warm&from=2020&sort=newest&min_width=1"))
    assert {("folder", "warm"), ("from", "2020"), ("sort", "newest"), ("min_width", "1")} < set(sent)


def test_the_picked_collection_is_sent_once(web):
    sent = fields(web.get("/image_search?q=red&folder=warm"))
    assert [value for name, value in sent if name == "folder"] == ["warm"]
    several = fields(web.get("/image_search?q=red&folder=warm&folder=cold"))
    assert [value for name, value in several if name == "folder"] == ["warm", "cold"]


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        ("q=red&collection=in+cold", "q=red&folder=cold"),
        ("q=red&folder=warm&folder=cold/deep&collection=in+cold", "q=red&folder=cold"),
        ("q=red&folder=warm&folder=cold&label=x&collection=all", "q=red&label=x"),
        ("q=red&folder=warm&collection=", "q=red&folder=warm"),
        ("q=red&folder=warm&from=&camera=", "q=red&folder=warm"),
    ],
)
def test_a_picked_collection_takes_the_place_of_others_and_empty_fields_are_left_out(web, sent, address):
    assert web.get(f"/image_search?{sent}").location == f"/image_search?{address}&k=20"


@pytest.mark.parametrize("picked", ["in", "al", "in ", "all cold"])
def test_an_impossible_collection_is_refused(web, picked):
    assert web.get("/image_search", query_string={"q": "red", "collection": picked}).status_code == 400


def test_with_an_upload_a_collection_is_picked_too(web):
    page = web.post("/similar_image", data=upload(picture("red"), folder="warm", collection="in cold"))
    assert {image_id.partition("/")[0] for image_id in shown(page)} == {"cold"}


def test_one_of_the_hits_is_searched_by_within_the_same_filters(web):
    tree = tree_of(web.get("/image_search?q=red&folder=warm&min_width=10&k=10"))
    [first, *_] = [link.get("href") for link in tree.iter("a") if link.get("class") == "like"]
    assert first == "/similar_image?folder=warm&min_width=10&k=10&id=warm/red.png"
    assert {image_id.partition("/")[0] for image_id in shown(web.get(first))} == {"warm"}
    lightbox = tree.find(".//dialog[@id='lightbox']")
    assert lightbox.get("data-similar") == "/similar_image?folder=warm&min_width=10&k=10&id="
    assert lightbox.get("data-part") == "/image_search?folder=warm&min_width=10&k=10&like="


def test_the_filter_form_keeps_all_parts_and_their_weights(web):
    page = web.get("/image_search?q=red&unlike=cold/deep/green.png&weight=2&weight=1")
    form = tree_of(page).find(".//details[@class='filters']/form")
    sent = [(field.get("name"), field.get("value")) for field in form.iter("input") if field.get("type") == "hidden"]
    assert sent[:4] == [("q", "red"), ("unlike", "cold/deep/green.png"), ("weight", "2"), ("weight", "1")]


def test_an_upload_is_searched_by_again_with_a_text_and_without(web):
    page = web.post("/similar_image", data=upload(picture("red"), "mine.png"))
    carried = dict(fields(page))["picture"]
    together = web.post("/similar_image", data={"picture": carried, "text": "green", "k": "2"})
    assert shown(together)[0] == "warm/yellow.png"
    assert dict(fields(together)) == {"picture": carried, "text": "green"}


def test_further_photos_of_an_upload_are_asked_for_by_a_form(web):
    page = web.post("/similar_image", data=upload(picture("yellow"), k="2", folder="warm"))
    form = tree_of(page).find(".//form[@class='pager']")
    sent = {field.get("name"): field.get("value") for field in form.iter("input")}
    button = form.find("button")
    following = web.post("/similar_image", data={**sent, button.get("name"): button.get("value")})
    assert (len(shown(page)), len(shown(following))) == (2, 1)
    assert not set(shown(page)) & set(shown(following))
    assert all(photo.startswith("warm/") for photo in shown(following))
    assert tree_of(following).find(".//form[@class='pager']") is None


def test_an_upload_is_added_to_the_parts(web):
    page = web.post("/similar_image", data=upload(picture("red"), like="cold/deep/green.png", text="", k="2"))
    assert shown(page)[0] == "warm/yellow.png"


def test_a_part_of_an_upload_is_searched_by(web):
    page = web.post("/similar_image", data=upload(picture("red", size=(80, 40)), "mine.png"))
    carried = dict(fields(page))["picture"]
    part = web.post("/similar_image", data={"picture": f"{carried}#xywh=percent:50,0,50,100"})
    assert shown(part)[0] == "warm/red.png"
    assert dict(fields(part))["picture"] != carried


def test_an_upload_stays_when_another_language_is_chosen(web):
    page = web.post("/similar_image", data=upload(picture("red"), folder="warm", k="2"))
    form = tree_of(page).find(".//nav[@class='languages']/form")
    sent = {field.get("name"): field.get("value") for field in form.iter("input")}
    [french] = [button.get("formaction") for button in form.iter("button") if button.get("lang") == "fr"]
    answer = web.post(french, data=sent)
    assert (shown(answer)[0], len(shown(answer))) == (shown(page)[0], 2) == ("warm/red.png", 2)
    assert 'lang="fr"' in answer.text
    assert answer.headers["Set-Cookie"].startswith("lang=fr; ")
    web.delete_cookie("lang")


def test_rows_offer_no_language_because_they_could_not_be_shown_again(web):
    page = web.post("/similar_image", data={"image": files(picture("red"), picture("blue"))})
    assert tree_of(page).find(".//nav[@class='languages']") is None


def test_the_rest_of_the_search_stays_if_a_file_is_no_photo(web):
    sent = upload(b"no photo", like="cold/deep/green.png", without="blue", folder="warm", text="red")
    answer = web.post("/similar_image", data=sent)
    assert answer.status_code == 415
    assert "no known image format" in answer.text
    assert fields(answer) == [
        ("like", "cold/deep/green.png"),
        ("without", "blue"),
        ("folder", "warm"),
        ("text", "red"),
    ]
    alone = web.post("/similar_image", data=upload(b"no photo"))
    assert (alone.status_code, fields(alone)) == (415, [])


@pytest.mark.parametrize(
    ("asked", "said", "kept"),
    [
        (
            "q=red&folder=warm&from=2024&to=2023",
            "Swap them",
            [("folder", "warm"), ("from", "2024"), ("to", "2023"), ("q", "red")],
        ),
        ("without=red&like=", "Everything is to be left out", [("without", "red")]),
        ("q=red&image=mine.png", "The photo was not sent", [("q", "red")]),
    ],
)
def test_a_search_that_is_refused_stays_in_the_form_to_be_corrected(web, asked, said, kept):
    answer = web.get(f"/image_search?{asked}", follow_redirects=True)
    assert answer.status_code == 400
    assert said in answer.text
    assert fields(answer) == kept


def test_the_tag_of_an_impossible_filter_removes_it(web):
    answer = web.get("/image_search?q=red&folder=warm&from=2024&to=2023")
    [taken] = [
        link.get("href")
        for link in tree_of(answer).iterfind(".//ul[@class='tags']/li/a")
        if "from" not in link.get("href")
    ][:1]
    assert taken == "/image_search?q=red&folder=warm&k=20"


def test_filters_are_shown_beside_uploads(web):
    one = web.post("/similar_image", data=upload(picture("red"), folder="warm"))
    rows = web.post("/similar_image", data={"image": files(picture("red"), picture("blue")), "folder": "warm"})
    for page in (one, rows):
        assert [tag.text for tag in tree_of(page).iterfind(".//ul[@class='tags']/li/span")] == ["Folder: warm"]


def test_after_the_last_upload_is_removed_the_search_has_an_address(web):
    carried = dict(fields(web.post("/similar_image", data=upload(picture("red")))))["picture"]
    sent = {"picture": carried, "text": "green", "edit": "remove 0", "folder": "warm"}
    answer = web.post("/similar_image", data=sent)
    assert (answer.status_code, answer.location) == (303, "/image_search?q=green&folder=warm&k=20")
    nothing = web.post("/similar_image", data={"picture": carried, "edit": "remove 0", "k": "50"}).location
    assert web.get(nothing).location == "/?k=50"


def test_filters_of_an_upload_are_shown_and_cleared(web):
    page = web.post("/similar_image", data=upload(picture("red"), folder="cold"))
    assert {image_id.partition("/")[0] for image_id in shown(page)} == {"cold"}
    assert 'value="unfilter"' in page.text
    carried = dict(fields(page))["picture"]
    cleared = web.post("/similar_image", data={"picture": carried, "folder": "cold", "edit": "unfilter"})
    assert shown(cleared)[0] == "warm/red.png"
    assert 'value="unfilter"' not in cleared.text


@pytest.mark.parametrize(
    "copy", ["x", "data:image/webp;base64,x", "data:text/html;base64,AAAA", "http://127.0.0.1/x.webp"]
)
def test_a_value_that_is_no_copy_of_a_photo_is_refused(web, copy):
    answer = web.post("/similar_image", data={"picture": copy})
    assert answer.status_code == 400
    assert "Choose the photo again" in answer.text


def test_a_copy_that_holds_no_photo_is_refused(web):
    assert web.post("/similar_image", data={"picture": "data:image/webp;base64,AAAA"}).status_code == 415


def test_a_part_outside_of_the_photo_is_refused(web):
    carried = dict(fields(web.post("/similar_image", data=upload(picture("red")))))["picture"]
    assert web.post("/similar_image", data={"picture": f"{carried}#xywh=percent:90,0,20,10"}).status_code == 400


def test_a_search_of_only_excluded_parts_says_what_is_missing(web):
    assert "Everything is to be left out" in web.get("/image_search?q=-people", follow_redirects=True).text


def test_the_part_of_a_photo_is_shown_by_its_thumbnail_in_a_frame(web):
    page = web.get("/image_search?like=warm/red.png%23xywh=percent:25,50,50,50")
    frame = re.search(r'<svg class="cut" viewBox="([^"]+)"', page.text)[1]
    width, height = 0.25 * 64, 0.5 * 48
    assert [float(number) for number in frame.split()][:2] == [width, height]


# Several photos, a row for each


def rows(page):
    """Return the heading of each row, with its photos or its error."""
    found = []
    for row in tree_of(page).findall(".//section[@class='row']"):
        tiles = [image.get("alt") for image in row.findall(".//li//img[@class='thumbnail']")]
        problem = row.find("p[@class='notice error']")
        found.append((row.find(".//h2").text, tiles if problem is None else problem.text))
    return found


def test_each_of_several_photos_has_its_row_and_a_bad_file_has_an_error_there(web):
    page = web.post("/similar_image", data={"image": files(picture("red"), b"no photo", picture("blue"))})
    (red, first), (none, problem), (blue, last) = rows(page)
    assert (red, none, blue) == ("0.png", "1.png", "2.png")
    assert (first[0], last[0]) == ("warm/red.png", "cold/deep/blue.png")
    assert "no known image format" in problem


def test_rows_keep_text_and_filters(web):
    page = web.post("/similar_image", data={"image": files(picture("red"), picture("cyan")), "folder": "cold"})
    assert all(image_id.startswith("cold/") for _, found in rows(page) for image_id in found)
    mixed = web.post(
        "/similar_image", data={"image": files(picture("red"), picture("red")), "text": "green", "words": "false"}
    )
    assert [found[0] for _, found in rows(mixed)] == ["warm/yellow.png"] * 2


def test_the_rows_lead_to_all_results_of_one_photo_and_to_those_of_all_together(web):
    page = web.post(
        "/similar_image", data={"image": files(picture("red"), b"", picture("green")), "q": "red", "k": "3"}
    )
    carried = {}
    for name, value in fields(page, form="rows"):
        carried.setdefault(name, []).append(value)
    [chosen] = re.findall(r'value="(only \d)">All results<span class="visually-hidden"> – 2.png', page.text)
    one = web.post("/similar_image", data={**carried, "edit": chosen})
    assert [name for name, _ in fields(one)] == ["picture", "text"]
    together = web.post("/similar_image", data={**carried, "edit": ""})
    assert [name for name, _ in fields(together)] == ["picture", "picture", "text"]
    assert (len(shown(one)), len(shown(together))) == (3, 3)


def test_too_many_photos_are_refused(web):
    answer = web.post("/similar_image", data={"image": files(*[picture("red")] * (MAX_UPLOADS + 1))})
    assert answer.status_code == 400
    assert "21 photos; 20 at most" in answer.text


# The same by the API


def test_several_uploads_are_searched_for_together(web):
    answer = web.post("/api/v1/search", data={"image": files(picture("red"), picture("green")), "k": "1"})
    assert [hit["image_id"] for hit in answer.json["hits"]] == ["warm/yellow.png"]


def test_each_of_several_uploads_has_an_answer(web):
    sent = {"image": files(picture("red"), b"no photo", picture("blue")), "k": "1"}
    red, none, blue = web.post("/api/v1/searches", data=sent).json["answers"]
    assert red["result"]["hits"][0]["image_id"] == "warm/red.png"
    assert blue["result"]["hits"][0]["image_id"] == "cold/deep/blue.png"
    assert (list(none), none["error"]["code"]) == (["error"], "image_unreadable")
    assert none["error"]["request_id"]


@pytest.mark.parametrize("count", [0, MAX_UPLOADS + 1])
def test_no_upload_and_too_many_are_refused(web, count):
    answer = web.post("/api/v1/searches", data={"image": files(*[picture("red")] * count), "q": "red"})
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_query")
