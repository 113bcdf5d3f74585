"""Which photos have the words of a text: by names and captions of many kinds, on the real node."""

import numpy as np
import pytest

from image_embeddings.es.image_index import ImageIndex
from image_embeddings.search.image_search import ImageSearch
from image_embeddings.words.function_words import function_words
from tests.fakes import ColourEncoder
from tests.server.six_photos import ENCODER, photo

pytestmark = pytest.mark.server

BEACH, GARDEN, HOUSE = "A day at the beach", "Photos of the garden", "家の庭"
PHOTOS = [
    *(photo(f"{BEACH}/{name}.jpg", "red") for name in ("kiwi", "walnut", "teddy-bear", "IMG_0007b")),
    *(photo(f"{GARDEN}/{name}.jpg", "red") for name in ("airplane", "cement-mixer", "truck")),
    *(photo(f"IMG/IMG_{number:04}.jpg", "blue") for number in range(1, 21)),
    photo("IMG/DSC_0007.jpg", "blue"),
    *(photo(f"{HOUSE}/{name}.jpg", "green") for name in ("hammer", "pliers")),
    photo("2024年5月1日/rose.jpg", "green"),
    photo("東京タワー/夜.jpg", "green"),
    photo("강아지/1.jpg", "green"),
    photo("pets/husky.jpg", "yellow", caption="A dog in the snow"),
    photo("pets/dingo.jpg", "yellow", caption="L’été: the dogs’ dog, seen from l’église", keywords=("wild",)),
    photo("pets/table.jpg", "yellow", caption="Here is the table that we saw in the old house"),
    photo("2023-07-14/party.jpg", "yellow", caption="Yellow lamp", persons=("Grace Hopper",)),
]


@pytest.fixture(scope="module")
def search(cluster):
    index = ImageIndex(cluster, name="test-words")
    index.drop()
    index.create(model=ENCODER.info, vector_index_type="flat")
    assert not list(index.documents.add(PHOTOS))
    index.refresh()
    yield ImageSearch(index, encoder_for=lambda model: ENCODER)
    index.drop()


def having(search, text):
    """Return the names of the photos that have the words of a text."""
    hits = search.by_text(text, k=len(PHOTOS)).hits
    return {hit.image_id.rpartition("/")[2].removesuffix(".jpg") for hit in hits if hit.by_words}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dog", {"husky", "dingo"}),
        ("a dog", {"husky", "dingo"}),
        ("Photo of the dog", {"husky", "dingo"}),
        ("a dog on the beach", set()),
        ("cathedral", set()),
        ("the cathedral of Rome", set()),
        ("photos of a cathedral", set()),
        ("der Dom in Rom", set()),
        ("a walnut at the beach", {"walnut"}),
        ("beach", {"kiwi", "walnut", "teddy-bear", "IMG_0007b"}),
        ("there is a dog on the table in the house", set()),
        ("the table in the house", {"table"}),
        ("l'église", {"dingo"}),
        ("L’ÉTÉ", {"dingo"}),
        ("the wild dog", {"dingo"}),
        ("grace hopper", {"party"}),
    ],
)
def test_a_photo_has_to_have_all_words_that_say_something(search, text, names):
    assert having(search, text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("日本の犬", set()),
        ("東京タワーの写真", {"夜"}),
        ("東京", {"夜"}),
        ("京都タワー", set()),
        ("家族", set()),
        ("日曜日", set()),
        ("庭", {"hammer", "pliers"}),
        ("2024年5月1日", {"rose"}),
        ("강아지의 사진", {"1"}),
    ],
)
def test_chinese_japanese_and_korean_are_found_by_more_than_single_characters(search, text, names):
    assert having(search, text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("IMG_0007", {"IMG_0007"}),
        ("img_0007.JPG", {"IMG_0007"}),
        ("IMG/IMG_0007.jpg", {"IMG_0007"}),
        ("IMG-0007", {"IMG_0007"}),
        ("DSC_0007", {"DSC_0007"}),
        ("img dsc 0007", {"DSC_0007"}),
        ("teddy-bear", {"teddy-bear"}),
        ("teddy-bear.jpg, please", set()),
        ("teddy-bear.jpg", {"teddy-bear"}),
        ("bear teddy", {"teddy-bear"}),
        ("2023-07-14", {"party"}),
        ("2023-07-15", set()),
    ],
)
def test_a_name_finds_its_photo_and_not_its_folder(search, text, names):
    assert having(search, text) == names


