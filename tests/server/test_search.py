import numpy as np
import pytest
from PIL import Image

from image_embeddings.errors import ImageNotFoundError, ModelMismatchError, QueryError
from image_embeddings.es.filters import Filters
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.search.request import Part
from tests.fakes import COLOURS, ColourEncoder
from tests.server.filling import fill

pytestmark = pytest.mark.server


@pytest.fixture
def search(index, tmp_path):
    fill(index, tmp_path)
    return ImageSearch(index, encoder_for=lambda model: ColourEncoder())


def ids(result):
    return [hit.image_id for hit in result.hits]


def test_a_text_finds_its_photo_first(search):
    result = search.by_text("red", k=3)
    assert ids(result)[0] == "warm/red.png"
    assert (result.total, result.model_id) == (6, "colour")
    assert [hit.rank for hit in result.hits] == [1, 2, 3]


def test_another_language_finds_the_same(search):
    assert ids(search.by_text("rot")) == ids(search.by_text("red"))


def test_a_text_that_was_searched_before_is_not_encoded_again(index, tmp_path):
    texts = []

    class Counting(ColourEncoder):
        def _embed_texts(self, asked):
            texts.extend(asked)
            return super()._embed_texts(asked)

    fill(index, tmp_path)
    search = ImageSearch(index, encoder_for=lambda model: Counting())
    first, again = search.by_text("red", k=2), search.by_text(" red ", k=2, offset=2)
    search.by_parts([Part(what="red"), Part(what="blue")])
    assert texts == ["red", "blue"]
    assert not set(ids(first)) & set(ids(again))


def test_an_uploaded_photo_of_the_corpus_comes_back_first_with_similarity_one(search):
    hit = search.by_image(Image.new("RGB", (64, 48), COLOURS["blue"])).hits[0]
    assert (hit.image_id, hit.similarity) == ("cold/deep/blue.png", pytest.approx(1, abs=1e-5))


def test_more_like_this_does_not_include_the_photo_itself(search):
    result = search.like("warm/red.png", k=10)
    assert "warm/red.png" not in ids(result)
    assert len(result.hits) == 5


def test_more_like_this_needs_no_encoder(search, index):
    def none(model):
        raise AssertionError("an encoder was asked for")

    assert ImageSearch(index, encoder_for=none).like("warm/red.png").hits


def test_ranks_continue_on_the_next_page(search):
    first, second = search.by_text("red", k=2), search.by_text("red", k=2, offset=2)
    assert [hit.rank for hit in second.hits] == [3, 4]
    assert not set(ids(first)) & set(ids(second))


def test_a_folder_limits_the_hits(search):
    assert set(ids(search.by_text("red", filters=Filters(values={"folder": ("cold",)})))) == {
        "cold/deep/green.png",
        "cold/deep/blue.png",
        "cold/deep/cyan.png",
    }


def test_the_stages_add_up(search):
    search.warm_up()
    took = search.by_text("red").took_ms
    assert set(took) == {"encode", "search", "total"}
    assert took["total"] >= took["encode"] + took["search"] - 0.1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"text": " \n"}, "empty"),
        ({"text": "x" * 1001}, "1001 characters"),
        ({"text": "red", "k": 0}, "k is 0"),
        ({"text": "red", "k": 1001}, "k is 1001"),
        ({"text": "red", "offset": -1}, "offset is -1"),
        ({"text": "red", "offset": 9999}, "offset is 9999"),
    ],
)
def test_a_query_that_makes_no_sense_says_why(search, arguments, said):
    with pytest.raises(QueryError, match=said):
        search.by_text(**arguments)


def test_the_longest_text_is_searched_for(search):
    assert search.by_text("x" * 1000, k=1).hits


def test_a_photo_that_is_gone_says_so(search):
    with pytest.raises(ImageNotFoundError, match=r"gone\.jpg"):
        search.get("gone.jpg")


def test_an_index_of_another_model_is_never_searched(index, tmp_path):
    fill(index, tmp_path)
    search = ImageSearch(index, encoder_for=lambda model: ColourEncoder(model_id="other"))
    with pytest.raises(ModelMismatchError, match=r"'colour'.*'other'"):
        search.by_text("red")


def test_other_weights_under_the_same_name_are_noticed(index, tmp_path):
    class Mirrored(ColourEncoder):
        def _embed_images(self, images):
            return -super()._embed_images(images)

    fill(index, tmp_path)
    with pytest.raises(ModelMismatchError, match="another 'colour'"):
        ImageSearch(index, encoder_for=lambda model: Mirrored()).by_text("red")


def test_an_index_replaced_by_one_of_another_model_is_searched_with_that_model(search, index, cluster, tmp_path):
    opened = ImageSearch(index, encoder_for=lambda model: ColourEncoder(model_id=model.model_id))
    assert opened.by_text("red").model_id == "colour"
    index.drop()
    renewed = ImageIndex(cluster, name=index.name)
    renewed.create(model=ColourEncoder(model_id="newer").info, vector_index_type="flat")
    fill(renewed, tmp_path, encoder=ColourEncoder(model_id="newer"))
    assert opened.by_text("red").model_id == "newer"
    assert opened.like("warm/red.png").model_id == "newer"


class WideColourEncoder(ColourEncoder):
    """The same encoder with five dims."""

    dims = 5

    def _embed_images(self, images):
        return np.pad(super()._embed_images(images), ((0, 0), (0, 1)))

    def _embed_texts(self, texts):
        return np.pad(super()._embed_texts(texts), ((0, 0), (0, 1)))


def test_an_index_replaced_by_one_of_other_dims_is_searched_with_its_model(index, tmp_path):
    made = {4: ColourEncoder, 5: WideColourEncoder}
    search = ImageSearch(index, encoder_for=lambda model: made[model.dims]())
    fill(index, tmp_path)
    assert search.by_text("red").hits
    index.create(model=WideColourEncoder().info, vector_index_type="flat")
    fill(index, tmp_path, encoder=WideColourEncoder())
    assert search.by_text("red").hits[0].image_id == "warm/red.png"


def test_warming_up_notices_a_replaced_index(index, tmp_path):
    search = ImageSearch(index, encoder_for=lambda model: ColourEncoder(model_id=model.model_id))
    fill(index, tmp_path)
    search.warm_up()
    index.create(model=ColourEncoder(model_id="newer").info, vector_index_type="flat")
    search.warm_up()
    assert search.by_text("red").model_id == "newer"


def test_a_like_query_that_makes_no_sense_says_why(search):
    with pytest.raises(QueryError, match="empty"):
        search.like("")


def test_slashes_around_a_folder_do_not_matter(search):
    assert len(search.by_text("red", filters=Filters(values={"folder": ("/cold/deep/",)})).hits) == 3
