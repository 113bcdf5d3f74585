import pytest

from image_embeddings.config import VECTOR_INDEX_TYPES
from image_embeddings.es.queries import Thoroughness
from image_embeddings.evaluation.ann_settings import FINER, Measurement, efforts, propose


def measured(num_candidates, oversample, recall):
    return Measurement(num_candidates=num_candidates, oversample=oversample, recall=recall, p50_ms=1.0, p95_ms=2.0)


def pairs(vector_index_type, *, k=10, **present):
    found = efforts(vector_index_type, k=k, present=Thoroughness(**present))
    return [(effort.num_candidates, effort.oversample) for effort in found]


def test_settings_that_are_good_enough_are_kept():
    assert propose([measured(100, 3, 0.99), measured(200, 3, 1.0)], vector_index_type="int8_hnsw", k=10) == {}


@pytest.mark.parametrize(
    ("others", "proposal"),
    [
        ([(200, 10, 0.98), (500, 10, 0.995), (1000, 10, 1.0)], {"NUM_CANDIDATES": "500"}),
        ([(200, 30, 0.992), (500, 10, 0.995)], {"NUM_CANDIDATES": "200", "OVERSAMPLE": "30"}),  # 300 are fewer than 500
        ([(200, 100, 0.995), (1000, 30, 0.995)], {"NUM_CANDIDATES": "1000", "OVERSAMPLE": "30"}),  # fewer scored again
        ([(100, 100, 0.995), (500, 3, 0.995), (50, 30, 0.995)], {"OVERSAMPLE": "100"}),  # no value is lowered
        ([(100, 100, 0.98), (1000, 100, 0.989)], {"VECTOR_INDEX_TYPE": "int8_hnsw"}),
    ],
)
def test_the_least_work_that_is_good_enough_is_proposed(others, proposal):
    rows = [measured(100, 10, 0.9), *(measured(*other) for other in others)]
    assert propose(rows, vector_index_type="bbq_hnsw", k=10) == proposal


@pytest.mark.parametrize(
    ("others", "proposal"), [([(1000, 3, 0.98)], {"NUM_CANDIDATES": "1000"}), ([(1000, 3, 0.9)], {})]
)
def test_without_a_finer_type_the_best_search_is_proposed(others, proposal):
    rows = [measured(100, 3, 0.97), *(measured(*other) for other in others)]
    assert propose(rows, vector_index_type="hnsw", k=10) == proposal


def test_the_present_settings_are_measured_first_and_once():
    found = pairs("int8_hnsw", num_candidates=150, oversample=7)
    assert found[0] == (150, 7)
    assert pairs("bbq_hnsw")[0] == (500, 30)
    for kind in VECTOR_INDEX_TYPES:
        assert len(pairs(kind)) == len(set(pairs(kind)))


def test_only_what_makes_a_difference_is_measured():
    assert pairs("flat") == [(500, 10)]
    assert pairs("bbq_flat", num_candidates=70) == [(70, 30), (70, 3), (70, 10), (70, 100)]
    assert pairs("hnsw") == [(number, 10) for number in (500, 100, 200, 1000, 2000, 5000)]
    graph = set(pairs("int8_hnsw"))
    assert {(500, 30), (500, 100), (1000, 100), (100, 10)} < graph
    assert not {(200, 30), (100, 100)} & graph  # 300 and 1,000 are scored again, so they are candidates too
    assert {(60, 3), (60, 100), (500, 30)} < set(pairs("int8_hnsw", num_candidates=60))


def test_each_finer_type_is_a_type_and_ends_at_one_that_shortens_nothing():
    for kind in FINER:
        while kind in FINER:
            kind = FINER[kind]
        assert kind in ("hnsw", "flat")
