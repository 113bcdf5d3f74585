"""How long do searches take, and how much of that does the web app add to Elasticsearch's own time?

    python benchmarks/serving.py [--seconds 2] [--rounds 8] [--connections 1 8 32] [--processes 1 2] [--cases page]

The sample photos are indexed with `conse` into an embedded node of their own. gunicorn serves them as in `make run`.
wrk (apt install wrk) sends requests to the app, and in turns with them it sends to Elasticsearch itself what the app
sends there. Both get the same number of open connections. Each connection sends its next request as soon as it has an
answer. A figure is the best of the rounds, because other work on the machine only adds to it. Everything runs on one
machine, so read the differences.

Beside each case are the figures of the request that the app first sends to Elasticsearch for it. For a text, that
request contains the embedding. (If hits have words of the text but are not among the nearest, the app sends a second
request, for their similarities.)

like:       photos like one of the photos, each photo in turn
verdict:    the same, and whether the hits really match
new text:   another text each time
same text:  the same text each time
page:       the page of a text: 20 photos with verdict, facets and near-duplicates folded, as HTML
thumbnail:  thumbnails by the addresses that pages have, each photo in turn; Elasticsearch is not asked
unsigned:   thumbnails by other addresses, which are looked up in Elasticsearch
health:     /healthz, the least time that a request takes
"""

import argparse
import itertools
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from app import create_app  # noqa: E402
from app.web.thumbnail_addresses import thumbnail_address  # noqa: E402
from image_embeddings import ImageSearch, Limits, assembly  # noqa: E402
from image_embeddings.config import SAMPLE_PHOTOS, Settings, load_settings, share_cores  # noqa: E402
from image_embeddings.es import opening  # noqa: E402
from image_embeddings.sources.captions_file import CAPTIONS, read_captions  # noqa: E402
from tests.browser import webapp  # noqa: E402

API = "/api/v1/search"
K, PAGE = 10, 20
TEXTS = 20_000  # more than the run needs
VECTORS = 200
SCRIPT = """
local number, requests = 0, {}
function init(args)
    for line in io.lines(args[1]) do
        local method, path, body = line:match("^(%S+) (%S+) (.*)$")
        local headers = {["Content-Type"] = "application/json", ["Authorization"] = args[3]}
        requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
    end
    number = tonumber(args[2])
end
function request()
    number = number + 1
    return requests[(number - 1) % #requests + 1]
end
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\\n{"p50": %f, "p95": %f, "p99": %f, "rate": %f, "errors": %d}\\n',
        latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
        summary.requests / summary.duration * 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
"""

