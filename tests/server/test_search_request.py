"""Filters, facets, words and several parts in one search: from the address to the hits, on the real node."""

import re
import shutil
from dataclasses import replace
from urllib.parse import parse_qs

import html5lib
import numpy as np
import pytest
from PIL import Image

from app.search_request import crops
from image_embeddings.documents import FORMAT
from image_embeddings.es.filters import Filters
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing import pipeline
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.search.request import Indexed, Part
from image_embeddings.sources.folder_source import FolderSource
from tests.fakes import COLOURS, ColourEncoder, RecordedProgress
from tests.pictures import save
from tests.server.six_photos import PHOTOS, photo
from tests.server.web_client import make_app, picture, upload

pytestmark = pytest.mark.server
ENCODER = ColourEncoder()


@pytest.fixture(scope="module")
def own(cluster):
    """An index of six photos that differ in every property with a filter; no test changes it."""
    index = ImageIndex(cluster, name="test-asking")
    index.drop()
    index.create(model=ENCODER.info, vector_index_type="int8_hnsw")
    assert list(index.documents.add(PHOTOS)) == []
    index.refresh()
    yield index
    index.drop()


@pytest.fixture(scope="module")
def client(own, tmp_path_factory):
    return make_app(own, tmp_path_factory.mktemp("asking")).test_client()


@pytest.fixture
def ask(client):
    """Return the answer of the API to a query."""

    def ask(query, expect=200):
        answer = client.get(f"/api/v1/search?{query}")
        assert answer.status_code == expect, answer.text
        return answer.json

    return ask


def names(answer):
    return [hit["image_id"].rpartition("/")[2].removesuffix(".jpg") for hit in answer["hits"]]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("folder=rome", {"red", "IMG_0007", "yellow"}),
        ("folder=rome/night&folder=fiji", {"yellow", "magenta"}),
        ("from=2024", {"red", "IMG_0007"}),
        ("from=2024-07&to=2024-07", {"IMG_0007"}),
        ("to=2019-01-01", {"yellow"}),
        ("camera=Canon R5&camera=Pixel 8", {"red", "yellow"}),
        ("place=41,12,42,13", {"red", "yellow"}),
        ("place=-20,179,0,-179", {"magenta"}),
        ("orientation=portrait", {"green"}),
        ("orientation=square&min_width=3000&min_height=3000", {"cyan"}),
        ("label=winter", {"green", "cyan"}),
        ("column=shelf=3", {"green"}),
        ("column=shelf=3&column=shelf=4&label=winter", {"green", "cyan"}),
        ("label=winter&folder=rome", set()),
    ],
)
def test_filters_limit_searches_and_browsing(ask, filters, found):
    searched, browsed = ask(f"q=red&{filters}"), ask(filters)
    assert set(names(searched)) == set(names(browsed)) == found
    assert searched["matching"] == browsed["matching"] == len(found)
    assert searched["total"] == 6
    assert [hit["similarity"] for hit in browsed["hits"]] == [None] * len(found)


def counts(buckets):
    return {bucket["value"]: bucket["count"] for bucket in buckets}


def test_facets_count_the_photos_that_each_further_choice_would_find(ask):
    facets = ask("q=red&label=winter&facets=true")["facets"]
    assert counts(facets["folder"]) == {"oslo": 2}
    assert counts(facets["label"]) == {"winter": 2}
    assert counts(facets["orientation"]) == {"portrait": 1, "square": 1}
    assert counts(facets["columns"]["shelf"]) == {"3": 1, "4": 1}
    assert [bucket["count"] for bucket in facets["taken"]] == [1]


def test_the_facets_of_everything(ask):
    facets = ask("from=1900&to=2100&facets=true")["facets"]
    assert counts(facets["folder"]) == {"rome": 3, "rome/night": 1, "oslo": 1}
    assert counts(facets["camera"]) == {"Canon R5": 1, "Pixel 8": 1}
    assert sum(bucket["count"] for bucket in facets["taken"]) == 4


