"""An index of three shards answers as one of a single shard does."""

import numpy as np
import pytest

from image_embeddings.documents import ImageDocument, ModelInfo
from image_embeddings.es.filters import Filters
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.queries import NEWEST, SearchOptions
from image_embeddings.words.terms import terms_of

pytestmark = pytest.mark.server

DIMS, PHOTOS, CLUSTERS = 64, 1_500, 30
MODEL = ModelInfo(model_id="random", dims=DIMS, preprocessing="none")
WORDS = (
    *("sun", "lake", "dog", "cat", "hill", "road", "rain", "snow"),
    *("boat", "tree", "lamp", "door", "bird", "fish", "rose", "moon"),
)
RNG = np.random.default_rng(16)
CENTRES = RNG.normal(size=(CLUSTERS, DIMS))


def photo(number):
    cluster = number % CLUSTERS
    words = RNG.choice(WORDS, size=RNG.integers(1, 6), replace=False)
    return ImageDocument(
        image_id=f"folder-{number % 37}/walk-{number % 211}/{number}.jpg",
        width=40,
        height=30,
        bytes=number + 1,
        mtime_ns=number * 10**9,
        content_hash=f"{number:032x}",
        taken=f"20{10 + number % 12}-{1 + number % 12:02}-{1 + number % 28:02}T12:00:00",
        camera_model=f"Camera {number % 180}",
        location=(float(RNG.uniform(-60, 60)), float(RNG.uniform(-170, 170))),
        caption=" ".join(words) if number % 3 else None,
        label=f"label {cluster}",
        extra={"shelf": f"{number % 700}"},
        preview="",
        fingerprint="",
    )


DOCUMENTS = [photo(number) for number in range(PHOTOS)]
EMBEDDINGS = CENTRES[np.arange(PHOTOS) % CLUSTERS] + RNG.normal(size=(PHOTOS, DIMS))
EMBEDDINGS = (EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)).astype(np.float32)
QUERIES = EMBEDDINGS[::300] + 0.2 * RNG.normal(size=(5, DIMS)).astype(np.float32)
MANY_QUERIES = EMBEDDINGS[::30] + 0.2 * RNG.normal(size=(50, DIMS)).astype(np.float32)


def make(cluster, name, *, shards, kind):
    index = ImageIndex(cluster, name=name)
    index.create(model=MODEL, vector_index_type=kind, shards=shards)
    assert list(index.documents.add(zip(DOCUMENTS, EMBEDDINGS, strict=True))) == []
    index.refresh()
    return index


@pytest.fixture(scope="module")
def indices(cluster):
    """Makes two indices of the same photos, of one shard and of three. Each pair is made once."""
    made = {}

    def pair(kind):
        if kind not in made:
            made[kind] = [make(cluster, f"test-shards-{kind}-{shards}", shards=shards, kind=kind) for shards in (1, 3)]
        return made[kind]

    yield pair
    for index in (index for pair in made.values() for index in pair):
        index.drop()


@pytest.fixture
def both(indices):
    """Two indices of the same photos, of one shard and of three, which both compare each photo with the query."""
    return indices("flat")


def found(index, query, *, k=20, offset=0, **options):
    kind = index.state().vector_index_type
    options = SearchOptions(vector_index_type=kind, **options)
    return index.nearest.to_embedding(query, k=k, offset=offset, options=options)


def check_same(one, three):
    assert [hit.image_id for hit in one.hits] == [hit.image_id for hit in three.hits]
    assert [hit.score for hit in one.hits] == pytest.approx([hit.score for hit in three.hits], abs=1e-6)
    assert [hit.by_words for hit in one.hits] == [hit.by_words for hit in three.hits]
    assert (one.total, one.matching, one.facets) == (three.total, three.matching, three.facets)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"offset": 20},
        {"filters": Filters(values={"label": ("label 1", "label 2")})},
        {"facets": True},
        {"facets": True, "filters": Filters(columns=(("shelf", "3"),))},
        {"facets": True, "filters": Filters(place=(-10.0, 0.0, 50.0, 9.0))},
        {"sort": NEWEST},
        {"terms": terms_of("snow boat")},
        {"terms": terms_of("rose"), "facets": True},
        {"terms": terms_of("moon lake dog road"), "offset": 5},
    ],
)
def test_hits_scores_and_numbers_are_the_same(both, asked):
    one, three = both
    for query in QUERIES:
        check_same(found(one, query, **asked), found(three, query, **asked))


