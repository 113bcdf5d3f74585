"""How well each VECTOR_INDEX_TYPE searches many photos, and what it costs: latency, memory, disk, indexing rate.

    python benchmarks/scale.py FOLDER --photos 100000 [--kinds int8_hnsw bbq_hnsw …] [--seconds 540]
    python benchmarks/scale.py FOLDER --photos 100000 --table

Each kind is measured on an embedded Elasticsearch of its own below FOLDER, in two steps: `build` fills an index, and
`search` asks it QUERIES times for the nearest ten, by numbers of candidates, oversampling and filters. The embeddings
are those of benchmarks/made_embeddings.py; the truth is an exact search. What is done is noted in FOLDER, and the same
command goes on from there, so it may be cut off, also by --seconds. The data of a kind is deleted with --drop.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from benchmarks.made_embeddings import load_cuts  # noqa: E402
from benchmarks.scale_corpus import FILTERS, Corpus, K  # noqa: E402
from image_embeddings.documents import ModelInfo  # noqa: E402
from image_embeddings.embedded_node.node import EmbeddedNode  # noqa: E402
from image_embeddings.es import mapping  # noqa: E402
from image_embeddings.es.connection import connect  # noqa: E402
from image_embeddings.es.image_index import ImageIndex  # noqa: E402
from image_embeddings.es.queries import EMBEDDING, SearchOptions, Thoroughness, usual_oversample  # noqa: E402
from image_embeddings.evaluation import ann_recall_at_k  # noqa: E402

NAME = "scale"
CANDIDATES = (100, 200, 500, 1000)
OVERSAMPLES = (1, 3, 5, 10, 30, 100)
# A kind is a VECTOR_INDEX_TYPE, and what its mapping has besides.
VARIANTS: dict[str, dict[str, Any]] = {
    "bfloat16": {"element_type": "bfloat16"},
    "on_disk_rescore": {"index_options": {"on_disk_rescore": True}},
}
KINDS = (
    *("hnsw", "int8_hnsw", "int4_hnsw", "bbq_hnsw"),
    *("int8_hnsw+bfloat16", "bbq_hnsw+bfloat16", "int8_hnsw+on_disk_rescore", "bbq_hnsw+on_disk_rescore"),
    *("flat", "int8_flat", "bbq_flat"),
)


def field_of(kind: str) -> tuple[str, dict[str, Any]]:
    """Return the VECTOR_INDEX_TYPE of a kind, and the field of the embedding."""
    index_type, *variants = kind.split("+")
    field = mapping.properties(dims=512, vector_index_type=index_type)[EMBEDDING]
    for variant in variants:
        for name, value in VARIANTS[variant].items():
            field[name] = {**field[name], **value} if isinstance(value, dict) else value
    return index_type, field


@contextmanager
def running(home: Path, jars: Path, java_home: Path | None) -> Iterator[tuple[ImageIndex, int]]:
    """Start the node of a kind, and yield its index and the id of its process. Stop it at the end."""
    node = EmbeddedNode(home, heap="1g", jars=jars, java_home=java_home)
    try:
        started = node.start()
        with closing(connect([started.client_url], timeout=300)) as cluster:
            yield ImageIndex(cluster, name=NAME), started.pid
    finally:
        node.stop()


def build(index: ImageIndex, kind: str, corpus: Corpus) -> dict[str, Any]:
    """Fill an index, and return what it took."""
    client = index.cluster.client
    index_type, field = field_of(kind)
    model = ModelInfo(model_id="conse", dims=512, preprocessing="made")
    body = mapping.index_body(model=model, vector_index_type=index_type, copies=mapping.FILLING)
    body["mappings"]["properties"][EMBEDDING] = field
    client.indices.delete(index=f"{NAME}-1", ignore_unavailable=True)
    client.indices.create(index=f"{NAME}-1", aliases={NAME: {"is_write_index": True}}, **body)
    begin = time.monotonic()
    for rejected in index.documents.add(corpus.documents()):
        raise rejected.error
    index.refresh()
    seconds = time.monotonic() - begin
    while client.indices.stats(index=NAME, metric="merge")["_all"]["total"]["merges"]["current"]:
        time.sleep(1)
    client.indices.flush(index=NAME)
    client.indices.put_settings(index=NAME, settings={"refresh_interval": None})
    index.refresh()
    return {"rate": corpus.photos / seconds, "seconds": seconds, "with_merges": time.monotonic() - begin}


def sizes(index: ImageIndex, pid: int) -> dict[str, Any]:
    """Return sizes in bytes, as Elasticsearch and the system tell them."""
    client = index.cluster.client
    total = client.indices.stats(index=NAME, metric=["dense_vector", "store", "segments"])["_all"]["primaries"]
    usage = client.indices.disk_usage(index=NAME, run_expensive_tasks=True, flush=False)[f"{NAME}-1"]
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "off_heap": total["dense_vector"].get("off_heap", {}),
        "segments": total["segments"]["count"],
        "disk": total["store"]["size_in_bytes"],
        "disk_vectors": usage["fields"][EMBEDDING]["knn_vectors_in_bytes"],
        **{name: int(status[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon", "RssFile")},
    }


def efforts(kind: str, numbers: Sequence[int]) -> list[tuple[str, int, int]]:
    """Return filter, number of candidates (of `numbers`) and oversampling of each measurement of a kind."""
    index_type, *variants = kind.split("+")
    usual = usual_oversample(index_type)
    candidates = numbers if index_type.endswith("hnsw") and not variants else numbers[:1]
    oversamples = (usual,) if index_type in ("flat", "hnsw") else OVERSAMPLES
    # Those that are scored again are candidates in any case.
    unfiltered = [("none", n, times) for n in candidates for times in oversamples if n == numbers[0] or K * times <= n]
    return unfiltered + [(name, n, usual) for name in list(FILTERS)[1:] for n in candidates[::2]]


def search(index: ImageIndex, kind: str, corpus: Corpus, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return recall and latency for each of the `efforts`."""
    index.bring_up_to_date()
    options = SearchOptions(vector_index_type=kind.split("+")[0])
    for query in np.concatenate(list(corpus.queries.values())):  # they warm up caches and Java's compiler
        index.nearest.to_embedding(query, k=K, options=options)
    rows = []
    for name, number, times in efforts(kind, numbers):
        effort = Thoroughness(num_candidates=number, oversample=times)
        asked = replace(options, filters=FILTERS[name], thoroughness=effort)
        row: dict[str, Any] = {
            "filter": name,
            "num_candidates": number,
            "oversample": times,
            **ask(index, corpus, name, asked),
        }
        rows.append(row)
        print("  {filter:9} {num_candidates:5} {oversample:4}".format(**row), end="  ")
        print("{photos:.4f} {texts:.4f}  {p50:.1f} / {p95:.1f} ms".format(**row), flush=True)
    return rows