def test_places_near_each_other_are_grouped(ask):
    [rome] = ask("folder=rome&facets=true")["facets"]["place"]
    assert (rome["count"], rome["lat"], rome["lon"]) == (
        2,
        pytest.approx(41.905, abs=0.001),
        pytest.approx(12.495, abs=0.001),
    )
    inside = ask("q=red&place=" + ",".join(map(str, rome["box"])))
    assert set(names(inside)) == {"red", "yellow"}


def test_a_chosen_column_still_shows_its_other_values(ask):
    columns = ask("column=shelf=3&facets=true")["facets"]["columns"]
    assert counts(columns["shelf"]) == {"3": 1, "4": 1}


@pytest.mark.parametrize("name", ['a"b', "<1-5>", "a.*", "(", "~@%26%23", "[^x]", "{2", "\\", "Ö #1"])
def test_the_name_of_a_column_is_no_pattern(ask, name):
    found = ask(f"q=red&column={name.replace('#', '%23')}=3&facets=true")
    assert (found["matching"], counts(found["facets"]["columns"][name.replace("%26%23", "&#")])) == (0, {})


def test_no_facets_unless_asked_for(ask):
    assert "facets" not in ask("q=red")


@pytest.mark.parametrize(("sort", "first"), [("newest", "IMG_0007"), ("oldest", "yellow")])
def test_hits_by_date(ask, sort, first):
    assert names(ask(f"q=red&sort={sort}"))[0] == names(ask(f"from=1900&sort={sort}"))[0] == first
    assert all(-1 <= hit["similarity"] <= 1 for hit in ask(f"q=red&sort={sort}")["hits"])


@pytest.mark.parametrize("text", ["img 0007", "IMG_0007", "uncle bob", "Trevi"])
def test_words_of_name_and_caption_find_their_photo(ask, text):
    found = ask(f"q={text}")
    assert names(found)[0] == "IMG_0007"
    assert [hit["by_words"] for hit in found["hits"]] == [True] + [False] * 5
    assert not any(hit["by_words"] for hit in ask(f"q={text}&words=false")["hits"])


@pytest.mark.parametrize(("text", "found"), [("winter", {"green", "cyan"}), ("überraschung", {"magenta"})])
def test_words_of_labels_and_keywords_find_their_photos(ask, text, found):
    answer = ask(f"q={text}")
    assert set(names({"hits": [hit for hit in answer["hits"] if hit["by_words"]]})) == found


@pytest.mark.parametrize("text", ["!!!", "...", "the of and", "の"])
def test_a_text_that_says_nothing_is_told_and_matches_nothing(ask, text):
    answer = ask(f"q={text}&verdict=true")
    assert (answer["understood"], answer["relevant"], len(answer["hits"])) == (False, 0, 6)
    assert [hit["matches"] for hit in answer["hits"]] == [False] * 6


def test_a_text_that_says_nothing_is_left_out_beside_another(ask):
    together, alone = ask("q=red&q=...&words=false"), ask("q=red&words=false")
    assert (together["understood"], alone["understood"]) == (False, True)
    assert together["hits"] == alone["hits"]
    assert not ask("q=...&q=!!!")["understood"]


def test_words_do_not_change_the_similarity(ask):
    plain = {hit["image_id"]: hit["similarity"] for hit in ask("q=red&words=false")["hits"]}
    assert {hit["image_id"]: hit["similarity"] for hit in ask("q=red")["hits"]} == pytest.approx(plain, abs=1e-5)


def test_a_photo_far_from_the_text_is_found_by_its_words_with_its_true_similarity(cluster, name):
    index = ImageIndex(cluster, name=name)
    index.create(model=ENCODER.info, vector_index_type="int8_hnsw")
    red, [beside] = ENCODER.encode_texts(["red"])[0], np.linalg.svd(ENCODER.encode_texts(["red"]))[2][1:2]
    others = [(photo(f"{number}.jpg", "red")[0], beside) for number in range(150)]
    list(index.documents.add([*others, (photo("red Bob.jpg", "red")[0], -red)]))
    index.refresh()
    hit = ImageSearch(index, encoder_for=lambda model: ENCODER).by_text("red bob", k=3).hits[0]
    assert (hit.image_id, hit.by_words, hit.similarity) == ("red Bob.jpg", True, pytest.approx(-1, abs=1e-3))


