"""No answer has more than a megabyte, however many hits are asked for and however much is known of each photo."""

from types import SimpleNamespace

import pytest

from app import create_app
from app.search_request.page_form import MOST_K
from app.services import Services
from image_embeddings import MAX_K, Collections, Hit, ImageDocument, SearchResult
from image_embeddings.config import load_settings

MOST_BYTES = 1_000_000


def photo(number, caption):
    return ImageDocument(
        image_id=f"{'folder ä/' * 10}{number}.jpg",
        width=4000,
        height=3000,
        bytes=1,
        mtime_ns=1,
        content_hash="0" * 32,
        caption=caption,
        preview="A" * 700,
    )


class ManyPhotos:
    """A search that finds as many photos as are asked for."""

    def __init__(self, caption):
        self.caption = caption
        self.index = SimpleNamespace(
            state=lambda: SimpleNamespace(indexing=None),
            documents=SimpleNamespace(collections=lambda by: Collections(by=by, total=5000, found=())),
        )

    def by_parts(self, parts, *, k, offset, **_):
        hits = tuple(
            Hit(rank=rank, score=0.9, document=photo(rank, self.caption)) for rank in range(offset + 1, offset + k + 1)
        )
        return SearchResult(hits=hits, total=5000, matching=5000, model_id="conse", took_ms={"total": 1.0})

    def browse(self, **asked):
        return self.by_parts((), **asked)

    def get_many(self, image_ids):
        return {image_id: photo(0, self.caption) for image_id in image_ids}


def web(place, *, caption=""):
    settings = load_settings({"ES_HOST": "http://not.asked:9200"}, image_dir=place, data_dir=place)
    services = Services(settings, open_search=lambda settings: ManyPhotos(caption))
    return create_app(settings, services=services).test_client()


@pytest.mark.parametrize("k", [MOST_K, MOST_K + 1, MAX_K, MAX_K + 1, 10**30])
@pytest.mark.parametrize("address", ["/image_search?q=dog", "/similar_image?id=a.jpg", "/image_search?sort=newest"])
def test_a_page_has_less_than_a_megabyte_for_any_number_of_hits(tmp_path, address, k):
    answer = web(tmp_path).get(f"{address}&k={k}")
    assert len(answer.data) < MOST_BYTES
    assert (answer.status_code, answer.text.count('class="tile')) == ((200, k) if k <= MOST_K else (400, 0))


def test_the_largest_choice_of_a_page_can_be_asked_for(tmp_path):
    assert f"<option>{MOST_K}</option>" in web(tmp_path).get("/image_search?q=dog").text


def test_the_api_answers_with_all_hits_that_may_be_asked_for(tmp_path):
    answer = web(tmp_path, caption="A dog on a beach. " * 10).get(f"/api/v1/search?q=dog&k={MAX_K}")
    assert (answer.status_code, len(answer.json["hits"])) == (200, MAX_K)
    assert len(answer.data) < MOST_BYTES


def test_the_api_asks_for_fewer_hits_if_they_have_more_than_a_megabyte(tmp_path):
    client = web(tmp_path, caption="A dog on a beach. " * 100)
    answer = client.get(f"/api/v1/search?q=dog&k={MAX_K}")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_query")
    assert "Ask for fewer hits (k) at a time." in answer.json["error"]["message"]
    assert client.get("/api/v1/search?q=dog&k=200").status_code == 200