def ask(index: ImageIndex, corpus: Corpus, filters: str, options: SearchOptions) -> dict[str, float]:
    """Return the recall of each sort of queries, and the latency of all in milliseconds."""
    milliseconds = []
    figures = {}
    for sort, queries in corpus.queries.items():
        shares = []
        for query, exact in zip(queries, corpus.truth[f"{sort}, {filters}"], strict=True):
            begin = time.perf_counter()
            hits = index.nearest.to_embedding(query, k=K, options=options).hits
            milliseconds.append((time.perf_counter() - begin) * 1000)
            scores = [float(score) for score in exact if np.isfinite(score)]  # fewer than K pass in a small corpus
            shares.append(ann_recall_at_k([corpus.score(query, hit.image_id) for hit in hits], scores, k=K))
        figures[sort] = float(np.mean(shares))
    figures["p50"], figures["p95"] = (float(value) for value in np.percentile(milliseconds, (50, 95)))
    return figures


class Notes:
    """What is measured already, in a file: kind -> step -> figures."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.figures: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def has(self, kind: str, step: str) -> bool:
        """Return whether a step of a kind is done."""
        return step in self.figures.get(kind, {})

    def keep(self, kind: str, step: str, figures: Any) -> None:
        """Note the figures of a step."""
        self.figures.setdefault(kind, {})[step] = figures
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(json.dumps(self.figures, indent=1))
        unfinished.rename(self._file)


def print_table(notes: Notes) -> None:
    """Print sizes and rates of all kinds, and then the recall and latency of each."""
    print("| kind | off-heap MB | RSS MB | of files | disk MB | of vectors | photos/s | segments |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, steps in notes.figures.items():
        if "sizes" in steps:
            found = steps["sizes"]
            names = ("VmRSS", "RssFile", "disk", "disk_vectors")
            cells = [found["off_heap"].get("total_size_bytes", 0), *(found[name] for name in names)]
            numbers = " | ".join(f"{cell / 1e6:.0f}" for cell in cells)
            print(f"| {kind} | {numbers} | {steps['build']['rate']:.0f} | {found['segments']} |")
    for kind, steps in notes.figures.items():
        print(f"\n{kind}\n| filter | num_candidates | oversample | recall: photos | texts | p50 ms | p95 ms |")
        print("|---|---|---|---|---|---|---|")
        for row in steps.get("search", ()):
            print("| {filter} | {num_candidates} | {oversample} |".format(**row), end=" ")
            print("{photos:.3f} | {texts:.3f} | {p50:.1f} | {p95:.1f} |".format(**row))


def main() -> None:
    """Measure what is not measured yet, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--candidates", type=int, nargs="*", default=list(CANDIDATES))
    parser.add_argument("--seconds", type=int, default=0, help="end after this time, in the midst of a step")
    parser.add_argument("--jars", type=Path, help="Elasticsearch's jars, if they are there already")
    parser.add_argument("--java-home", type=Path, help="a JDK with SIMD")
    parser.add_argument("--drop", action="store_true", help="delete the data of each kind when it is measured")
    parser.add_argument("--again", action="store_true", help="search again, and note the figures of --candidates anew")
    parser.add_argument("--table", action="store_true", help="print what is measured")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: sys.exit("cut off; the same command goes on"))
    signal.alarm(arguments.seconds)
    folder = arguments.folder / str(arguments.photos)
    folder.mkdir(parents=True, exist_ok=True)
    notes = Notes(folder / "figures.json")
    if not arguments.table:
        measure_all(arguments, folder, notes)
    print_table(notes)


