"""Do slow clients, or too many, make others wait?

    python benchmarks/slow_clients.py [--connections 200] [--rounds 4] [--requests 60] [--clients 64] [--seconds 10]

The sample photos are indexed with `conse` into an embedded node of their own. gunicorn serves them as in `make run`.
Everything runs on one machine, and other processes than the one that measures play the clients that disturb.

Slow clients: half of the connections send the head of a request byte by byte, the others a body that never ends. The
server closes those that are overdue, and they come again at once. They have several addresses (127.0.0.2 and so on),
because the server keeps only 128 of one address. Other clients ask one after another for a page, JSON and /healthz,
each request over a new connection. Rounds with and without slow clients take turns.

Too many clients: 64 of them ask for pages, each again as soon as it has one. After a 503, patient ones wait for as long
as Retry-After says, and impatient ones ask again at once.
"""

import argparse
import http.client
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.rude_clients import LONG, Got, play_many_clients, play_slow_clients, played  # noqa: E402
from benchmarks.served_samples import served_samples  # noqa: E402
from image_embeddings.config import share_cores  # noqa: E402

TEXTS = ("bird", "Blumen auf einer Wiese", "un chat", "water", "雪山", "red car", "people at night", "old house")
CASES: Mapping[str, Sequence[str]] = {
    "page": [f"/image_search?q={quote(text)}" for text in TEXTS],
    "JSON": [f"/api/v1/search?q={quote(text)}&k=10" for text in TEXTS],
    "/healthz": ["/healthz"],
}


def ask(app: str, path: str) -> Got:
    """Return what comes of a request over a new connection."""
    at = urlsplit(app)
    begin = time.perf_counter()
    client = http.client.HTTPConnection(at.hostname or "", at.port, timeout=LONG)
    try:
        client.request("GET", path, headers={"Connection": "close"})
        answer = client.getresponse()
        answer.read()
    finally:
        client.close()
    return Got(answer.status, answer.headers.get("Retry-After", ""), (time.perf_counter() - begin) * 1000)


def times_of(app: str, *, requests: int) -> dict[str, list[float]]:
    """Return the milliseconds of the requests of each case. The cases take turns."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(requests):
        for name, paths in CASES.items():
            got = ask(app, paths[number % len(paths)])
            if got.status != 200:
                raise SystemExit(f"{name}: status {got.status}")
            times[name].append(got.milliseconds)
    return times


def points(times: Sequence[float]) -> str:
    """Return p50, p95 and p99 as text."""
    return " / ".join(f"{value:.1f}" for value in np.percentile(times, (50, 95, 99)))


def measure_slow_clients(app: str, *, connections: int, rounds: int, requests: int) -> None:
    """Print the times of others with and without slow clients."""
    usual: dict[str, list[float]] = {name: [] for name in CASES}
    beside: dict[str, list[float]] = {name: [] for name in CASES}
    told: list[int] = []
    for _ in range(rounds):
        for name, times in times_of(app, requests=requests).items():
            usual[name] += times
        with played(play_slow_clients, app, connections, told=told):
            for name, times in times_of(app, requests=requests).items():
                beside[name] += times
    print(
        f"\n{connections} connections with half a request (they came again {told} times); milliseconds p50 / p95 / p99"
    )
    print(f"\n| | usual | beside {connections} half requests | p95: times the usual |\n|---|---|---|---|")
    for name in CASES:
        ratio = np.percentile(beside[name], 95) / np.percentile(usual[name], 95)
        print(f"| {name} | {points(usual[name])} | {points(beside[name])} | {ratio:.2f} |", flush=True)


def measure_crowd(app: str, *, clients: int, seconds: float, are_patient: bool) -> None:
    """Print what many clients get that ask for pages, and the times of /healthz meanwhile."""
    told: list[list[Got]] = []
    health: list[float] = []
    with played(play_many_clients, app, clients, CASES["page"], are_patient, told=told):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            health.append(ask(app, "/healthz").milliseconds)
            time.sleep(0.02)
    (got,) = told
    kind = "patient" if are_patient else "impatient"
    print(f"\n{clients} {kind} clients that ask for pages, for {seconds:.0f} s; milliseconds p50 / p95 / p99\n")
    print("| answer | number | |\n|---|---|---|")
    for status, count in sorted(Counter(each.status for each in got).items()):
        print(f"| {status} | {count} | {points([each.milliseconds for each in got if each.status == status])} |")
    refused = [each.retry_after for each in got if each.status == 503]
    print(f"| 503 with Retry-After | {sum(map(bool, refused))} | |")
    print(f"| /healthz | {len(health)} | {points(health)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=60, help="of each case, in a round")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10, help="for which the many clients ask")
    options = parser.parse_args()
    share_cores()
    with tempfile.TemporaryDirectory() as place, served_samples(Path(place)) as samples:
        times_of(samples.app, requests=len(TEXTS))  # warms up
        measure_slow_clients(
            samples.app, connections=options.connections, rounds=options.rounds, requests=options.requests
        )
        for are_patient in (True, False):
            measure_crowd(samples.app, clients=options.clients, seconds=options.seconds, are_patient=are_patient)


if __name__ == "__main__":
    main()
