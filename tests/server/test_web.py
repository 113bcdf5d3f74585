import os
import random
import re
import time
from pathlib import PurePosixPath

import html5lib
import pytest
from PIL import Image

from app import create_app
from app.services import Services
from app.web.delivery import static_url_path
from benchmarks.made_photos import moon, scale
from image_embeddings.config import load_settings
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.photos.decoding import SUFFIXES
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.sources.samples import captioned_photos
from tests.fakes import ColourEncoder
from tests.near_duplicates.hits import hit as hit_of
from tests.raw_photos import dng
from tests.server.filling import fill
from tests.server.indexed import DESCRIBED, document
from tests.server.web_client import make_app, picture, shown, upload

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder of photos and data that all tests share and none changes."""
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def filled(cluster, place):
    """The index that all tests share and none changes."""
    index = ImageIndex(cluster, name="test-web")
    index.drop()
    index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    fill(index, place)
    yield index
    index.drop()


@pytest.fixture(scope="module")
def web(filled, place):
    return make_app(filled, place).test_client()


@pytest.fixture
def own_index(index, tmp_path):
    """An index for a test that changes something."""
    fill(index, tmp_path)
    return index


@pytest.fixture
def own_web(own_index, tmp_path):
    return make_app(own_index, tmp_path).test_client()


def counts(web, metric):
    """Return the counts of one metric by their labels, without those that are zero."""
    rows = re.findall(rf"^{metric}\{{(.+)\}} (\S+)$", web.get("/metrics").text, re.M)
    return {labels: float(count) for labels, count in rows}


# Pages


def test_home_shows_the_search_box_and_the_photos(web):
    page = web.get("/")
    assert page.status_code == 200
    assert "6 photos" in page.text
    assert len(shown(page)) == 6


def test_a_text_search_shows_the_right_photo_first(web):
    page = web.get("/image_search?q=red&k=3")
    assert shown(page)[0] == "warm/red.png"
    assert '<span id="range">1–3</span> of 6 photos' in page.text
    assert "colour" in page.text  # the model that answered


def test_a_page_links_to_the_next_and_back(web):
    first = web.get("/image_search?q=red&k=4")
    following = re.search(r'rel="next" href="([^"]+)"', first.text)[1].replace("&amp;", "&")
    second = web.get(following)
    assert len(shown(second)) == 2
    assert not set(shown(first)) & set(shown(second))
    assert 'rel="prev"' in second.text
    assert 'rel="next"' not in second.text


@pytest.mark.parametrize("strange", ["endpoint=x", "_external=1&_scheme=evil", "_anchor=x"])
def test_parameters_without_a_meaning_for_a_page_do_no_harm(web, strange):
    page = web.get(f"/image_search?q=red&k=2&{strange}").text
    assert f'href="/image_search?q=red&amp;k=2&amp;{strange.replace("&", "&amp;")}&amp;offset=2"' in page


def test_more_like_this_shows_the_others(web):
    page = web.get("/similar_image?id=warm/red.png")
    assert "warm/red.png" not in shown(page)
    assert len(shown(page)) == 5


def test_an_upload_finds_its_photo_first(web):
    page = web.post("/similar_image", data=upload(picture("blue")))
    assert shown(page)[0] == "cold/deep/blue.png"
    assert "data:image/webp;base64," in page.text


@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_an_upload_from_a_phone_finds_its_photo_first(web, format):  # noqa: A002
    page = web.post("/similar_image", data=upload(picture("blue", format=format)))
    assert shown(page)[0] == "cold/deep/blue.png"


def test_an_upload_of_a_raw_file_finds_its_photo_first(web):
    page = web.post("/similar_image", data=upload(dng(Image.new("RGB", (64, 48), "blue")), "photo.dng"))
    assert shown(page)[0] == "cold/deep/blue.png"


def test_every_kind_of_photo_can_be_chosen(web):
    accepted = re.search(r'id="image"[^>]* accept="([^"]+)"', web.get("/").text)[1].split(",")
    assert set(accepted) == {"image/*"} | SUFFIXES


@pytest.mark.parametrize("address", ["/image_search", "/image_search?q=%20", "/similar_image"])
def test_an_empty_query_leads_home(web, address):
    assert web.get(address).location == "/"


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("/image_search?q=red&k=0", 400, "k: 0 is not from 1 to 100"),
        ("/image_search?q=red&k=many", 400, "k: &#39;many&#39; is no whole number"),
        ("/image_search?q=red&offset=-1", 400, "offset: -1 is not from 0"),
        ("/image_search?q=" + "x" * 1001, 400, "1001 characters"),
        ("/similar_image?id=gone.jpg", 404, "no photo &#39;gone.jpg&#39;"),
        ("/nowhere", 404, "Not found"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_an_explanation(web, address, status, said):
    page = web.get(address)
    assert page.status_code == status
    assert said in page.text


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"<script>alert(1)</script>", 415, "no known image format"),
        (picture()[:60], 415, "damaged"),
        (b"", 415, "empty"),
        (picture(size=(400, 300)), 413, "MAX_IMAGE_PIXELS"),
        (b"x" * 200_000, 413, "MAX_CONTENT_LENGTH"),
    ],
)
def test_an_upload_that_cannot_be_used_says_why(filled, place, data, status, said):
    client = make_app(filled, place, max_image_pixels=100_000, max_content_length=100_000).test_client()
    page = client.post("/similar_image", data=upload(data, "x.jpg"))
    assert page.status_code == status
    assert said in page.text
    as_json = client.post("/api/v1/search", data=upload(data, "x.jpg"))
    assert as_json.status_code == status
    assert said in as_json.json["error"]["message"]


def test_a_missing_upload_is_reported(web):
    assert "No photo was sent" in web.post("/similar_image").text


def test_uploads_are_written_nowhere(web, place):
    before = sorted(place.rglob("*"))
    web.post("/similar_image", data=upload(picture("blue", size=(600, 250), format="BMP"), "../../evil.bmp"))
    assert sorted(place.rglob("*")) == before


def test_a_hostile_name_is_shown_as_text(web):
    page = web.get("/image_search?q=<script>alert(1)</script>")
    assert "<script>alert" not in page.text


# States


def test_an_empty_index_is_reported_with_the_command(cluster, name, tmp_path):
    page = make_app(ImageIndex(cluster, name=name), tmp_path).test_client().get("/")
    assert page.status_code == 200
    assert "No photos are indexed yet" in page.text
    assert "python -m image_embeddings index" in page.text


def test_an_index_of_another_model_is_reported_with_both_names(filled, place):
    other = ImageSearch(filled, encoder_for=lambda model: ColourEncoder(model_id="other"))
    settings = load_settings({"ES_HOST": "http://not.asked:9200"}, image_dir=place / "photos", data_dir=place / "data")
    app = create_app(settings, services=Services(settings, open_search=lambda settings: other))
    page = app.test_client().get("/image_search?q=red")
    assert page.status_code == 503
    assert "&#39;colour&#39;" in page.text
    assert "&#39;other&#39;" in page.text


def test_a_search_before_anything_is_indexed_is_reported(cluster, name, tmp_path):
    page = make_app(ImageIndex(cluster, name=name), tmp_path).test_client().get("/image_search?q=red")
    assert page.status_code == 503
    assert "Index your photos first" in page.text


def test_a_run_in_progress_is_shown(own_web, own_index):
    own_index.note_progress(own_index.state(), {"done": 6, "total": 1234, "updated": int(time.time())})
    assert "Still indexing: 6 of 1,234 photos" in own_web.get("/image_search?q=red").text


@pytest.mark.parametrize("said", [{"updated": 1}, {"updated": int(time.time()), "stopped": True}])
def test_a_run_that_broke_off_is_reported_with_the_way_to_go_on(own_web, own_index, said):
    own_index.note_progress(own_index.state(), {"done": 6, "total": 1234, **said})
    assert "stopped at 6 of 1,234" in own_web.get("/").text


def test_a_missing_elasticsearch_is_reported_and_found_again_with_the_model_still_loaded(filled, place):
    made = []

    def encoder_for(model):
        made.append(model)
        return ColourEncoder()

    gone = ImageIndex(connect(["http://127.0.0.1:9"]), name="x")
    found_again = iter([gone, gone, filled])
    services = Services(
        load_settings({"ES_HOST": "http://not.asked:9200"}, image_dir=place / "photos", data_dir=place / "data"),
        open_search=lambda settings: ImageSearch(filled, encoder_for=encoder_for),
        open_index=lambda settings: next(found_again),
    )
    web = create_app(services.settings, services=services).test_client()
    assert web.get("/image_search?q=red").status_code == 200
    services.reconnect()
    page = web.get("/image_search?q=red")
    assert page.status_code == 503
    assert "Nothing answers at http://127.0.0.1:9" in page.text
    assert web.get("/healthz").status_code == 200
    assert web.get("/readyz").status_code == 503
    assert web.get("/image_search?q=red").status_code == 200
    assert len(made) == 1


def test_an_index_of_someone_else_is_reported_on_the_first_page(cluster, name, tmp_path):
    cluster.client.indices.create(index=name)
    page = make_app(ImageIndex(cluster, name=name), tmp_path).test_client().get("/")
    assert page.status_code == 503
    assert "was not made by this version" in page.text


PRIVATE = {"private", "no-cache"}


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/", PRIVATE),
        ("/collections", PRIVATE),
        ("/image_search?q=red", PRIVATE),
        ("/similar_image?id=warm/red.png", PRIVATE),
        ("/image_search?q=red&k=0", PRIVATE),
        ("/image/warm/red.png", PRIVATE),
        ("/thumbnail/warm/red.png", PRIVATE),
        ("/thumbnail/gone.png", PRIVATE),
        ("/api/v1/search?q=red", {"no-store"}),
        ("/api/v1/images/warm/red.png", {"no-store"}),
        ("/api/v1/collections", {"no-store"}),
        ("/api/v1/status", {"no-store"}),
        ("/readyz", {"no-store"}),
    ],
)
def test_what_is_private_is_kept_by_no_shared_cache(web, address, told):
    answer = web.get(address)
    assert set(answer.headers["Cache-Control"].split(", ")) - {"max-age=0"} == told
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


# Photos


def test_a_photo_is_served_unchanged(web, place):
    answer = web.get("/image/warm/red.png")
    assert answer.data == (place / "photos" / "warm" / "red.png").read_bytes()
    assert answer.mimetype == "image/png"


class FromDescriptor:
    """What a web server makes of an open file: it sends from the file's descriptor, from the place where that is."""

    def __init__(self, file, size=8192):
        self.close = file.close
        self._left = os.read(file.fileno(), 2**20)  # more than the photo has

    def __iter__(self):
        return iter([self._left])


