from dataclasses import replace

import numpy as np
import pytest

from image_embeddings.documents import ImageDocument, ModelInfo
from image_embeddings.es import mapping, queries
from image_embeddings.es.filters import Filters
from image_embeddings.es.queries import SearchOptions
from image_embeddings.words.terms import Term, terms_of
from tests.goldens import check_golden

MODEL = ModelInfo(model_id="clip-ViT-B-32", dims=512, preprocessing="decode-2+clip-1", probe=(0.5, -0.25))
DOCUMENT = ImageDocument(
    image_id="trips/2024/rome/forum.jpg",
    width=4000,
    height=3000,
    bytes=5_000_000,
    mtime_ns=1_700_000_000_123_456_789,
    content_hash="ab12" * 8,
    ctime_ns=1_700_000_001_000_000_000,
    inode=-7,
    etag="0123456789abcdef0123456789abcdef",
    sidecar_state="0123456789abcdef",
    location=(41.89, 12.48),
    altitude=-1.5,
    taken="2024-05-01T12:30:00+02:00",
    taken_by="exif",
    camera_make="Maker",
    camera_model="Camera",
    lens="50mm",
    caption="The Forum, seen from the Palatine",
    table_caption="The Forum, seen from the Palatine",
    title="Foro Romano",
    headline="Ruins in the evening",
    keywords=("rome", "ruins"),
    city="Roma",
    country="Italia",
    persons=("Grace Hopper",),
    rating=4,
    label="ruins",
    extra={"photographer": "Ada"},
    preview="UklGRg==",
    fingerprint="UklGRg==",
)
EVERY_FILTER = Filters(
    values={"folder": ("trips", "home"), "label": ("ruins",), "camera": ("Camera",), "orientation": ("landscape",)},
    columns=(("photographer", "Ada"), ("photographer", "Grace"), ("shelf", "3")),
    taken_from="2024",
    taken_to="2024-05",
    place=(41.0, 12.0, 42.0, 13.0),
    min_width=800,
    min_height=600,
)
BARE = ImageDocument(image_id="a.jpg", width=1, height=1, bytes=0, mtime_ns=0, content_hash="ab" * 16)


def test_the_body_of_a_new_index():
    check_golden("index_body.json", mapping.index_body(model=MODEL, vector_index_type="int8_hnsw"))


def test_the_body_of_a_document():
    check_golden("document_body.json", mapping.document_body(DOCUMENT, vector="PwAAAA=="))


def test_a_knn_search_by_vector_with_filters():
    query = queries.vector_query(np.array([0.6, 0.8], np.float32))
    options = SearchOptions(filters=Filters(values={"folder": ("trips/2024",)}), without=["a.jpg"])
    check_golden("knn_vector.json", queries.photo_search(query, k=10, offset=20, options=options))


def test_a_knn_search_near_an_indexed_photo():
    query = queries.lookup_query(index="photos", image_id="a.jpg")
    check_golden("knn_lookup.json", queries.photo_search(query, k=5))


def test_a_search_by_embedding_and_words_with_every_filter_and_facets():
    query = queries.vector_query(np.array([0.6, 0.8], np.float32))
    options = SearchOptions(filters=EVERY_FILTER, terms=terms_of("IMG_7 in Rome"), facets=True)
    check_golden("knn_words_facets.json", queries.photo_search(query, k=10, options=options))


def test_the_nearest_by_date():
    query = queries.vector_query(np.array([0.6, 0.8], np.float32))
    check_golden("knn_by_date.json", queries.photo_search(query, k=10, options=SearchOptions(sort="oldest")))


def test_all_photos_by_date():
    options = SearchOptions(filters=Filters(min_width=800), sort="newest")
    check_golden("browse.json", queries.photo_search(None, k=10, offset=10, options=options))


def test_deep_pages_stay_within_the_limit_of_candidates():
    knn = queries.photo_search({}, k=1000, offset=9000)["knn"]
    assert (knn["k"], knn["num_candidates"]) == (10_000, 10_000)


@pytest.mark.parametrize(
    ("photos", "having", "rare"),
    [(100, [51, 50, 0], "b c"), (100, [100], ""), (19, [19, 1], "a b"), (20, [20, 10], "b")],
)
def test_terms_that_more_than_half_of_the_photos_have_tell_nothing(photos, having, rare):
    counts = {"doc_count": photos, "terms": {"buckets": [{"doc_count": count} for count in having]}}
    terms = [Term((word,), word) for word in "abc"[: len(having)]]
    assert " ".join(term.spelling for term in queries.rare_terms(terms, counts)) == rare


def test_unknown_values_are_no_fields_of_a_document():
    names = {"image_id", "width", "height", "bytes", "mtime_ns", "content_hash", "name", "folders"}
    names |= {"format", "orientation", "words", "undated_mtime_ns"}
    assert set(mapping.document_body(BARE, vector=[0.0])) == names | {queries.EMBEDDING}


def test_dates_are_searched_by_the_clock_at_the_place():
    for taken, wall in (
        ("2024-01-01T00:30:00+09:00", "2024-01-01T00:30:00"),
        ("2023-12-31T21:00:00.5-05:00", "2023-12-31T21:00:00.5"),
        ("2024-01-01T00:30:00", "2024-01-01T00:30:00"),
        ("2019-08-14", "2019-08-14"),
    ):
        body = mapping.document_body(replace(BARE, taken=taken), vector=[0.0])
        assert (body["taken"], body["taken_local"]) == (taken, wall)
        assert "undated_mtime_ns" not in body


