import pytest

from image_embeddings.search.stopwatch import Stopwatch


def test_times_of_one_stage_add_up_and_all_count_to_the_total():
    stopwatch = Stopwatch()
    for _ in range(2):
        with stopwatch.stage("search"):
            sum(range(10_000))
    once = stopwatch.took_ms()
    with stopwatch.stage("search"):
        sum(range(10_000))
    again = stopwatch.took_ms()
    assert set(again) == {"search", "total"}
    assert 0 < once["search"] < again["search"] <= again["total"]


def test_a_failed_stage_counts_too():
    stopwatch = Stopwatch()
    with pytest.raises(ValueError), stopwatch.stage("encode"):
        raise ValueError
    assert "encode" in stopwatch.took_ms()
