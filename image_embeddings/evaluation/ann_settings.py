"""Which settings the search of an index needs: ANN recall and latency by number of candidates and oversampling."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from image_embeddings.es.index_sizes import IndexSizes, read_sizes
from image_embeddings.es.queries import MAX_NUM_CANDIDATES, Thoroughness, usual_oversample
from image_embeddings.evaluation import AnnTest

TARGET = 0.99  # least recall that is good enough
CANDIDATES = (100, 200, 500, 1000, 2000, 5000)
OVERSAMPLES = (3, 10, 30, 100)
# The type that keeps more of each embedding, if no thoroughness of the search is enough.
FINER = {
    "bbq_hnsw": "int8_hnsw",
    "int4_hnsw": "int8_hnsw",
    "int8_hnsw": "hnsw",
    "bbq_flat": "int8_flat",
    "int4_flat": "int8_flat",
    "int8_flat": "flat",
}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Recall and latency of the search with one value of each setting."""

    num_candidates: int
    oversample: int
    recall: float
    p50_ms: float
    p95_ms: float

    @property
    def thoroughness(self) -> Thoroughness:
        """Return the values as a search takes them."""
        return Thoroughness(num_candidates=self.num_candidates, oversample=self.oversample)


@dataclass(frozen=True, kw_only=True)
class AnnReport:
    """What was measured, the present settings first, and the settings that follow from it."""

    vector_index_type: str
    photos: int
    queries: int
    k: int
    sizes: IndexSizes
    measurements: tuple[Measurement, ...]
    proposal: dict[str, str]  # name of a setting -> value; empty: the present settings are good enough


def measure_settings(test: AnnTest, *, present: Thoroughness) -> AnnReport:
    """Return the recall and latency of each of `efforts`, with all queries of the test, and a proposal.

    Raise an ElasticsearchError if a search fails, or if the sizes of the index cannot be read.
    """
    for _ in test.recalls(present):  # caches and Java's compiler warm up
        pass
    asked = efforts(test.vector_index_type, k=test.k, present=present)
    measurements = tuple(_measure(test, effort) for effort in asked)
    return AnnReport(
        vector_index_type=test.vector_index_type,
        photos=test.photos,
        queries=len(test.vectors),
        k=test.k,
        sizes=read_sizes(test.index),
        measurements=measurements,
        proposal=propose(measurements, vector_index_type=test.vector_index_type, k=test.k),
    )


def efforts(vector_index_type: str, *, k: int, present: Thoroughness) -> list[Thoroughness]:
    """Return what to measure for an index of this type, the present settings first.

    Candidates matter to graphs only, and oversampling to shortened embeddings. Photos that are scored again are
    candidates in any case, so numbers of candidates below theirs make no difference: only the present one is tried.
    """
    usual = usual_oversample(vector_index_type)
    present = Thoroughness(num_candidates=present.num_candidates, oversample=present.oversample or usual)
    now = present.num_candidates
    candidates = sorted({now, *CANDIDATES}) if vector_index_type.endswith("hnsw") else [now]
    oversamples = OVERSAMPLES if vector_index_type in FINER else (usual,)
    found = [
        Thoroughness(num_candidates=number, oversample=times)
        for number in candidates
        for times in oversamples
        if number == now or k * times <= number
    ]
    return [present, *(effort for effort in found if effort != present)]


def _measure(test: AnnTest, effort: Thoroughness) -> Measurement:
    shares, moments = [], [time.perf_counter()]
    for share in test.recalls(effort):
        shares.append(share)
        moments.append(time.perf_counter())
    p50, p95 = np.percentile([(end - begin) * 1000 for begin, end in pairwise(moments)], (50, 95))
    return Measurement(
        num_candidates=effort.num_candidates,
        oversample=effort.oversample or usual_oversample(test.vector_index_type),
        recall=float(np.mean(shares)),
        p50_ms=float(p50),
        p95_ms=float(p95),
    )


def propose(measurements: Sequence[Measurement], *, vector_index_type: str, k: int) -> dict[str, str]:
    """Return the settings that make the search good enough with the least work, or nothing if the first ones are.

    No value is lowered: filters need more than was measured here. Latencies are not compared, because they depend on
    what else the machine does. If no measured search is good enough, the proposal is a type of index that keeps more of
    each embedding, or else the best search.
    """
    present = measurements[0]
    raised = [
        each
        for each in measurements
        if each.num_candidates >= present.num_candidates and each.oversample >= present.oversample
    ]
    good = [each for each in raised if each.recall >= TARGET]
    if present in good:
        return {}
    if not good and vector_index_type in FINER:
        return {"VECTOR_INDEX_TYPE": FINER[vector_index_type]}
    best = min(good, key=lambda each: _work(each, k)) if good else max(raised, key=lambda each: each.recall)
    if best == present:
        return {}
    values = {"NUM_CANDIDATES": str(best.num_candidates), "OVERSAMPLE": str(best.oversample)}
    same = {"NUM_CANDIDATES": str(present.num_candidates), "OVERSAMPLE": str(present.oversample)}
    return {name: value for name, value in values.items() if value != same[name]}


def _work(measurement: Measurement, k: int) -> tuple[int, int]:
    """Return the number of photos that are weighed, and of those that are scored again."""
    rescored = min(k * measurement.oversample, MAX_NUM_CANDIDATES)
    return max(measurement.num_candidates, rescored), rescored