def test_two_texts_together_find_what_is_between_them(ask):
    assert names(ask("q=red&q=green&words=false"))[0] == "yellow"


def test_a_photo_and_a_text_together(ask):
    found = names(ask("like=rome/red.jpg&q=blue&words=false"))
    assert (found[0], "red" in found) == ("magenta", False)


def test_photos_of_an_excluded_part_rank_lower(ask):
    assert names(ask("q=yellow&words=false"))[0] == "yellow"
    assert names(ask("q=yellow&without=red&weight=1&weight=1&words=false"))[0] == "green"
    assert names(ask("q=yellow&unlike=rome/red.jpg&weight=1&weight=1&words=false"))[0] == "green"


def test_weights_say_how_much_each_part_counts(ask):
    assert names(ask("q=red&q=green&weight=1&weight=0.1&words=false"))[0] == "red"
    assert names(ask("q=red&q=green&weight=0.1&weight=1&words=false"))[0] == "green"


def test_parts_that_cancel_each_other_out_say_so(ask):
    said = ask("q=red&without=red&weight=1&weight=1", expect=400)["error"]["message"]
    assert "cancel each other out" in said


def test_an_uploaded_photo_with_a_text(client):
    answer = client.post("/api/v1/search", data=upload(picture("red"), q="blue", words="false", k="1")).json
    assert names(answer) == ["magenta"]


@pytest.fixture
def halves(cluster, name, tmp_path):
    """A photo that is red on the left and blue on the right, among one-colour photos."""
    photos = tmp_path / "photos"
    for colour, value in COLOURS.items():
        save(photos / f"{colour}.png", colour=value)
    both = Image.new("RGB", (600, 300), COLOURS["red"])
    both.paste(COLOURS["blue"], (300, 0, 600, 300))
    both.save(photos / "both#1.png")
    index = ImageIndex(cluster, name=name)
    index.create(model=ENCODER.info, vector_index_type="int8_hnsw")
    run(photos, index)
    return make_app(index, tmp_path).test_client()


def run(photos, index):
    from image_embeddings.indexing.plan import make_plan
    from image_embeddings.indexing.report import IndexOptions
    from image_embeddings.photos.thumbnails import Thumbnails

    return pipeline.run(
        make_plan(FolderSource(photos), indexed=index.documents.file_states(with_format=True)),
        index=index,
        encoder=ENCODER,
        thumbnails=Thumbnails(photos.parent / "thumbnails"),
        progress=RecordedProgress(),
        options=IndexOptions(),
    )


@pytest.mark.parametrize(("part", "found"), [("0,0,50,100", "red.png"), ("50.5,10,49.5,20", "blue.png")])
def test_a_part_of_a_photo_finds_what_is_in_it(halves, part, found):
    query = {"like": f"both#1.png#xywh=percent:{part}", "k": "2"}
    hits = halves.get("/api/v1/search", query_string=query).json["hits"]
    assert {hits[0]["image_id"], hits[1]["image_id"]} & {found, "rot.png"}
    assert hits[0]["similarity"] == pytest.approx(1, abs=1e-3)


def test_an_image_id_that_only_looks_like_a_part_is_an_image_id():
    assert crops.split_fragment("a.jpg#xywh=percent:1,2") == ("a.jpg#xywh=percent:1,2", None)


def as_older_version(index):
    """Remove from the documents the data that the version before did not store."""
    client, fields = index.cluster.client, ["format", "preview", "fingerprint", "orientation", "words"]
    state = index.state()
    hits = client.search(index=index.name, size=100)["hits"]["hits"]
    for hit in hits:
        stored = client.search(index=index.name, query={"ids": {"values": [hit["_id"]]}}, fields=["image_embedding"])
        vector = stored["hits"]["hits"][0]["fields"]["image_embedding"]
        source = {name: value for name, value in hit["_source"].items() if name not in fields}
        client.index(index=index.name, id=hit["_id"], document={**source, "image_embedding": vector}, refresh=True)
    index.note_progress(replace(state, oldest_format=1), None)