Times = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request."""

    path: str
    method: str = "GET"
    body: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """The requests to the app, and those that it sends to Elasticsearch for them."""

    name: str
    app: Sequence[Request]
    elasticsearch: Sequence[Request] = ()


class Wrk:
    """Sends requests in turn, with wrk."""

    def __init__(self, folder: Path, *, seconds: int, authorizations: Mapping[str, str]) -> None:
        """Send requests for that many seconds. `authorizations` are the headers for the addresses that need one."""
        self._folder, self._seconds, self._authorizations = folder, seconds, authorizations
        self._asked: dict[str, int] = {}
        (folder / "ask.lua").write_text(SCRIPT)

    def __call__(self, name: str, address: str, requests: Iterable[Request], *, connections: int) -> Times:
        """Return the milliseconds at the 50th, 95th and 99th percentile, and the answers per second."""
        listed = self._folder / f"{name}.txt".replace(" ", "-")
        listed.write_text("".join(f"{one.method} {one.path} {one.body}\n" for one in requests))
        begin = self._asked.get(name, 0)  # so texts are new in every round
        options = ["-t1", f"-c{connections}", f"-d{self._seconds}s", "--timeout", "10s", "-s", "ask.lua"]
        command = ["wrk", *options, address, "--", str(listed), str(begin)]
        command += [self._authorizations[address]] if address in self._authorizations else []
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, check=True)
        times: Times = json.loads(done.stdout.splitlines()[-1])
        if times["errors"]:
            raise SystemExit(f"{name}: {times['errors']:.0f} requests failed\n{done.stdout}")
        self._asked[name] = begin + int(times["rate"] * self._seconds * 1.2)
        return times


def cases(settings: Settings, texts: Sequence[str]) -> list[Case]:
    """Return the cases: the requests to the app, and those that it sends to Elasticsearch for them."""
    search = assembly.open_search(settings)
    states = search.index.documents.file_states()
    random.seed(0)
    ids = random.sample(sorted(states), len(states))
    like = [Request(path=f"{API}?like={quote(one)}&k={K}") for one in ids]
    by_text = [Request(path=f"{API}?q={quote(text)}&k={K}") for text in texts]
    with recorded(search, texts[:VECTORS]) as asked:
        near_ids = [asked(partial(search.like, one, k=K)) for one in ids]
        judged = [asked(partial(search.like, one, k=K, verdict=True)) for one in ids]
        near_texts = [asked(partial(search.by_text, text, k=K)) for text in texts[:VECTORS]]
        whole: Limits = {"verdict": True, "fold": True, "facets": True}
        pages = [asked(partial(search.by_text, texts[0], k=PAGE, **whole))]
        unsigned = [asked(partial(search.get, one)) for one in ids]
    with create_app(settings).test_request_context():
        thumbnails = [thumbnail_address(document) for document in search.get_many(ids).values()]
    return [
        Case(name="like", app=like, elasticsearch=near_ids),
        Case(
            name="verdict",
            app=[replace(request, path=f"{request.path}&verdict=true") for request in like],
            elasticsearch=judged,
        ),
        Case(name="new text", app=by_text[1:], elasticsearch=near_texts[1:]),
        Case(name="same text", app=by_text[:1], elasticsearch=near_texts[:1]),
        Case(name="page", app=[Request(path=f"/image_search?q={quote(texts[0])}&k={PAGE}")], elasticsearch=pages),
        Case(name="thumbnail", app=[Request(path=path) for path in thumbnails]),
        Case(name="unsigned", app=[Request(path=f"/thumbnail/{quote(one)}") for one in ids], elasticsearch=unsigned),
        Case(name="health", app=[Request(path="/healthz")]),
    ]


@contextmanager
def recorded(search: ImageSearch, texts: Iterable[str]) -> Iterator[Callable[[Callable[[], object]], Request]]:
    """Yield a function that runs a search, and returns the first request that it sends to Elasticsearch.

    `texts` are those of the searches.
    """
    transport = search.index.cluster.client.transport
    asked: list[Request] = []

    def perform_request(method: str, target: str, *, body: Any = None, **options: Any) -> Any:
        asked.append(Request(method=method, path=target, body=json.dumps(body) if body else ""))
        return type(transport).perform_request(transport, method, target, body=body, **options)

    def first(ask: Callable[[], object]) -> Request:
        asked.clear()
        ask()
        return next(request for request in asked if "/_search" in request.path or "/_doc/" in request.path)

    for text in texts:  # sends beforehand what is sent only once: how common its words are, and more
        search.by_text(text, k=K)
    search.like(next(iter(search.index.documents.file_states())))
    with mock.patch.object(transport, "perform_request", perform_request):
        yield first


def new_texts() -> Iterator[str]:
    """Yield different texts, each of five words from the captions of the sample photos."""
    captions = read_captions(SAMPLE_PHOTOS / CAPTIONS)["en"]
    words = sorted({word for caption in captions for word in caption.lower().split()})
    seen = set()
    while True:
        text = " ".join(random.sample(words, 5))
        if text not in seen:
            seen.add(text)
            yield text


def measure(asked: Sequence[Case], wrk: Wrk, *, app: str, elasticsearch: str, connections: int, rounds: int) -> None:
    """Print the table for that number of connections."""
    print(f"\n{connections} connection{'s' * (connections > 1)}; milliseconds p50 / p95 / p99 and answers/s\n")
    print(f"{'':>10}  {'app':>28}  {'Elasticsearch':>28}  {'added':>20}  app / Elasticsearch at p95")
    for case in asked:
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(wrk(case.name, app, case.app, connections=connections))
            if case.elasticsearch:
                raw = wrk(f"{case.name} raw", elasticsearch, case.elasticsearch, connections=connections)
                theirs.append(raw)
        show(case.name, quietest(ours), quietest(theirs) if theirs else None)


def quietest(rounds: Sequence[Times]) -> Times:
    """Return the best of each figure, because other work on the machine only adds to it."""
    best = {name: min(times[name] for times in rounds) for name in rounds[0]}
    return {**best, "rate": max(times["rate"] for times in rounds)}


def show(name: str, ours: Times, theirs: Times | None) -> None:
    """Print one row."""
    row = f"{name:>10}  {figures(ours)}"
    if theirs:
        added = {point: ours[point] - theirs[point] for point in ("p50", "p95", "p99")}
        row += f"  {figures(theirs)}  {points(added)}  {ours['p95'] / theirs['p95']:.2f}"
    print(row, flush=True)


def figures(times: Times) -> str:
    """Return percentiles and rate as text."""
    return f"{points(times)} {times['rate']:6.0f}/s"


def points(times: Times) -> str:
    """Return the three percentiles as text."""
    return " ".join(f"{times[point]:6.2f}" for point in ("p50", "p95", "p99"))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--processes", type=int, nargs="+", default=[1], help="of the app: WEB_CONCURRENCY")
    parser.add_argument("--cases", nargs="+", help="only these, such as: page thumbnail")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is needed: apt install wrk (Debian, Ubuntu), brew install wrk (macOS)")
    share_cores()
    with tempfile.TemporaryDirectory() as place:
        settings = load_settings({"IMAGE_MODEL": "conse", "INDEX_NAME": "serving"}, data_dir=Path(place) / "data")
        try:
            serve_and_measure(settings, Path(place), options)
        finally:
            opening.embedded_node(settings).stop()


def serve_and_measure(settings: Settings, place: Path, options: argparse.Namespace) -> None:
    """Index the photos, serve them, and measure."""
    elasticsearch = opening.open_index(settings).cluster.address
    env = webapp.environ("", data_dir=settings.data_dir, index_name=settings.index_name)
    webapp.index_photos(env)
    texts = list(itertools.islice(new_texts(), TEXTS))
    asked = [case for case in cases(settings, texts) if not options.cases or case.name in options.cases]
    for processes in options.processes:
        with webapp.served({**env, "WEB_CONCURRENCY": str(processes)}, log=place / "gunicorn.log") as app:
            print(f"\n{processes} process{'es' * (processes > 1)} of the app")
            measure_all(settings, asked, place, options, app=app, elasticsearch=elasticsearch)


def measure_all(
    settings: Settings,
    asked: Sequence[Case],
    place: Path,
    options: argparse.Namespace,
    *,
    app: str,
    elasticsearch: str,
) -> None:
    """Warm up and measure."""
    node = assembly.open_search(settings).index.cluster.client.transport.node_pool.all()[0]
    authorizations = {elasticsearch: node.config.headers["authorization"]}  # the embedded node demands its token
    warm_up = Wrk(place, seconds=options.seconds, authorizations=authorizations)
    for case in asked:
        warm_up(case.name, app, reversed(case.app), connections=2)
        if case.elasticsearch:
            warm_up(case.name, elasticsearch, case.elasticsearch, connections=2)
    wrk = Wrk(place, seconds=options.seconds, authorizations=authorizations)
    for connections in options.connections:
        measure(asked, wrk, app=app, elasticsearch=elasticsearch, connections=connections, rounds=options.rounds)


if __name__ == "__main__":
    main()
