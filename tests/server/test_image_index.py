from dataclasses import replace

import numpy as np
import pytest

from image_embeddings.documents import FileState
from image_embeddings.errors import ImageNotFoundError, IndexForeignError, IndexMissingError, RequestError
from image_embeddings.es import mapping
from image_embeddings.es.all_documents import read_all
from image_embeddings.es.connection import Cluster
from image_embeddings.es.filters import Filters
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.nearest import Hit
from image_embeddings.es.queries import SearchOptions
from image_embeddings.es.retries import passes
from tests.fakes import ColourEncoder
from tests.server.indexed import DESCRIBED, as_an_older_version_made_it, document

pytestmark = pytest.mark.server

ENCODER = ColourEncoder()
BEFORE_PACKED_AND_LOOKUP = (9, 0)


def add(index, *names):
    pairs = [(document(f"{name}.jpg"), ENCODER.encode_texts([name])[0]) for name in names]
    rejected = list(index.documents.add(pairs))
    index.refresh()
    return rejected


def test_the_error_of_a_missing_index_says_how_to_make_one(cluster, name):
    with pytest.raises(IndexMissingError, match="python -m image_embeddings index"):
        ImageIndex(cluster, name=name).state()


def test_an_index_that_elasticsearch_learns_of_only_now_does_not_count_as_missing(index, monkeypatch):
    hidden = index.at(f"{index.name}-later")
    recovered = hidden.cluster.check_recovered

    def recovers():
        recovered()
        index.cluster.client.indices.put_alias(index=index.state().backing_index, name=hidden.name)

    monkeypatch.setattr(hidden.cluster, "check_recovered", recovers)
    with pytest.raises(RequestError, match="only now") as caught:
        hidden.state()
    assert passes(caught.value)
    assert hidden.state() == index.state()


def test_an_index_of_someone_else_is_refused(cluster, name):
    cluster.client.indices.create(index=name)
    with pytest.raises(IndexForeignError, match="INDEX_NAME"):
        ImageIndex(cluster, name=name).state()


def test_a_new_index_remembers_its_model(index):
    assert index.state().model == ENCODER.info


def test_documents_are_found_and_given_back_whole(index):
    stored = document("a/b.jpg", **DESCRIBED)
    list(index.documents.add([(stored, ENCODER.encode_texts(["red"])[0])]))
    assert index.documents.get("a/b.jpg") == stored


@pytest.mark.parametrize("extra", [{"a.b": "dotted"}, {"日本": "x" * 2_000}, {'"quotes"': "'"}, {"caption": "x"}])
def test_columns_of_any_name_are_stored(index, extra):
    stored = document("a.jpg", extra=extra)
    assert list(index.documents.add([(stored, ENCODER.encode_texts(["red"])[0])])) == []
    assert index.documents.get("a.jpg").extra == extra


@pytest.mark.parametrize(
    "query",
    [
        {"range": {"taken": {"gte": "2024-05-01T10:00:00Z", "lt": "2024-05-01T11:00:00Z"}}},
        {"term": {"camera_model": "Camera"}},
        {"match": {"caption": "forum"}},
        {"term": {"keywords": "ruins"}},
        {"range": {"altitude": {"lt": 0}}},
        {"term": {"persons": "Grace Hopper"}},
        {"range": {"rating": {"lte": 0}}},
        *({"match": {"words": word}} for word in ("romano", "evening", "roma", "italia", "hopper")),
        {"term": {"extra.photographer": "Ada"}},
    ],
)
def test_photos_are_found_by_their_metadata(index, cluster, query):
    red = ENCODER.encode_texts(["red"])[0]
    list(
        index.documents.add(
            [(document("a.jpg", **DESCRIBED), red), (document("b.jpg", extra={"photographer": "Bo"}), red)]
        )
    )
    index.refresh()
    hits = cluster.client.search(index=index.name, query=query)["hits"]["hits"]
    assert [hit["_id"] for hit in hits] == ["a.jpg"]


def test_a_time_without_a_zone_counts_as_utc(index, cluster):
    list(index.documents.add([(document("a.jpg", taken="2024-05-01T12:30:00"), ENCODER.encode_texts(["red"])[0])]))
    index.refresh()
    noon = {"range": {"taken": {"gte": "2024-05-01T12:00:00Z", "lt": "2024-05-01T13:00:00Z"}}}
    assert cluster.client.count(index=index.name, query=noon)["count"] == 1