def test_photos_that_an_older_version_indexed_are_completed_but_not_encoded(cluster, name, tmp_path):
    photos, index = tmp_path / "photos", ImageIndex(cluster, name=name)
    for colour in ("red", "green", "blue"):
        save(photos / f"{colour}.png", colour=COLOURS[colour])
    shutil.copy(photos / "red.png", photos / "again.png")
    index.create(model=ENCODER.info, vector_index_type="int8_hnsw")
    run(photos, index)
    expected = {image_id: index.documents.get(image_id) for image_id in index.documents.file_states()}
    as_older_version(index)
    assert index.documents.get("red.png").preview is None
    report = run(photos, index)
    assert (report.encoded, report.described, report.reused, report.unchanged) == (0, 4, 0, 4)
    assert {image_id: index.documents.get(image_id) for image_id in index.documents.file_states()} == expected
    assert index.state().oldest_format == FORMAT
    assert run(photos, index).described == 0
    assert np.allclose(index.documents.embedding("red.png"), ENCODER.encode_texts(["red"])[0], atol=1e-3)


# The verdict on what really matches

CLUSTERS, EACH, DIMS = 40, 5, 256
MISNAMED = 12 * EACH


class ClusterEncoder(ColourEncoder):
    """Embeds the text `kind N` like the photos of cluster N, and all other texts at random."""

    dims = DIMS

    def _embed_images(self, images):
        return np.ones((len(images), DIMS))

    def _embed_texts(self, texts):
        return np.array([self._embed_text(text) for text in texts])

    @staticmethod
    def _embed_text(text):
        kind, _, number = text.rpartition(" ")
        return CENTRES[int(number)] if kind == "kind" else np.random.default_rng(len(text)).normal(size=DIMS)


CENTRES = np.random.default_rng(0).normal(size=(CLUSTERS, DIMS))


@pytest.fixture(scope="module")
def clusters(cluster, tmp_path_factory):
    """Photos in clusters, calibrated as by an indexing run; the photos of the last cluster are named after Bob.

    One photo of cluster 12 has the words `kind 5` in its name.
    """
    rng = np.random.default_rng(1)
    index = ImageIndex(cluster, name="test-clusters")
    index.drop()
    index.create(model=ClusterEncoder().info, vector_index_type="int8_hnsw")
    for number in range(CLUSTERS * EACH):
        kind = number // EACH
        vector = CENTRES[kind] + 0.3 * rng.normal(size=DIMS)
        words = "-bob" if kind == CLUSTERS - 1 else "-kind-5" if number == MISNAMED else ""
        name = f"{kind}-{number}{words}.jpg"
        made = photo(name, "red")[0]
        assert not list(index.documents.add([(made, (vector / np.linalg.norm(vector)).astype(np.float32))]))
    index.refresh()
    index.note_progress(replace(index.state(), calibration=pipeline.update_calibration(index)), None)
    yield ImageSearch(index, encoder_for=lambda model: ClusterEncoder())
    index.drop()


def kinds(result):
    return [(hit.image_id.partition("-")[0], hit.matches) for hit in result.hits]


def test_only_photos_of_its_kind_match_a_photo(clusters):
    found = clusters.like("3-17.jpg", k=20, verdict=True)
    assert kinds(found)[: EACH - 1] == [("3", True)] * (EACH - 1)
    assert found.relevant == EACH - 1


def test_the_first_search_by_text_calibrates_texts_for_all_who_search(clusters):
    index = clusters.index
    index.note_progress(replace(index.state(), calibration=pipeline.update_calibration(index)), None)
    first, other = (ImageSearch(index, encoder_for=lambda model: ClusterEncoder()) for _ in range(2))
    first.like("3-17.jpg", verdict=True)
    assert index.state().calibration.text is None
    found = first.by_text("kind 5", k=20, words=False, verdict=True)
    assert kinds(found)[:EACH] == [("5", True)] * EACH
    kept = index.state().calibration
    other.by_text("kind 5", verdict=True)
    assert kept.text is not None
    assert index.state().calibration.to_json() == kept.to_json()


