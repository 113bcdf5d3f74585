"""Collections: from the setting and the index to the API, the home page and the picker."""

import html5lib
import pytest

from image_embeddings.es.collections import MAX_COLLECTIONS, SHARD_COLLECTIONS, Collections, collections_search
from image_embeddings.es.image_index import ImageIndex
from tests.fakes import ColourEncoder
from tests.server.six_photos import PHOTOS, photo
from tests.server.web_client import make_app

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def own(cluster):
    """The six photos, and one that is in no folder; no test changes it."""
    index = ImageIndex(cluster, name="test-collections")
    index.drop()
    index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    assert list(index.documents.add([*PHOTOS, photo("alone.jpg", "red", extra={"shelf": "a=b", "a.*": "3"})])) == []
    index.refresh()
    yield index
    index.drop()


@pytest.fixture
def client(own, tmp_path):
    """Return a client of the app with that setting."""
    return lambda collections="folder": make_app(own, tmp_path, collections=collections).test_client()


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("folder", {"rome": (3, {"folder": "rome"}), "oslo": (2, {"folder": "oslo"}), "fiji": (1, {"folder": "fiji"})}),
        ("label", {"winter": (2, {"label": "winter"})}),
        (
            "column:shelf",
            {
                "3": (1, {"column": "shelf=3"}),
                "4": (1, {"column": "shelf=4"}),
                "a=b": (1, {"column": "shelf=a=b"}),
            },
        ),
        ("column:a.*", {"3": (1, {"column": "a.*=3"})}),
        ("column:nothing", {}),
        ("none", {}),
    ],
)
def test_the_api_names_the_collections_and_how_to_search_in_them(client, by, expected):
    answer = client(by).get("/api/v1/collections").json
    assert (answer["by"], answer["total"]) == (by, 7)
    assert {found["name"]: (found["count"], found["filter"]) for found in answer["collections"]} == expected
    for found in answer["collections"]:
        inside = client(by).get("/api/v1/search", query_string={"q": "red", **found["filter"]}).json
        assert inside["matching"] == found["count"]


def test_the_largest_come_first_with_their_latest_photos_as_examples(client):
    first, *others = client().get("/api/v1/collections").json["collections"]
    assert [first["count"], *(found["count"] for found in others)] == [3, 2, 1]
    assert [example["image_id"] for example in first["examples"]] == [
        "rome/IMG_0007.jpg",
        "rome/red.jpg",
        "rome/night/yellow.jpg",
    ]


def test_one_request_without_embeddings_and_fingerprints_reads_the_collections():
    body = collections_search("folder")
    assert body["size"] == 0
    terms = body["aggs"]["collections"]
    assert terms["terms"] == {
        "field": "folders",
        "include": "[^/]+",
        "size": MAX_COLLECTIONS,
        "shard_size": SHARD_COLLECTIONS,
    }
    assert terms["aggs"]["examples"]["top_hits"]["_source"] == {"excludes": ["image_embedding", "fingerprint"]}


def test_a_filter_is_named_after_the_setting():
    made = Collections(by="column:a:b", total=0, found=())
    assert (made.filter_name, made.value_prefix + "x") == ("column", "a:b=x")


def test_new_photos_are_in_the_collections_as_soon_as_a_page_has_counted_them(index, tmp_path):
    web = make_app(index, tmp_path).test_client()
    list(index.documents.add([PHOTOS[0]]))
    index.refresh()
    assert picker(web.get("/")) == ["All photos", "rome (1)"]
    list(index.documents.add([PHOTOS[3]]))
    index.refresh()
    assert picker(web.get("/image_search?q=red")) == ["All photos", "oslo (1)", "rome (1)"]
    assert len(web.get("/api/v1/collections").json["collections"]) == 2


def test_collections_are_not_read_for_every_page(own, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        own.documents, "collections", lambda by: asked.append(by) or Collections(by=by, total=7, found=())
    )
    web = make_app(own, tmp_path).test_client()
    for path in ("/", "/image_search?q=red", "/image_search?q=blue", "/collections", "/api/v1/collections"):
        assert web.get(path).status_code == 200
    assert asked == ["folder"]


# The pages


def tree(page):
    return html5lib.parse(page.text, namespaceHTMLElements=False)


def picker(page, *, selected=False):
    options = tree(page).iterfind(".//select[@id='collection']/option")
    return [option.text for option in options if not selected or "selected" in option.attrib]


def test_home_shows_cards_of_the_collections(client):
    cards = tree(client().get("/")).findall(".//ul[@class='cards']/li/a")
    assert [card.get("href") for card in cards] == [f"/image_search?folder={name}" for name in ("rome", "oslo", "fiji")]
    assert [len(card.findall(".//img")) for card in cards] == [3, 2, 1]


@pytest.mark.parametrize("path", ["/", "/image_search?q=red", "/similar_image?id=rome/red.jpg", "/collections"])
def test_every_page_has_the_picker_of_collections(client, path):
    page = client().get(path)
    assert picker(page) == ["All photos", "fiji (1)", "oslo (2)", "rome (3)"]
    assert picker(page, selected=True) == ["All photos"]


@pytest.mark.parametrize(
    ("filters", "selected"),
    [
        ("folder=oslo", ["oslo (2)"]),
        ("folder=rome/night", ["rome/night"]),
        ("folder=rome&folder=oslo", ["rome + oslo"]),
        ("label=winter", ["All photos"]),
    ],
)
def test_the_picker_shows_the_collection_of_the_search(client, filters, selected):
    assert picker(client().get(f"/image_search?q=red&{filters}"), selected=True) == selected


def test_a_column_is_picked_by_its_name_and_value(client):
    page = client("column:shelf").get("/image_search?column=shelf=a%3Db")
    assert picker(page, selected=True) == ["a=b (1)"]
    other = client("column:shelf").get("/image_search?q=red&column=shelf=x&column=mood=calm&collection=in+shelf=a%3Db")
    assert other.location == "/image_search?q=red&column=mood%3Dcalm&column=shelf%3Da%3Db&k=20"
    assert tree(page).find(".//h1").text == "a=b"


def test_a_collection_has_a_page_of_its_own(client):
    page = client().get("/image_search?folder=rome")
    assert tree(page).find(".//h1").text == "rome"
    assert "of 3 photos, the latest first" in " ".join("".join(tree(page).find(".//main").itertext()).split())


@pytest.mark.parametrize("by", ["none", "column:nothing"])
def test_without_collections_there_is_nothing_to_pick(client, by):
    web = client(by)
    assert picker(web.get("/")) == []
    assert tree(web.get("/")).find(".//ul[@class='cards']") is None
    assert "There are no collections." in web.get("/collections").text


def test_home_shows_some_collections_and_links_to_the_others(index, tmp_path):
    list(index.documents.add([photo(f"{number:02}/red.jpg", "red") for number in range(15)]))
    index.refresh()
    web = make_app(index, tmp_path).test_client()
    assert len(tree(web.get("/")).findall(".//ul[@class='cards']/li")) == 12
    assert "All 15 collections" in web.get("/").text
    assert len(tree(web.get("/collections")).findall(".//ul[@class='cards']/li")) == 15