def measure_all(arguments: argparse.Namespace, folder: Path, notes: Notes) -> None:
    """Measure the kinds that are not measured yet."""
    corpus = Corpus(load_cuts(arguments.folder / "cuts.npz"), arguments.photos, folder)
    print(f"{len(corpus.embeddings):,} photos, {len(corpus.truth)} sorts of searches", flush=True)  # both are made now
    jars = (arguments.jars or arguments.folder / "jars").resolve()
    for kind in arguments.kinds:
        if notes.has(kind, "refused") or (notes.has(kind, "search") and not arguments.again):
            continue
        home = folder / kind
        with running(home, jars, arguments.java_home) as (index, pid):
            measure(kind, index, pid, corpus, notes, arguments.candidates)
        if arguments.drop:
            shutil.rmtree(home)


def measure(kind: str, index: ImageIndex, pid: int, corpus: Corpus, notes: Notes, numbers: Sequence[int]) -> None:
    """Measure one kind on its node, with these numbers of candidates."""
    if not notes.has(kind, "build"):
        print(f"{kind}: build", flush=True)
        try:
            notes.keep(kind, "build", build(index, kind, corpus))
        except index.cluster.client_errors as refusal:
            notes.keep(kind, "refused", str(refusal))
            print(f"{kind} is refused: {refusal}", flush=True)
            return
    print(f"{kind}: search", flush=True)
    rows = search(index, kind, corpus, numbers)
    earlier = [row for row in notes.figures[kind].get("search", ()) if row["num_candidates"] not in numbers]
    notes.keep(kind, "search", [*earlier, *rows])
    notes.keep(kind, "sizes", sizes(index, pid))


if __name__ == "__main__":
    main()