def test_a_server_that_sends_from_the_descriptor_of_a_photo_sends_all_of_it(own_web, tmp_path):
    data = picture("red", size=(300, 300), format="BMP")  # larger than a buffer
    (tmp_path / "photos" / "warm" / "red.png").write_bytes(data)
    answer = own_web.get("/image/warm/red.png", environ_overrides={"wsgi.file_wrapper": FromDescriptor})
    assert answer.mimetype == "image/bmp"
    assert answer.data == data


def test_a_part_of_a_photo_is_served_and_a_part_beyond_its_end_is_refused_with_its_size(web, place):
    whole = web.get("/image/warm/red.png").data
    part = web.get("/image/warm/red.png", headers={"Range": "bytes=2-9"})
    assert (part.status_code, part.data) == (206, whole[2:10])
    assert part.headers["Content-Range"] == f"bytes 2-9/{len(whole)}"
    beyond = web.get("/image/warm/red.png", headers={"Range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")  # RFC 9110, 15.5.17


def test_a_photo_is_asked_for_each_time_and_sent_only_if_it_changed(own_web, tmp_path):
    first = own_web.get("/image/warm/red.png")
    assert "no-cache" in first.headers["Cache-Control"]
    again = own_web.get("/image/warm/red.png", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    (tmp_path / "photos" / "warm" / "red.png").write_bytes(picture("red", size=(10, 10)))
    changed = own_web.get("/image/warm/red.png", headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.data) == (200, picture("red", size=(10, 10)))


def test_a_part_of_a_photo_is_served_on_demand(web, place):
    data = (place / "photos" / "warm" / "red.png").read_bytes()
    whole = web.get("/image/warm/red.png")
    assert (whole.content_length, whole.headers["Accept-Ranges"]) == (len(data), "bytes")
    for asked, part in (("5-9", data[5:10]), ("5-", data[5:]), ("-7", data[-7:])):
        answer = web.get("/image/warm/red.png", headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.data) == (206, part)
        assert answer.headers["Content-Range"].endswith(f"/{len(data)}")
    for older in ('"other"', "Mon, 01 Jan 2001 00:00:00 GMT"):
        answer = web.get("/image/warm/red.png", headers={"Range": "bytes=5-9", "If-Range": older})
        assert (answer.status_code, answer.data) == (200, data)
    assert web.get("/image/warm/red.png", headers={"Range": f"bytes={len(data)}-"}).status_code == 416


def test_ranges_are_read_as_rfc_9110_says(web, place):
    data = (place / "photos" / "warm" / "red.png").read_bytes()
    size = len(data)
    ignored = ("lines=0-5", "bytes=5-2", "bytes=abc", "bytes=", "bytes", "bytes=0-1,5-6", "bytes=-0", "=", "")
    for asked in ignored:
        answer = web.get("/image/warm/red.png", headers={"Range": asked})
        assert (answer.status_code, answer.data, answer.headers.get("Content-Range")) == (200, data, None), asked
    for asked, begin, end in (
        (f"bytes=-{size}", 0, size),
        (f"bytes=-{size + 1}", 0, size),
        ("bytes=-99999999999", 0, size),
        ("bytes=0-99999999999", 0, size),
        ("bytes=0-0", 0, 1),
        ("bytes=-1", size - 1, size),
        (f"bytes={size - 1}-", size - 1, size),
    ):
        answer = web.get("/image/warm/red.png", headers={"Range": asked})
        assert (answer.status_code, answer.data) == (206, data[begin:end]), asked
        assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 5}"):
        answer = web.get("/image/warm/red.png", headers={"Range": asked})
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}"), asked


