"""`evaluate --ann` on a real node: recall by settings of the search, held against exact search by numpy."""

import json

import numpy as np
import pytest

from image_embeddings.documents import ModelInfo
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.index_sizes import read_sizes
from image_embeddings.es.queries import MAX_OVERSAMPLE, SearchOptions, Thoroughness
from image_embeddings.evaluation import AnnTest
from image_embeddings.evaluation.ann_settings import measure_settings
from tests.commands import run_here
from tests.server.indexed import document

pytestmark = pytest.mark.server

DIMS, PHOTOS, CLUSTERS, K = 64, 3_000, 20, 10
MODEL = ModelInfo(model_id="random", dims=DIMS, preprocessing="none")
RNG = np.random.default_rng(6)
EMBEDDINGS = RNG.normal(size=(CLUSTERS, DIMS))[np.arange(PHOTOS) % CLUSTERS] + 0.7 * RNG.normal(size=(PHOTOS, DIMS))
EMBEDDINGS = (EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def coarse(cluster):
    """An index that keeps one bit of each number. Photos in few, tight clusters are hard for it."""
    index = ImageIndex(cluster, name="test-ann-settings")
    index.create(model=MODEL, vector_index_type="bbq_hnsw")
    assert read_sizes(index).disk < PHOTOS  # Elasticsearch keeps some counts for seconds, and none may be shown later
    documents = [document(f"{number}.jpg") for number in range(PHOTOS)]
    assert list(index.documents.add(zip(documents, EMBEDDINGS, strict=True))) == []
    index.refresh()
    yield index
    index.drop()


@pytest.fixture
def evaluate(elasticsearch_url, coarse, tmp_path):
    """Runs `evaluate` on the index, with an OVERSAMPLE, and returns what it prints."""
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": coarse.name, "IMAGE_DIR": str(tmp_path)}

    def go(*arguments, oversample):
        environ.update(OVERSAMPLE=str(oversample), DATA_DIR=str(tmp_path / "data"))
        done = run_here(environ, "evaluate", "--queries", "20", *arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    return go


def numpy_recall(index, test, thoroughness):
    """Return the share of the truly nearest photos that a search finds, by names and by numpy alone."""
    options = SearchOptions(vector_index_type="bbq_hnsw", thoroughness=thoroughness)
    shares = []
    for query in test.vectors:
        found = {int(hit.image_id[:-4]) for hit in index.nearest.to_embedding(query, k=K, options=options).hits}
        shares.append(len(found & set(np.argsort(-EMBEDDINGS @ query)[:K].tolist())) / K)
    return np.mean(shares)


def test_recall_by_settings_is_that_of_numpy_and_the_proposal_reaches_the_target(coarse):
    test = AnnTest.draw(coarse, k=K, queries=40)
    report = measure_settings(test, present=Thoroughness(num_candidates=100, oversample=1))
    assert (report.vector_index_type, report.photos, report.queries, report.k) == ("bbq_hnsw", PHOTOS, 40, K)
    for row in report.measurements[::4]:
        assert row.recall == pytest.approx(numpy_recall(coarse, test, row.thoroughness), abs=1e-3)
        assert 0 < row.p50_ms <= row.p95_ms
    assert report.measurements[0].recall < 0.8  # seen: 0.33
    assert report.proposal
    proposed = Thoroughness(
        num_candidates=int(report.proposal.get("NUM_CANDIDATES", 100)),
        oversample=int(report.proposal.get("OVERSAMPLE", 1)),
    )
    assert numpy_recall(coarse, test, proposed) >= 0.99


def test_more_photos_are_scored_again_than_elasticsearch_does_for_each_hit(coarse):
    test = AnnTest.draw(coarse, k=K, queries=40)
    least, most = (test.recall(Thoroughness(oversample=times)).recall for times in (MAX_OVERSAMPLE, 100))
    assert (least < 0.999, most) == (True, 1.0), least


def test_memory_is_that_of_the_formula_of_elastic(coarse):
    sizes = read_sizes(coarse)
    least = PHOTOS * (DIMS / 8 + 14)
    # Of so few photos, Elasticsearch makes a graph only if they lie together in one segment.
    assert least <= sizes.memory <= least + PHOTOS * 4 * 16
    assert sizes.disk > PHOTOS * DIMS * 4


def test_the_command_proposes_a_setting_and_keeps_the_rest_of_its_json(evaluate):
    plain = json.loads(evaluate("--json", oversample=1))
    answer = json.loads(evaluate("--ann", "--json", oversample=1))
    report = answer.pop("ann_settings")
    assert answer.keys() == plain.keys() == {"ann_recall", "text_recall"}
    assert int(report["proposal"]["OVERSAMPLE"]) > 1
    first = {name: report["measurements"][0][name] for name in ("num_candidates", "oversample")}
    assert first == {"num_candidates": 500, "oversample": 1}
    assert report["sizes"]["memory"] > 0


def test_the_command_shows_a_table_for_people(evaluate):
    said = evaluate("--ann", oversample=100)
    assert "Proposal: keep the settings." in said
    assert f"bbq_hnsw: {PHOTOS:,} photos" in said
    assert "Proposal: OVERSAMPLE=" in evaluate("--ann", oversample=1)