def test_words_that_most_photos_have_say_nothing(search):
    assert having(search, "IMG") == set()  # more than half of the photos
    assert having(search, "IMG party") == {"party"}


def test_of_equally_near_photos_those_with_the_words_come_first(search):
    all_words, some_words = (search.by_text(text, k=4).hits for text in ("a yellow lamp", "a yellow lamp on the table"))
    assert [hit.by_words for hit in all_words] == [True, False, False, False]
    assert all_words[0].image_id == "2023-07-14/party.jpg"
    assert {hit.image_id for hit in some_words} == {hit.image_id for hit in all_words}
    assert not any(hit.by_words for hit in some_words)


def test_the_words_of_several_texts_count_together(search):
    from image_embeddings.search.request import Part

    hits = search.by_parts([Part(what="a dog"), Part(what="in the snow")], k=50).hits
    assert [hit.image_id for hit in hits if hit.by_words] == ["pets/husky.jpg"]


@pytest.mark.parametrize("word", ["o'-b{}'c-d", "강아지{}가", "犬{}タワー猫"])
def test_a_long_text_is_not_too_much_for_elasticsearch(search, word):
    assert not search.by_text(" ".join(map(word.format, range(60))), k=1).hits[0].by_words


def test_a_page_needs_one_search(search, monkeypatch):
    bodies = []
    send = search.index.nearest._send
    monkeypatch.setattr(
        search.index.nearest, "_send", lambda *args, **options: bodies.append(args) or send(*args, **options)
    )
    search.by_text("the cathedral of Rome", k=5)
    assert len(bodies) == 1


# Elasticsearch's own lists of stop words, as an independent reader. Without a plugin it has none for Japanese, Korean,
# Chinese and Polish.
TOLD_BY_ELASTICSEARCH = {
    "arabic": ("ar", "في من على إلى هذا التي", "كلب قطة زهرة"),
    "dutch": ("nl", "de het een in met niet", "hond kat bloem"),
    "english": ("en", "a the of and in with not", "dog cat flower"),
    "french": ("fr", "le la les des avec dans", "chien chat fleur"),
    "german": ("de", "der die das und mit nicht einen", "Hund Katze Blume"),
    "italian": ("it", "il lo gli della con nel non", "cane gatto fiore"),
    "portuguese": ("pt", "os as uma com para não", "cão gato flor"),
    "russian": ("ru", "и в на с не", "собака кошка цветок"),
    "spanish": ("es", "el los una con para no", "perro gato flor"),
    "thai": ("th", "ที่ และ ของ", "หมา แมว"),
    "turkish": ("tr", "ve bir için ile bu", "köpek kedi çiçek"),
}
"""language -> code, its function words, and words with a meaning"""


@pytest.mark.parametrize("language", TOLD_BY_ELASTICSEARCH)
def test_elasticsearch_knows_the_same_stop_words(cluster, language):
    code, function, others = TOLD_BY_ELASTICSEARCH[language]
    stop = ["lowercase", {"type": "stop", "stopwords": f"_{language}_"}]
    tokens = cluster.client.indices.analyze(text=f"{function} {others}", tokenizer="standard", filter=stop)["tokens"]
    known = function_words()
    kept = [
        word
        for word in f"{function} {others}".lower().split()
        if code not in known.certain.get(word, set()) | known.unless_alone.get(word, set())
    ]
    assert [token["token"] for token in tokens] == kept == others.lower().split()


def test_a_text_of_nothing_matches_nothing_but_its_words(search):
    result = search.by_text("!!!", k=5, verdict=True)
    assert (result.understood, result.relevant, len(result.hits)) == (False, 0, 5)
    assert search.by_text("the of and", k=5, verdict=True).relevant == 0
    assert search.by_text("dog", k=5, verdict=True).understood
    assert np.allclose([hit.similarity for hit in search.by_text("red", k=1).hits], 1, atol=1e-5)


class IgnorantEncoder(ColourEncoder):
    """Knows no text."""

    def knows(self, text):
        return False


@pytest.mark.parametrize("text", ["dog", "DOG", "Hammer", "yellow lamp"])
def test_photos_that_have_the_words_go_first_if_the_model_does_not_know_the_text(search, text):
    words_only = ImageSearch(search.index, encoder_for=lambda model: IgnorantEncoder())
    hits = words_only.by_text(text, k=len(PHOTOS)).hits
    having = [hit.by_words for hit in hits]
    assert any(having)
    assert having == sorted(having, reverse=True)
    assert all(-1 <= hit.similarity <= 1 for hit in hits)
