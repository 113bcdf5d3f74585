"""The interface in the reader's language."""

import re
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from app import create_app
from app.web.languages import LANGUAGES, language
from image_embeddings import Collection, Collections, Hit, ImageDocument, SearchResult, errors
from image_embeddings.config import load_settings
from image_embeddings.documents import Bucket, Facets, PlaceBucket
from tests.pictures import save
from tests.pseudo import forgotten, write_translations

OTHERS = [code for code in LANGUAGES if code != "en"]
# One app for all tests: a new one would compile its templates anew. Each client brings the services of its own.
APP = create_app(load_settings({}))


@dataclass(frozen=True, kw_only=True)
class Found:
    """Services whose search always returns the same result, or fails."""

    result: SearchResult
    progress: object = None
    error: errors.ImageSearchError | None = None
    settings: object = load_settings({})

    @property
    def search(self):
        return self

    index = search

    def indexing_failure(self):
        return ""

    def indexing(self):
        return self.progress

    def collections(self, *, total, needed):
        one = Collection(name="cats", count=12_345, examples=(document("1.jpg"),))
        return Collections(by="folder", total=total, found=(one,) * 13)

    def get(self, image_id):
        return document(image_id)

    def get_many(self, image_ids):
        return {image_id: document(image_id) for image_id in image_ids}

    def by_parts(self, *parts, **page):
        if self.error:
            raise self.error
        return self.result

    browse = by_parts


def document(image_id):
    return ImageDocument(image_id=image_id, width=3, height=2, bytes=1, mtime_ns=1, content_hash="0" * 64)


def hit(rank, *, matches=None, score=0.75, folded=()):
    return Hit(rank=rank, score=score, document=document(f"{rank}.jpg"), matches=matches, folded=folded)


def result(*hits, **given):
    values = {"total": 12_345, "matching": 12_345, "model_id": "conse", "text_encoder": "local"}
    return SearchResult(hits=hits, **values | given)


def client(found, *, lang=None, app=APP, **services):
    """A browser for the app, whose searches return this from now on."""
    app.extensions["services"] = Found(result=found, **services)
    web = app.test_client()
    if lang:
        web.set_cookie("lang", lang)
    return web


# Which one


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("ja-JP", "ja"),
        ("pt,fr;q=0.5,en;q=0.1", "fr"),
        ("en-GB", "en"),
        ("tlh", "en"),
        ("", "en"),
    ],
)
def test_the_page_has_the_language_that_the_browser_prefers(asked, expected):
    with APP.test_request_context(headers={"Accept-Language": asked}):
        assert language() == expected


@pytest.mark.parametrize(("kept", "expected"), [("fr", "fr"), ("en", "en"), ("tlh", "de"), ("", "de")])
def test_the_language_that_was_chosen_goes_first(kept, expected):
    with APP.test_request_context(headers={"Accept-Language": "de", "Cookie": f"lang={kept}"}):
        assert language() == expected