def test_the_fields_that_an_older_index_lacks_are_listed():
    older = {name: {} for name in mapping.document_properties() if name not in ("taken", "lens")}
    assert mapping.missing_properties(older) == {"taken": {"type": "date"}, "lens": {"type": "keyword"}}
    assert mapping.missing_properties(mapping.document_properties()) == {}


def test_every_field_of_a_document_is_mapped():
    stored = {
        name
        for document in (DOCUMENT, BARE, replace(BARE, taken="1960"))
        for name in mapping.document_body(document, vector=[0.0])
    }
    assert stored == set(mapping.properties(dims=4, vector_index_type="flat"))


def test_a_model_comes_back_from_the_meta_of_a_mapping():
    assert mapping.model_of(mapping.meta(model=MODEL)) == MODEL


@pytest.mark.parametrize("meta", [{}, {"image_search": 0}, {"model_id": "clip"}])
def test_the_meta_of_another_index_is_no_model(meta):
    assert mapping.model_of(meta) is None


def test_embeddings_and_fingerprints_come_with_hits_that_are_to_be_folded():
    plain, verdict, fold = (
        queries.photo_search(None, k=5, options=options)
        for options in (SearchOptions(), SearchOptions(verdict=True), SearchOptions(fold=True))
    )
    assert [body.get("fields") for body in (plain, verdict, fold)] == [None, ["image_embedding"], ["image_embedding"]]
    left_out = [body["_source"]["excludes"] for body in (plain, verdict, fold)]
    assert left_out == [["image_embedding", "fingerprint"]] * 2 + [["image_embedding"]]


def test_embeddings_come_in_base64_if_the_server_can():
    body = queries.photo_search(None, k=5, options=SearchOptions(fold=True), packed=True)
    assert "fields" not in body
    assert body["docvalue_fields"] == [{"field": "image_embedding", "format": "binary"}]


@pytest.mark.parametrize("values", [[0.5, -2.0], ["PwAAAMAAAAA="]])
def test_the_embedding_of_a_hit_is_the_same_in_both_forms(values):
    embedding = queries.embedding_of({"_id": "a.jpg", "fields": {"image_embedding": values}})
    assert embedding.dtype == np.float32
    assert embedding.tolist() == [0.5, -2.0]


def test_a_hit_without_an_embedding_has_none():
    assert queries.embedding_of({"_id": "a.jpg"}) is None


@pytest.mark.parametrize(
    ("kind", "k", "scored_again"),
    [
        ("int8_hnsw", 10, 100),
        ("", 10, 100),
        ("bbq_hnsw", 10, 300),
        ("bbq_flat", 300, 9_000),
        ("bbq_hnsw", 5_000, 10_000),
        ("int8_hnsw", 10_000, 10_000),
    ],
)
def test_more_candidates_are_scored_again_the_coarser_the_index_is(kind, k, scored_again):
    options = SearchOptions(vector_index_type=kind)
    knn = queries.photo_search(queries.vector_query(np.ones(4, np.float32)), k=k, options=options)["knn"]
    assert knn["k"] * knn["rescore_vector"]["oversample"] == scored_again


def knn_of(k, *, sort="relevance", terms=(), **thoroughness):
    options = SearchOptions(
        vector_index_type="bbq_hnsw", thoroughness=queries.Thoroughness(**thoroughness), sort=sort, terms=terms
    )
    body = queries.photo_search(queries.vector_query(np.ones(4, np.float32)), k=k, options=options)
    knn = body["query"]["bool"]["must"]["dis_max"]["queries"][0]["knn"] if terms else body.get("knn")
    knn = knn or body["query"]["knn"]
    return knn["k"], knn["num_candidates"], knn["rescore_vector"]["oversample"]


@pytest.mark.parametrize(
    ("k", "thoroughness", "expected"),
    [
        (10, {}, (30, 500, 10)),  # Elasticsearch scores 10 again for each photo it finds, so it finds 30
        (10, {"num_candidates": 1_000, "oversample": 3}, (10, 1_000, 3)),
        (10, {"num_candidates": 10, "oversample": 10}, (10, 20, 10)),  # twice the photos wanted at least
        (10, {"num_candidates": 10, "oversample": 100}, (100, 100, 10)),
        (1_000, {"oversample": 100}, (1_000, 2_000, 10)),  # 10,000 in all at most
        (10_000, {"oversample": 1_000}, (10_000, 10_000, 1)),
        (10, {"sort": "newest", "oversample": 100}, (200, 500, 10)),  # all that are found are sorted by date
        (10, {"terms": terms_of("rome")}, (100, 500, 10)),  # words are counted for 100, however many are weighed
        (80, {"terms": terms_of("rome"), "oversample": 3}, (160, 500, 3)),
    ],
)
def test_a_search_is_as_thorough_as_it_is_told(k, thoroughness, expected):
    assert knn_of(k, **thoroughness) == expected


def test_an_index_may_have_several_shards_and_copies():
    body = mapping.index_body(model=MODEL, vector_index_type="flat", shards=3, copies=mapping.serving_copies(1))
    assert body["settings"] == {"number_of_shards": 3, "number_of_replicas": 1, "auto_expand_replicas": "false"}
    assert mapping.vector_index_type_of(body["mappings"]) == "flat"