# Seen: bbq_hnsw 0.93 with one shard and 0.99 with three if 10 candidates for each hit are scored again (now they are
# 30), and 0.74 and 0.93 with 3; int8_hnsw 1.00. Few, tight clusters are hard for one bit a number.
@pytest.mark.parametrize(("kind", "least"), [("int8_hnsw", 0.98), ("bbq_hnsw", 0.9)])
def test_approximate_search_over_three_shards_loses_no_more_than_over_one(indices, kind, least):
    def ids(index, query):
        return {hit.image_id for hit in found(index, query, k=10).hits}

    def recall(index):
        exact = [ids(indices("flat")[0], query) for query in MANY_QUERIES]
        return np.mean([len(ids(index, query) & true) / 10 for query, true in zip(MANY_QUERIES, exact, strict=True)])

    one, three = map(recall, indices(kind))
    assert (one >= least, three >= one - 0.02) == (True, True), (one, three)  # graphs differ from time to time


def test_words_weigh_the_same(both):
    """Raw scores with words: BM25 uses how many photos of the whole index have a word."""
    scores = []
    for index in both:
        body = {"query": {"match": {"caption": "snow boat"}}, "size": 50, "_source": False}
        sent = index._client.search(body, search_type="dfs_query_then_fetch")["hits"]["hits"]
        scores.append([hit["_score"] for hit in sent])
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


@pytest.mark.parametrize("by", ["folder", "label", "column:shelf"])
def test_collections_are_the_same(both, by):
    one, three = (index.documents.collections(by) for index in both)
    assert (one, len(one.found)) == (three, min(200, len(one.found)))


def test_browsing_is_the_same(both):
    one, three = (index.nearest.browse(k=100, offset=50, options=SearchOptions(facets=True)) for index in both)
    check_same(one, three)


def test_all_photos_are_read_once(both):
    one, three = both
    assert one.documents.file_states() == three.documents.file_states()
    assert one.count() == three.count() == PHOTOS
    pages = np.concatenate(list(three.documents.embeddings(page_size=200)))
    assert np.allclose(np.sort(pages @ CENTRES[0]), np.sort(EMBEDDINGS @ CENTRES[0]), atol=1e-5)


def test_a_sample_draws_from_all_shards_alike_and_no_photo_twice(both):
    three = both[1]
    sample = three.documents.sample(600)
    assert np.array_equal(sample, three.documents.sample(600))
    assert len(np.unique(sample, axis=0)) == 600
    drawn = {tuple(row) for row in np.round(sample, 5)}
    shards = [shard_of(three, document.image_id) for document in DOCUMENTS]
    share = np.array([tuple(row) in drawn for row in np.round(EMBEDDINGS, 5)])
    for shard in range(3):
        assert share[np.array(shards) == shard].mean() == pytest.approx(0.4, abs=0.1)


def shard_of(index, image_id):
    (copies,) = index.cluster.client.search_shards(index=index.name, routing=image_id)["shards"]
    return copies[0]["shard"]


def test_photos_are_read_by_name(both):
    three = both[1]
    for document, embedding in list(zip(DOCUMENTS, EMBEDDINGS, strict=True))[::100]:
        assert three.documents.get(document.image_id).content_hash == document.content_hash
        assert three.documents.embedding(document.image_id) == pytest.approx(embedding, abs=1e-6)
        ids = [hit.image_id for hit in three.nearest.to_photo(document.image_id, k=5).hits]
        assert ids == [hit.image_id for hit in both[0].nearest.to_photo(document.image_id, k=5).hits]