@pytest.mark.parametrize("data", [picture(format="HEIF"), picture(format="TIFF"), dng(Image.new("RGB", (64, 48)))])
def test_a_photo_that_browsers_cannot_show_is_served_as_jpeg(own_web, tmp_path, data):
    (tmp_path / "photos" / "warm" / "red.png").write_bytes(data)
    answer = own_web.get("/image/warm/red.png")
    assert (answer.status_code, answer.mimetype, answer.data[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    again = own_web.get("/image/warm/red.png", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_original_of_such_a_photo_can_be_downloaded(own_web, tmp_path):
    (tmp_path / "photos" / "warm" / "red.png").write_bytes(picture(format="HEIF"))
    answer = own_web.get("/image/warm/red.png?original")
    assert answer.data == picture(format="HEIF")
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_a_file_that_is_no_photo_any_more_is_reported(own_web, tmp_path):
    (tmp_path / "photos" / "warm" / "red.png").write_bytes(b"<script>alert(1)</script>")
    answer = own_web.get("/image/warm/red.png")
    assert answer.status_code == 415
    assert "warm/red.png is not an image that can be read" in answer.text


def test_a_photo_is_served_with_its_real_format_whatever_its_name(own_web, tmp_path):
    (tmp_path / "photos" / "warm" / "red.png").write_bytes(picture(format="AVIF"))
    assert own_web.get("/image/warm/red.png").mimetype == "image/avif"


def test_a_thumbnail_is_webp_and_can_be_cached_for_good(web, filled):
    version = filled.documents.get("warm/red.png").content_hash[:12]
    answer = web.get(f"/thumbnail/warm/red.png?v={version}")
    assert answer.mimetype == "image/webp"
    kept = answer.cache_control
    assert (kept.immutable, kept.private, kept.max_age, kept.no_cache) == (True, True, 365 * 24 * 3600, None)
    again = web.get(f"/thumbnail/warm/red.png?v={version}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("address", ["/thumbnail/warm/red.png", "/thumbnail/warm/red.png?v=000000000000"])
def test_a_thumbnail_without_its_version_is_asked_for_again(web, address):
    answer = web.get(address)
    assert "no-cache" in answer.headers["Cache-Control"]
    assert "immutable" not in answer.headers["Cache-Control"]
    assert web.get(address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_a_missing_thumbnail_is_made_anew(own_web, own_index, tmp_path):
    kept = tmp_path / "data" / "thumbnails"
    for path in kept.rglob("*.webp"):
        path.unlink()
    assert own_web.get("/thumbnail/warm/red.png").mimetype == "image/webp"
    assert len(list(kept.rglob("*.webp"))) == 1


def test_a_photo_that_changed_after_indexing_gets_no_thumbnail_under_the_old_name(own_web, own_index, tmp_path):
    kept = tmp_path / "data" / "thumbnails"
    for path in kept.rglob("*.webp"):
        path.unlink()
    Image.new("RGB", (9, 9), "white").save(tmp_path / "photos" / "warm" / "red.png")
    old = own_index.documents.get("warm/red.png").content_hash
    answer = own_web.get(f"/thumbnail/warm/red.png?v={old[:12]}")
    assert answer.status_code == 200
    assert "immutable" not in answer.headers["Cache-Control"]
    assert old not in {path.stem for path in kept.rglob("*.webp")}


@pytest.mark.parametrize("kind", ["image", "thumbnail"])
@pytest.mark.parametrize(
    "image_id",
    ["../secret.png", "..%2Fsecret.png", "%2e%2e/secret.png", "/etc/hostname", "warm/../../secret.png", "x%00.png"],
)
def test_nothing_but_indexed_photos_is_served(own_web, tmp_path, kind, image_id):
    Image.new("RGB", (5, 5)).save(tmp_path / "secret.png")
    assert own_web.get(f"/{kind}/{image_id}").status_code in (404, 308)
    assert own_web.get(f"/{kind}/{image_id}", follow_redirects=True).status_code == 404


def test_a_photo_that_is_not_in_the_index_is_not_served(own_web, tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "photos" / "private.png")
    assert own_web.get("/image/private.png").status_code == 404


def test_a_document_that_points_outside_is_not_served(own_web, own_index, tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "secret.png")
    list(own_index.documents.add([(document("../secret.png"), ColourEncoder().encode_texts(["red"])[0])]))
    assert own_web.get("/image/..%2Fsecret.png").status_code == 404


def test_an_indexed_photo_whose_file_is_gone_says_so(own_web, tmp_path):
    (tmp_path / "photos" / "warm" / "red.png").unlink()
    page = own_web.get("/image/warm/red.png")
    assert page.status_code == 404
    assert "IMAGE_DIR" in page.text


@pytest.fixture
def nights(own_index):
    """Add a photo, a copy that was saved anew, and two different nights, all with one embedding and in one folder."""
    photo, _ = captioned_photos()[0]
    rng = random.Random(4)
    pictures = {"photo": photo, "copy": scale(photo, 0.5), "moon": moon(rng), "another moon": moon(rng)}
    embedding = own_index.documents.embedding("warm/red.png")
    hits = [hit_of(f"nights/{name}.jpg", picture) for name, picture in pictures.items()]
    assert list(own_index.documents.add([(found.document, embedding) for found in hits])) == []
    own_index.refresh()


@pytest.mark.usefixtures("nights")
@pytest.mark.parametrize("search", ["folder=nights", "folder=nights&sort=oldest", "folder=nights&q=red"])
def test_near_duplicates_are_folded_in_searches_and_when_browsing(own_web, search):
    tree = html5lib.parse(own_web.get(f"/image_search?{search}").text, namespaceHTMLElements=False)
    (folded,) = tree.findall(".//li[@class='folded']")
    assert len(folded.findall(".//img[@class='thumbnail']")) == 1
    hits = own_web.get(f"/api/v1/search?{search}&k=10&fold=true").json["hits"]
    stacks = [{"photo", "copy"} if "folded" in found else {PurePosixPath(found["image_id"]).stem} for found in hits]
    assert sorted(map(sorted, stacks)) == [["another moon"], ["copy", "photo"], ["moon"]]
    assert {found.get("matches") for found in hits} == {None}


@pytest.mark.usefixtures("nights")
def test_near_duplicates_are_not_folded_unless_asked(own_web):
    hits = own_web.get("/api/v1/search?folder=nights&k=10").json["hits"]
    assert len(hits) == 4


def test_the_sample_photos_are_no_static_files(web):
    assert web.get("/static/images/CREDITS.md").status_code == 404
    assert web.get(f"{static_url_path()}/../images/CREDITS.md").status_code == 404


# API


def test_a_text_search_as_json(web):
    answer = web.get("/api/v1/search?q=red&k=2").json
    first = answer["hits"][0]
    assert {name: first[name] for name in ("image_id", "rank", "image_url", "thumbnail_url")} == {
        "image_id": "warm/red.png",
        "rank": 1,
        "image_url": "/image/warm/red.png",
        "thumbnail_url": "/thumbnail/warm/red.png",
    }
    assert first["score"] == pytest.approx((1 + first["similarity"]) / 2)
    assert (answer["total"], answer["model_id"], len(answer["hits"])) == (6, "colour", 2)
    assert set(answer["took_ms"]) >= {"encode", "search", "total"}


def test_addresses_of_hits_lead_to_the_photos(own_web, own_index, tmp_path):
    save_as = "warm/ä b#?%.png"
    Image.new("RGB", (64, 48), "white").save(tmp_path / "photos" / save_as)
    fill(own_index, tmp_path)
    hits = own_web.get("/api/v1/search?q=red&k=10").json["hits"]
    assert save_as in {hit["image_id"] for hit in hits}
    for hit in hits:
        assert own_web.get(hit["image_url"]).status_code == 200
        assert own_web.get(hit["thumbnail_url"]).mimetype == "image/webp"


def test_more_like_this_as_json(web):
    hits = web.get("/api/v1/search?like=warm/red.png&k=2&offset=1").json["hits"]
    assert [hit["rank"] for hit in hits] == [2, 3]


def test_a_folder_limits_a_json_search(web):
    hits = web.get("/api/v1/search?q=red&folder=cold/deep").json["hits"]
    assert len(hits) == 3


def test_a_text_may_be_posted_too(web):
    assert web.post("/api/v1/search", data={"q": "red", "k": "1"}).json["hits"][0]["image_id"] == "warm/red.png"


def test_a_post_without_any_query_says_what_is_missing(web):
    answer = web.post("/api/v1/search", data={"k": "1"})
    assert (answer.status_code, "Give a query" in answer.json["error"]["message"]) == (400, True)


def test_an_upload_as_json(web):
    hits = web.post("/api/v1/search", data=upload(picture("cyan"), k="1")).json["hits"]
    assert [(hit["image_id"], hit["similarity"]) for hit in hits] == [
        ("cold/deep/cyan.png", pytest.approx(1, abs=1e-5))
    ]


BAD_QUERIES = [
    "",
    "without=red",
    "q=red&k=0",
    "q=red&k=x",
    "q=red&offset=-1",
    "q=%20",
    "q=red&sort=size",
    "q=red&from=yesterday",
    "q=red&from=2024-02-30",
    "q=red&place=1,2,3",
    "q=red&place=9,0,-9,1",
    "q=red&column=shelf",
    "q=red&orientation=round",
    "q=red&min_width=-1",
    "q=red&weight=1&weight=2",
    "q=red&weight=0",
    "q=red&weight=nan",
    "like=warm/red.png%23xywh=percent:50,50,60,10",
    "like=warm/red.png%23xywh=percent:0,0,0,0",
    "&".join(["q=red"] * 11),
]


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_query_is_a_400_in_the_common_form(web, query):
    answer = web.get(f"/api/v1/search?{query}")
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "bad_query"
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("address", ["/api/v1/images/gone.jpg", "/api/v1/search?like=gone.jpg"])
def test_a_missing_photo_is_a_404_in_the_common_form(web, address):
    answer = web.get(address)
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "image_not_found")


def test_an_unknown_address_below_api_is_json_too(web):
    assert web.get("/api/v1/nope").json["error"]["code"] == "not_found"
    assert web.delete("/api/v1/search").status_code == 405


def test_one_photo_as_json(web):
    answer = web.get("/api/v1/images/warm/red.png").json
    assert (answer["image_id"], answer["width"], answer["height"]) == ("warm/red.png", 64, 48)


def test_status_shows_model_and_count(web):
    answer = web.get("/api/v1/status").json
    assert (answer["total"], answer["model_id"], answer["dims"], answer["indexing"]) == (6, "colour", 4, None)


def test_ready_when_a_search_can_be_answered(web):
    assert web.get("/readyz").json == {"status": "ready", "total": 6}


def test_not_ready_before_anything_is_indexed(cluster, name, tmp_path):
    answer = make_app(ImageIndex(cluster, name=name), tmp_path).test_client().get("/readyz")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "index_missing")


def test_metadata_of_a_photo_is_in_its_json_and_its_place_in_no_other(own_web, own_index):
    list(own_index.documents.add([(document("a.jpg", **DESCRIBED), ColourEncoder().encode_texts(["red"])[0])]))
    answer = own_web.get("/api/v1/images/a.jpg").json
    known = {name: list(value) if isinstance(value, tuple) else value for name, value in DESCRIBED.items()}
    del known["location"]
    assert {name: answer[name] for name in known} == known
    assert answer["location"] == {"lat": 41.5, "lon": -12.25}
    assert not any(
        {"location", "altitude"} & hit.keys() for hit in own_web.get("/api/v1/search?q=red&k=10").json["hits"]
    )


def test_unknown_metadata_of_a_photo_is_not_in_the_json(web):
    answer = web.get("/api/v1/images/warm/red.png").json
    assert sorted(answer) == ["bytes", "height", "image_id", "image_url", "thumbnail_url", "width"]


def test_searches_are_counted_by_kind_and_outcome(filled, place):
    web = make_app(filled, place).test_client()
    web.get("/api/v1/search?q=red")
    web.get("/image_search?q=red&offset=6")
    web.get("/similar_image?id=gone.jpg")
    web.post("/api/v1/search", data=upload(b"no photo"))
    assert counts(web, "image_search_searches_total") == {
        'kind="text",outcome="found"': 1,
        'kind="text",outcome="nothing"': 1,
        'kind="like",outcome="refused"': 1,
        'kind="upload",outcome="refused"': 1,
    }


def test_a_search_that_elasticsearch_could_not_answer_is_counted_as_failed(cluster, name, tmp_path):
    web = make_app(ImageIndex(cluster, name=name), tmp_path).test_client()
    web.get("/image_search?q=red")
    assert counts(web, "image_search_searches_total") == {'kind="text",outcome="failed"': 1}


def test_requests_errors_and_stages_are_counted(filled, place):
    web = make_app(filled, place).test_client()
    web.get("/api/v1/search?q=red")
    web.get("/api/v1/search?q=red&k=0")
    web.get("/nowhere")
    assert counts(web, "image_search_errors_total") == {'code="bad_query"': 1, 'code="not_found"': 1}
    assert counts(web, "image_search_requests_total")['endpoint="api.search",status="200"'] == 1
    stages = counts(web, "image_search_stage_seconds_count")
    assert stages == {f'stage="{stage}"': 1 for stage in ("load", "encode", "search", "total", "app")}


def test_a_search_sends_the_times_of_its_stages_to_the_browser(web):
    for answer in (web.get("/api/v1/search?q=red"), web.get("/image_search?q=red")):
        stages = dict(part.split(";dur=") for part in answer.headers["Server-Timing"].split(", "))
        assert set(stages) >= {"encode", "search", "total", "app"}
        assert all(float(took) >= 0 for took in stages.values())


@pytest.mark.parametrize("address", ["/", "/api/v1/status", "/nowhere", "/api/v1/search?q=red&k=0", "/healthz"])
def test_other_pages_and_failed_searches_send_no_times(web, address):
    assert "Server-Timing" not in web.get(address).headers


# Request ids


@pytest.mark.parametrize("address", ["/", "/healthz", "/nowhere", "/api/v1/search?q=", "/static/none.css"])
def test_every_answer_has_an_id_of_its_own(web, address):
    first, second = (web.get(address).headers["X-Request-ID"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


def test_an_id_that_was_sent_is_kept(web):
    assert web.get("/healthz", headers={"X-Request-ID": "a-proxys/id_1=+.:@"}).headers["X-Request-ID"] == (
        "a-proxys/id_1=+.:@"
    )


@pytest.mark.parametrize("sent", ["", "x" * 101, "two words", "<script>", "ä", "tab\t", '"'])
def test_an_invalid_request_id_is_replaced(web, sent):
    assert web.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"] != sent


@pytest.mark.parametrize("address", ["/api/v1/search", "/api/v1/nope", "/api/v1/images/gone.jpg"])
def test_an_error_as_json_names_the_request(web, address):
    answer = web.get(address, headers={"X-Request-ID": "mine"})
    assert answer.json["error"]["request_id"] == answer.headers["X-Request-ID"] == "mine"


def test_an_internal_error_names_the_request_and_its_traceback_is_in_the_log(place, caplog):
    settings = load_settings({"ES_HOST": "http://not.asked:9200"}, data_dir=place / "data")
    web = create_app(settings, services=Services(settings, open_search=lambda settings: 1 / 0)).test_client()
    answer = web.get("/api/v1/search?q=red", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json["error"]["code"]) == (500, "internal_error")
    assert answer.json["error"]["request_id"] == answer.headers["X-Request-ID"] == "mine"
    assert "ZeroDivisionError" in caplog.text
    assert counts(web, "image_search_searches_total") == {'kind="text",outcome="failed"': 1}
    assert "<code>mine</code>" in web.get("/image_search?q=red", headers={"X-Request-ID": "mine"}).text


def test_an_error_page_names_no_request_if_the_log_has_no_line_on_it(web):
    answer = web.get("/nowhere", headers={"X-Request-ID": "mine"})
    assert answer.headers["X-Request-ID"] == "mine"
    assert "mine" not in answer.text


def test_the_openapi_document_is_valid_and_names_every_path(web):
    from openapi_spec_validator import validate

    document = web.get("/api/openapi.json").json
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert "nullable" not in str(document)
    assert "422" not in document["paths"]["/api/v1/search"]["get"]["responses"]
    named = {"search", "searches", "collections", "images/{image_id}", "status"}
    assert set(document["paths"]) == {f"/api/v1/{name}" for name in named}


def test_a_photo_and_an_error_in_its_place_have_no_policy_that_conflicts_with_a_sandbox(web):
    # https://html.spec.whatwg.org/multipage/browsing-the-web.html#create-navigation-params-by-fetching
    for address in ("/image/warm/red.png", "/image/gone.png", "/thumbnail/warm/red.png", "/thumbnail/gone.png"):
        assert "Cross-Origin-Opener-Policy" not in web.get(address).headers
    for address in ("/", "/image_search?q=red", "/api/v1/status"):
        headers = web.get(address).headers
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "sandbox" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize("address", ["/", "/image_search?q=red", "/nowhere", "/image/warm/red.png", "/api/v1/status"])
def test_every_answer_forbids_foreign_content(web, address):
    headers = web.get(address).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("address", ["/", "/image_search?q=red&k=2", "/similar_image?id=warm/red.png", "/nowhere"])
def test_every_page_is_valid_html_of_its_own_files(web, address):
    page = web.get(address).text
    parser = html5lib.HTMLParser(strict=True)
    parser.parse(page)
    assert not re.search(r'(src|href)="(https?:)?//', page)