def test_an_index_of_an_older_version_accepts_new_documents_after_it_got_their_fields(index):
    as_an_older_version_made_it(index)
    stored = document("a.jpg", **DESCRIBED), ENCODER.encode_texts(["red"])[0]
    with pytest.raises(RequestError, match="strict"):
        list(index.documents.add([stored]))
    index.bring_up_to_date()
    index.bring_up_to_date()  # all fields are there now
    assert list(index.documents.add([stored])) == []
    assert index.state().model == ENCODER.info


HEURISTIC = "index.dense_vector.hnsw_filter_heuristic"
EARLY_TERMINATION = "index.dense_vector.hnsw_enable_early_termination"
OURS, DEFAULTS = ["fanout", "false"], ["ACORN", "true"]


def graph_settings(index, cluster):
    """How Elasticsearch says that it searches the graph of the index."""
    found = cluster.client.indices.get_settings(index=index.name, flat_settings=True, include_defaults=True).body
    (settings,) = found.values()
    return [{**settings["defaults"], **settings["settings"]}[name] for name in (HEURISTIC, EARLY_TERMINATION)]


def test_graphs_are_searched_as_a_whole_unless_the_operator_wants_it_otherwise(index, cluster):
    assert graph_settings(index, cluster) == OURS
    as_before = {HEURISTIC: None, EARLY_TERMINATION: None}
    cluster.client.indices.put_settings(index=index.name, settings=as_before)
    assert graph_settings(index, cluster) == DEFAULTS
    index.bring_up_to_date()
    assert graph_settings(index, cluster) == OURS
    cluster.client.indices.put_settings(index=index.name, settings={EARLY_TERMINATION: True})
    index.bring_up_to_date()
    assert graph_settings(index, cluster) == ["fanout", "true"]


@pytest.mark.parametrize(("version", "expected"), [((9, 0), DEFAULTS), ((9, 2), ["fanout", "true"])])
def test_a_server_is_told_only_what_its_version_knows(index, cluster, version, expected):
    older = ImageIndex(Cluster(cluster.client, version=version), name=f"{index.name}-older")
    older.create(model=ENCODER.info, vector_index_type="int8_hnsw")
    assert graph_settings(older, cluster) == expected
    older.drop()


def test_a_setting_that_elasticsearch_no_longer_knows_keeps_no_index_from_being_made(index, cluster, monkeypatch):
    gone = "index.dense_vector.gone"
    monkeypatch.setattr(mapping, "GRAPH_SETTINGS", {gone: ((9, 1), 1), **mapping.GRAPH_SETTINGS})
    index.create(model=ENCODER.info, vector_index_type="int8_hnsw")
    assert graph_settings(index, cluster) == OURS


def test_the_stored_embedding_is_the_one_that_was_written(index):
    add(index, "red")
    np.testing.assert_allclose(index.documents.embedding("red.jpg"), ENCODER.encode_texts(["red"])[0], atol=1e-6)