def test_a_choice_is_kept_for_a_year_and_leads_to_the_same_page():
    answer = client(result(hit(1))).get("/image_search?q=a+cat&q=%26+a+dog&lang=de&k=20")
    assert (answer.status_code, answer.location) == (302, "/image_search?q=a+cat&q=%26+a+dog&k=20")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("lang=de; ")
    assert {"Max-Age=31536000", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_over_tls_the_choice_is_kept_for_tls_alone():
    answer = client(result()).get("/?lang=ja", base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize("address", ["/?lang=tlh", "/?lang=", "/?lang=../de"])
def test_an_unknown_language_is_not_kept(address):
    answer = client(result()).get(address)
    assert (answer.status_code, answer.location) == (302, "/")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("more", ["next=//evil.example", "_external=1&_scheme=evil", "endpoint=x", "_anchor=x"])
def test_the_choice_never_leads_to_another_site(more):
    found = client(result(hit(1)))
    assert found.get(f"/similar_image?{more}&lang=de").location == f"/similar_image?{more.replace('//', '%2F%2F')}"
    assert (
        f'href="/image_search?q=a&amp;{more.split("&")[0].split("=")[0]}='
        in found.get(f"/image_search?q=a&{more}").text
    )


@pytest.mark.parametrize("address", ["/api/v1/search?q=a&lang=de", "/nowhere?lang=de", "/healthz?lang=de"])
def test_only_pages_take_a_choice(address):
    with client(result()).get(address) as answer:
        assert "Set-Cookie" not in answer.headers


def test_every_page_says_its_language_and_offers_the_others():
    page = client(result(hit(1)), lang="fr").get("/image_search?q=a+cat")
    assert page.headers["Content-Language"] == "fr"
    assert {"Accept-Language", "Cookie"} <= {name.strip() for name in page.headers["Vary"].split(",")}
    assert '<html lang="fr">' in page.text
    for code, name in LANGUAGES.items():
        now = ' aria-current="true"' if code == "fr" else ""
        link = f'<a href="/image_search?q=a+cat&amp;lang={code}" hreflang="{code}" lang="{code}"{now}>{name}</a>'
        assert link in page.text


@pytest.mark.parametrize("address", ["/nowhere", "/image/none.jpg"])
def test_a_choice_without_an_address_to_return_to_leads_to_the_first_page(address):
    assert '<a href="/?lang=de" hreflang="de" lang="de">' in client(result()).get(address).text


def test_numbers_are_written_as_the_language_writes_them():
    for code, expected in {"en": "12,345", "de": "12.345", "fr": "12\u202f345", "ja": "12,345"}.items():
        assert expected in client(result(hit(1)), lang=code).get("/").text
    page = client(result(hit(1)), lang="de").get("/image_search?q=a").text
    assert '<span class="number">0,500</span>' in page


# Every page


MANY = (hit(1, matches=True, folded=(hit(2),)), hit(3, matches=False))
FACETS = Facets(
    values={
        "folder": (Bucket(value="cats", count=1200),),
        "camera": (Bucket(value="X100", count=2),),
        "orientation": (Bucket(value="landscape", count=1), Bucket(value="square", count=1)),
    },
    taken=(Bucket(value="2024-01-01", count=1),),
    taken_step="year",
    place=(PlaceBucket(lat=41.9, lon=12.5, count=3, box=(41.9, 12.5, 41.9, 12.5)),),
)
TOOK = {"load": 1.0, "encode": 12.0, "search": 3.0, "total": 15.0}
GONE = errors.IndexForeignError("Nothing answers.")
PAGES = {
    "home": ("/", result(hit(1)), {}),
    "empty": ("/", result(total=0), {}),
    "indexing": ("/", result(hit(1)), {"progress": SimpleNamespace(alive=True, done=1, found=1, total=2)}),
    "stopped": ("/", result(hit(1)), {"progress": SimpleNamespace(alive=False, done=1, found=1, total=2)}),
    "text": ("/image_search?q=zebra", result(*MANY, took_ms=TOOK, facets=FACETS), {}),
    "none matches": ("/image_search?q=zebra", result(hit(1, matches=False)), {}),
    "second page": ("/image_search?q=zebra&k=20&offset=20", result(hit(21, score=0.5), hit(22, score=0.99)), {}),
    "in Elasticsearch": ("/image_search?q=zebra", result(hit(1), model_id="clip", text_model_id="clip"), {}),
    "note": ("/image_search?q=zebra", result(hit(1), note="Something was done instead."), {}),
    "filtered": ("/image_search?q=zebra&folder=cats&sort=newest", result(hit(1), facets=FACETS), {}),
    "narrowed": (
        "/image_search?folder=cats&orientation=square&from=2024&to=2025-01&place=40,10,45,15&min_width=700&min_height=900",
        result(hit(1), facets=FACETS),
        {},
    ),
    "from a day": ("/image_search?from=2024-05-01", result(hit(1), facets=FACETS), {}),
    "until a month": ("/image_search?to=2024-05&sort=oldest", result(hit(1), facets=FACETS), {}),
    "collections": ("/collections", result(hit(1)), {}),
    "browsed": ("/image_search?folder=cats", result(hit(1, score=None), text_encoder=None), {}),
    "similar": ("/similar_image?id=1.jpg", result(hit(2), text_encoder=None), {}),
    "no other": ("/similar_image?id=1.jpg", result(), {}),
    "nothing": ("/image_search?q=zebra", result(), {}),
    "nothing by filters": ("/image_search?q=zebra&folder=cats", result(), {}),
    "empty index": ("/image_search?q=zebra", result(total=0), {}),
    "no more": ("/image_search?q=zebra&offset=40", result(), {}),
    "upload": ("POST", result(hit(1)), {}),
    "not found": ("/nowhere", result(), {}),
    "no such photo": ("/image_search?q=zebra", result(), {"error": errors.ImageNotFoundError("None.")}),
    "bad query": ("/image_search?q=zebra&k=0", result(), {}),
    "too large": ("/image_search?q=zebra", result(), {"error": errors.ImageTooLargeError("Too many pixels.")}),
    "unreadable": ("/image_search?q=zebra", result(), {"error": errors.ImageUnreadableError("Not an image.")}),
    "text refused": ("/image_search?q=zebra", result(), {"error": errors.TextModelInputError("Refused.")}),
    "gone": ("/image_search?q=zebra", result(), {"error": GONE}),
}
DATA = ("zebra", "1.jpg", "2.jpg", "3.jpg", "21.jpg", "22.jpg", "cats", "X100", "conse", "clip", "ms", "日本語")


@pytest.fixture(scope="module")
def in_brackets(tmp_path_factory):
    """The app with translations in which Japanese is English in brackets."""
    folder = tmp_path_factory.mktemp("translations")
    write_translations(folder, "ja")
    app = create_app(load_settings({}))
    app.extensions["babel"].translation_directories[:] = [str(folder)]
    app.jinja_env.bytecode_cache = None  # other apps have the real translations
    return app


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo to send."""
    return save(tmp_path_factory.mktemp("photo") / "x.png", colour="red")


def text_of(page, *, photo, lang, app=APP):
    """Return the text of a page of PAGES in a language."""
    address, found, services = page
    web = client(found, lang=lang, app=app, **services)
    if address == "POST":
        return web.post("/similar_image", data={"image": photo.open("rb")}).text
    return web.get(address).text


def test_every_text_of_a_page_is_translated(in_brackets, photo):
    texts = {name: text_of(page, photo=photo, lang="ja", app=in_brackets) for name, page in PAGES.items()}
    assert [name for name, text in texts.items() if text.count("⟦") <= 10] == []
    found = {name: forgotten(text, language="ja", data=DATA) for name, text in texts.items()}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_the_tests_find_a_text_that_is_not_translated():
    page = '<p title="⟦All⟧ well">⟦Model <b>conse</b>⟧ as <code>code</code> <i lang="en">in English</i> zebra</p>'
    assert forgotten(page, language="ja", data=("zebra",)) == ["as", "well"]


def is_made(text, code):
    """Return whether a page is in that language, with all placeholders of its texts filled in."""
    seen = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    return f'<html lang="{code}">' in text and not re.search(r"%\(\w+\)|\{\w+\}", seen)


def test_every_page_can_be_made_in_every_language(photo):
    pages = [(name, code) for name in PAGES for code in OTHERS]
    wrong = [(name, code) for name, code in pages if not is_made(text_of(PAGES[name], photo=photo, lang=code), code)]
    assert wrong == []


def test_messages_of_the_library_are_marked_as_english():
    page = client(result(), error=GONE, lang="de").get("/image_search?q=a").text
    assert '<p class="notice error" role="alert" lang="en">Nothing answers.</p>' in page
    assert "<h1>Das lässt sich gerade nicht beantworten</h1>" in page
    page = client(result(hit(1), note="As said."), lang="de").get("/image_search?q=a").text
    assert '<p class="notice" role="status" lang="en">As said.</p>' in page