def test_texts_are_not_calibrated_for_an_index_that_a_run_is_filling(clusters):
    index = clusters.index
    calibration = pipeline.update_calibration(index)
    before = replace(index.state(), calibration=replace(calibration, text=None))
    index.note_progress(before, {"done": 1, "total": 2, "updated": 0, "stopped": False})
    found = ImageSearch(index, encoder_for=lambda model: ClusterEncoder()).by_text("kind 5", words=False, verdict=True)
    assert kinds(found)[:EACH] == [("5", True)] * EACH
    state = index.state()
    assert (state.calibration.text, state.indexing["done"]) == (None, 1)
    index.note_progress(before, None)


def test_only_photos_of_its_kind_match_a_text(clusters):
    found = clusters.by_text("kind 5", k=20, words=False, verdict=True)
    assert kinds(found)[:EACH] == [("5", True)] * EACH
    assert found.relevant == EACH


def test_a_query_unlike_all_photos_matches_nothing(clusters):
    found = clusters.by_text("kind 5", k=20, verdict=True, filters=Filters(values={"folder": ("nowhere",)}))
    assert (found.hits, found.relevant) == ((), None)
    without = clusters.by_text("what no photo shows", k=20, verdict=True)
    assert (len(without.hits), without.relevant) == (20, 0)


def test_photos_with_the_words_match(clusters):
    found = clusters.by_text("bob, of whom there is no photo", k=20, verdict=True)
    assert {kind for kind, matches in kinds(found) if matches} == {str(CLUSTERS - 1)}


def test_photos_with_the_words_stand_before_all_that_match_neither_way(clusters):
    found = clusters.by_text("kind 5", k=20, verdict=True)
    assert kinds(found)[: EACH + 1] == [*[("5", True)] * EACH, ("12", True)]
    assert (found.hits[EACH].by_words, found.relevant) == (True, EACH + 1)


def test_a_match_has_to_match_every_part(clusters):
    opposite = int(np.argmin(CENTRES @ CENTRES[2]))
    one, other = (Part(what=Indexed(image_id=f"{kind}-{kind * EACH}.jpg")) for kind in (2, opposite))
    against = replace(other, weight=-0.1)
    assert clusters.by_parts([one, against], k=EACH - 1, verdict=True).relevant == EACH - 1
    assert clusters.by_parts([one, other], k=20, verdict=True).relevant == 0


@pytest.mark.parametrize("verdict", [True, False])
def test_sorting_by_date_returns_only_matches_if_there_is_a_verdict(clusters, verdict):
    pages = [
        clusters.by_text("kind 5", k=3, offset=offset, sort="newest", words=False, verdict=verdict) for offset in (0, 3)
    ]
    assert [page.listed for page in pages] == [EACH, EACH]
    assert [pair for page in pages for pair in kinds(page)] == [("5", verdict or None)] * EACH
    assert len({hit.image_id for page in pages for hit in page.hits}) == EACH
    assert clusters.like("5-25.jpg", sort="newest").listed == EACH - 1


def test_sorting_by_date_returns_photos_with_the_words_too(clusters):
    found = clusters.by_text("bob, of whom there is no photo", sort="oldest", verdict=True)
    assert kinds(found) == [(str(CLUSTERS - 1), True)] * EACH
    assert all(hit.by_words for hit in found.hits)


def test_sorting_by_date_returns_all_of_the_nearest_if_none_matches(clusters):
    found = clusters.by_text("what no photo shows", k=20, sort="newest", verdict=True)
    assert (len(found.hits), found.listed, found.relevant) == (20, CLUSTERS * EACH, 0)
    assert clusters.browse(sort="newest").listed is None


def test_no_verdict_unless_asked_for(clusters):
    assert clusters.by_text("kind 5").relevant is None


# The page