@pytest.mark.parametrize("version", [BEFORE_PACKED_AND_LOOKUP, None])
@pytest.mark.parametrize("vector_index_type", ["int8_hnsw", "bbq_hnsw", "flat"])
def test_every_way_to_read_embeddings_gives_the_bits_that_were_written(cluster, name, version, vector_index_type):
    random = np.random.default_rng(0)
    rows = random.standard_normal((40, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    written = {f"{number}.jpg": row for number, row in enumerate(rows)}
    index = ImageIndex(Cluster(cluster.client, version=version), name=name)
    index.create(model=replace(ENCODER.info, dims=64), vector_index_type=vector_index_type)
    hashes = {image_id: f"{number:032x}" for number, image_id in enumerate(written)}
    pairs = [(document(image_id, content_hash=hashes[image_id]), row) for image_id, row in written.items()]
    assert list(index.documents.add(pairs)) == []
    index.refresh()
    exported = {found.image_id: row for page in read_all(index, dims=64) for found, row in page.rows}
    copies = {image_id: index.documents.copy_of(hashes[image_id])[1] for image_id in written}
    single = {image_id: index.documents.embedding(image_id) for image_id in written}
    for read in (exported, copies, single):
        assert {image_id: row.tobytes() for image_id, row in read.items()} == {
            image_id: row.tobytes() for image_id, row in written.items()
        }
    for pages in (index.documents.embeddings(page_size=7), [index.documents.sample(100)]):
        assert sorted(row.tobytes() for page in pages for row in page) == sorted(row.tobytes() for row in rows)
    index.drop()


def test_embeddings_as_lists_work_like_packed_ones(index, cluster):
    index = ImageIndex(Cluster(cluster.client, version=BEFORE_PACKED_AND_LOOKUP), name=index.name)
    add(index, "red", "green")
    np.testing.assert_allclose(index.documents.embedding("red.jpg"), ENCODER.encode_texts(["red"])[0], atol=1e-6)


@pytest.mark.parametrize("version", [BEFORE_PACKED_AND_LOOKUP, None])
@pytest.mark.parametrize("options", [SearchOptions(verdict=True), SearchOptions(fold=True)])
def test_hits_come_with_the_embeddings_that_were_written(index, cluster, version, options):
    add(index, "red", "magenta")
    index = ImageIndex(Cluster(cluster.client, version=version), name=index.name)
    for hit in index.nearest.browse(k=2, options=options).hits:
        written = ENCODER.encode_texts([hit.image_id.removesuffix(".jpg")])[0]
        np.testing.assert_allclose(hit.embedding, written, atol=1e-6)


@pytest.mark.parametrize("version", [BEFORE_PACKED_AND_LOOKUP, None])
def test_photos_like_an_indexed_one_do_not_include_it(index, cluster, version):
    add(index, "red", "magenta", "cyan")
    index = ImageIndex(Cluster(cluster.client, version=version), name=index.name)
    assert [hit.document.image_id for hit in index.nearest.to_photo("red.jpg", k=10).hits] == [
        "magenta.jpg",
        "cyan.jpg",
    ]


@pytest.mark.parametrize("version", [BEFORE_PACKED_AND_LOOKUP, None])
def test_photos_like_a_missing_one_are_an_error(index, cluster, version):
    add(index, "red")
    index = ImageIndex(Cluster(cluster.client, version=version), name=index.name)
    with pytest.raises(ImageNotFoundError, match=r"nope\.jpg"):
        index.nearest.to_photo("nope.jpg", k=3)


def test_a_photo_that_is_added_while_it_is_looked_for_is_found(index, monkeypatch):
    add(index, "red", "magenta")
    search = index.nearest._search

    def add_after_failure(query, **options):
        try:
            return search(query, **options)
        except RequestError:
            add(index, "cyan")
            raise

    monkeypatch.setattr(index.nearest, "_search", add_after_failure)
    hits = index.nearest.to_photo("cyan.jpg", k=10).hits
    assert {hit.document.image_id for hit in hits} == {"red.jpg", "magenta.jpg"}


def test_scores_are_exact_cosines(index):
    add(index, "red", "magenta", "cyan")
    query = ENCODER.encode_texts(["red"])[0]
    for hit in index.nearest.to_embedding(query, k=3).hits:
        expected = float(query @ ENCODER.encode_texts([hit.document.image_id[:-4]])[0])
        assert 2 * hit.score - 1 == pytest.approx(expected, abs=1e-5)


def test_a_similarity_has_no_more_digits_than_the_score_tells():
    shown = [Hit(rank=1, score=score, document=document("a.jpg")).similarity for score in (0.695915, 1.0, 0.25, None)]
    assert [repr(value) for value in shown] == ["0.39183", "1.0", "-0.5", "None"]


def test_pages_continue_each_other(index):
    add(index, "red", "green", "blue", "yellow", "cyan")
    query = ENCODER.encode_texts(["red"])[0]
    whole = [hit.document.image_id for hit in index.nearest.to_embedding(query, k=5).hits]
    pages = [
        hit.document.image_id
        for offset in (0, 2, 4)
        for hit in index.nearest.to_embedding(query, k=2, offset=offset).hits
    ]
    assert pages == whole


def test_a_filter_still_gives_k_hits(index):
    pairs = [
        (document(f"{folder}/{number}.jpg"), ENCODER.encode_texts([colour])[0])
        for folder, colour in (("near", "red"), ("far/off", "cyan"))
        for number in range(20)
    ]
    list(index.documents.add(pairs))
    index.refresh()
    found = index.nearest.to_embedding(
        ENCODER.encode_texts(["red"])[0], k=10, options=SearchOptions(filters=Filters(values={"folder": ("far",)}))
    )
    assert [hit.document.image_id.startswith("far/off/") for hit in found.hits] == [True] * 10
    assert found.total == 40


def test_file_states_cover_every_document_across_pages(index):
    add(index, "red", "green", "blue", "yellow", "cyan")
    states = index.documents.file_states(page_size=2)
    assert len(states) == 5
    assert states["red.jpg"] == FileState(bytes=10, mtime_ns=5, content_hash="ab" * 16)


def test_a_refused_document_is_named_and_the_others_are_kept(index):
    good, bad = ENCODER.encode_texts(["red"])[0], np.zeros(4, np.float32)
    rejected = list(
        index.documents.add([(document("a.jpg"), good), (document("b.jpg"), bad), (document("c.jpg"), good)])
    )
    index.refresh()
    assert [item.image_id for item in rejected] == ["b.jpg"]
    assert "zero magnitude" in rejected[0].reason
    assert index.count() == 2


def test_removing_a_document_twice_is_no_error(index):
    add(index, "red")
    assert list(index.documents.remove(["red.jpg", "never-there.jpg"])) == []
    index.refresh()
    assert index.count() == 0


def test_a_run_in_progress_is_noted_and_cleared(index):
    state = index.state()
    index.note_progress(state, {"done": 1, "total": 3, "updated": 0})
    assert index.state().indexing == {"done": 1, "total": 3, "updated": 0}
    assert index.state().model == state.model
    index.note_progress(state, None)
    assert index.state().indexing is None


def test_a_new_index_takes_the_place_of_the_old_one(index, cluster):
    add(index, "red")
    older = index.state().backing_index
    newer = index.create(model=ColourEncoder(model_id="newer").info, vector_index_type="flat")
    assert index.state() == newer
    assert index.count() == 0
    assert not cluster.client.indices.exists(index=older)


def test_an_index_without_alias_is_replaced_too(cluster, name):
    cluster.client.indices.create(index=name)
    made = ImageIndex(cluster, name=name)
    made.create(model=ENCODER.info, vector_index_type="flat")
    assert made.state().model == ENCODER.info


def test_a_refused_index_leaves_the_old_one_as_it_was(index):
    add(index, "red")
    with pytest.raises(RequestError, match="no_such_type"):
        index.create(model=ENCODER.info, vector_index_type="no_such_type")
    assert index.count() == 1


def test_an_index_that_no_node_accepts_is_not_made_and_the_error_says_why(index, cluster):
    add(index, "red")
    allocation = {"cluster.routing.allocation.enable": "none"}
    cluster.client.cluster.put_settings(persistent=allocation)
    try:
        with pytest.raises(RequestError, match=r"No node .* may take the index: .*allocation") as caught:
            index.begin_rebuild(model=ENCODER.info, vector_index_type="flat")
    finally:
        cluster.client.cluster.put_settings(persistent=dict.fromkeys(allocation))
    assert passes(caught.value)
    assert index.count() == 1
    assert list(cluster.client.indices.get(index=f"{index.name}*")) == [index.state().backing_index]


def test_an_alias_of_several_indices_is_refused_and_left_alone(cluster, name):
    for number in (1, 2):
        cluster.client.indices.create(index=f"{name}-{number}", aliases={name: {}})
    shared = ImageIndex(cluster, name=name)
    with pytest.raises(IndexForeignError, match=f"{name}-1"):
        shared.state()
    with pytest.raises(IndexForeignError, match=f"{name}-2"):
        shared.create(model=ENCODER.info, vector_index_type="flat")
    with pytest.raises(IndexForeignError):
        shared.drop()
    cluster.client.indices.delete(index=f"{name}-1,{name}-2")


def test_drop_removes_the_index_and_ignores_a_missing_one(index):
    index.drop()
    index.drop()
    with pytest.raises(IndexMissingError):
        index.count()


def test_embeddings_of_other_dims_are_refused_by_name(index):
    add(index, "red")
    with pytest.raises(RequestError, match="dimension"):
        index.nearest.to_embedding(np.ones(7, np.float32), k=1)


def test_the_mapping_is_strict(index, cluster):
    with pytest.raises(Exception, match="strict_dynamic_mapping_exception"):
        cluster.client.index(index=index.name, id="x", document={"surprise": 1})


@pytest.mark.parametrize("kind", ["hnsw", "int8_hnsw", "int4_hnsw", "flat", "int8_flat", "int4_flat"])
def test_every_vector_index_type_searches_exactly_on_a_small_index(cluster, name, kind):
    made = ImageIndex(cluster, name=name)
    made.create(model=ENCODER.info, vector_index_type=kind)
    add(made, "red", "magenta", "cyan")
    found = made.nearest.to_embedding(ENCODER.encode_texts(["red"])[0], k=1).hits[0]
    assert (found.document.image_id, found.score) == ("red.jpg", pytest.approx(1, abs=1e-4))