def form(page):
    """Return the fields of the filter form, name -> values that would be sent; and for a filter, value -> photos."""
    found = html5lib.parse(page.text, namespaceHTMLElements=False).find(".//details[@class='filters']/form")
    fields = {}
    for field in found.iter("input"):
        if field.get("type") != "checkbox" or "checked" in field.attrib:
            fields.setdefault(field.get("name"), []).append(field.get("value", ""))
    for select in found.iter("select"):
        chosen = [option.get("value") for option in select.iter("option") if "selected" in option.attrib]
        fields.setdefault(select.get("name"), []).extend(chosen)
    choices = {}
    for label in found.iterfind(".//label[@class='choice']"):
        field, count = label.find("input"), label.find("span[@class='count']")
        choices.setdefault(field.get("name"), {})[field.get("value")] = int(count.text)
    return fields, choices


def sent(fields):
    """Return the values of a form's fields in the form of its address."""
    return {name: [value for value in values if value] for name, values in fields.items()}


def shown(page):
    return set(re.findall(r'data-id="[^"]*?([^"/]+)\.jpg"', page.text))


def test_a_page_offers_filters_for_its_results(client):
    fields, choices = form(client.get("/image_search?q=red&k=20"))
    assert choices["folder"] == {"rome": 3, "oslo": 2, "fiji": 1, "rome/night": 1}
    assert choices["label"] == {"winter": 2}
    assert choices["column"] == {"shelf=3": 1, "shelf=4": 1}
    assert {name: values for name, values in sent(fields).items() if values} == {
        "q": ["red"],
        "k": ["20"],
        "sort": ["relevance"],
    }


def test_the_form_finds_the_chosen_photos(client):
    fields, _ = form(client.get("/image_search?q=red"))
    sent = {**fields, "folder": "rome", "from": "2024-01-01", "to": ""}
    page = client.get("/image_search", query_string=sent, follow_redirects=True)
    assert shown(page) == {"red", "IMG_0007"}
    assert "2 of 6 photos" in page.text
    chosen, _ = form(page)
    assert (chosen["folder"], chosen["from"]) == (["rome"], ["2024-01-01"])


def test_filters_are_cleared_by_a_link_that_keeps_the_search(client):
    page = client.get("/image_search?q=red&like=oslo/cyan.jpg&folder=rome&without=snow&sort=oldest")
    address = html5lib.parse(page.text, namespaceHTMLElements=False).find(".//p[@class='do']/a").get("href")
    assert address == "/image_search?q=red&like=oslo/cyan.jpg&without=snow&sort=oldest&k=20"


def test_more_like_this_can_be_narrowed_too(client):
    fields, _ = form(client.get("/similar_image?id=rome/red.jpg"))
    page = client.get("/image_search", query_string={**fields, "label": "winter"}, follow_redirects=True)
    assert shown(page) - {"red"} == {"green", "cyan"}


def test_a_choice_that_leaves_nothing_says_so(client):
    page = client.get("/image_search?q=red&folder=rome&label=winter")
    assert "no photos to find with these filters" in " ".join(page.text.split())
    assert form(page)[0]["label"] == ["winter"]


@pytest.mark.parametrize(
    "given",
    [
        "folder=rome&folder=oslo&folder=nowhere&camera=Canon R5&orientation=square&orientation=landscape",
        "column=shelf=3&column=shelf=9&column=colour=blue&label=winter",
        "from=2019-01-01&to=2024-05-31&min_width=333&min_height=720&sort=newest&k=7&words=false",
        "place=-20.5,179,0,-179&without=snow&without=rain&unlike=rome/red.jpg&weight=1.5&weight=2.5&weight=0.7&weight=0.5",
    ],
)
def test_the_form_loses_nothing_that_the_address_has(client, given):
    fields, _ = form(client.get(f"/image_search?q=red&{given}"))
    asked = parse_qs(f"q=red&{given}")
    assert {name: sorted(values) for name, values in sent(fields).items() if name in asked} == {
        name: sorted(values) for name, values in asked.items()
    }


def test_a_year_and_a_month_of_the_address_become_their_first_and_last_days(client):
    fields, _ = form(client.get("/image_search?q=red&from=2019&to=2024-02"))
    assert (fields["from"], fields["to"]) == (["2019-01-01"], ["2024-02-29"])


def test_photos_can_be_looked_through_without_a_text(client):
    page = client.get("/image_search?folder=rome")
    assert shown(page) == {"red", "IMG_0007", "yellow"}
    assert "the latest first" in page.text
