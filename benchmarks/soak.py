"""Do memory, threads and open files of the server stay the same while it works?

    python benchmarks/soak.py [--minutes 30] [--clients 4] [--pause 0.3] [--every 15]

A copy of the sample photos is indexed with `conse` into an embedded node of its own. gunicorn serves it as in `make
run`, with a password. Clients log in and ask one after another for pages, JSON, thumbnails, photos and uploads: good,
damaged and too large ones. Beside them, `index` runs over and over. Before each run, photos are added, changed and
removed.

Each row of the table is a moment: the memory (PSS, MB), threads and descriptors of gunicorn with its workers and the
children that decode photos, the same of these children alone, and of the node. The first sixth of the time, five of
thirty minutes, is for warming up. A row of figures is flat if its median in the last sixth is at most 5 % (of memory 10
MB, of threads or descriptors 5, if that is more) above its median in the second sixth. Exit status 1 means that one is
not flat, or that an answer was a 5xx.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from benchmarks.process_sizes import Sizes, sizes_by_kind  # noqa: E402
from benchmarks.served_samples import ServedSamples, served_samples  # noqa: E402
from benchmarks.soak_requests import Counts, Uploads, Visitor  # noqa: E402
from image_embeddings.config import SAMPLE_PHOTOS, share_cores  # noqa: E402
from image_embeddings.es import opening  # noqa: E402

PASSWORD, TOKEN = "benchmark of thirty minutes", "benchmark-of-thirty-minutes"
CHANGING = 12  # photos that come, change and go
LOGIN_SECONDS = 60.0
INDEX_PAUSE = 10.0  # seconds between two indexing runs
SLACK = {"memory": 10.0, "threads": 5.0, "descriptors": 5.0}
SHOWN = ("server", "children", "node")

Moment = tuple[float, dict[str, Sizes]]  # seconds since the begin, sizes by kind of process


class Runs(NamedTuple):
    """The indexing runs."""

    statuses: Counter[int]
    messages: list[str]  # of those that failed


def keep_asking(visitor: Visitor, counts: Counts, end: threading.Event, *, pause: float) -> None:
    """Ask until the end, and log in again from time to time."""
    next_login = 0.0
    while not end.wait(pause):
        if time.monotonic() >= next_login:
            visitor.log_out(counts)
            visitor.log_in(counts, password="wrong")
            visitor.log_in(counts)
            next_login = time.monotonic() + LOGIN_SECONDS
        visitor.ask(counts)


def keep_indexing(samples: ServedSamples, folder: Path, runs: Runs, end: threading.Event) -> None:
    """Change the photos and index them, until the end."""
    chance = random.Random(0)
    sources = sorted(SAMPLE_PHOTOS.rglob("*.jpg"))
    while not end.wait(INDEX_PAUSE):
        change_photos(folder, sources, chance)
        command = [sys.executable, "-m", "image_embeddings", "index"]
        done = subprocess.run(command, cwd=ROOT, env=samples.env, capture_output=True, text=True, check=False)
        runs.statuses[done.returncode] += 1
        if done.returncode:
            runs.messages.append(done.stderr[-500:])


def change_photos(folder: Path, sources: Sequence[Path], chance: random.Random) -> None:
    """Add, change and remove photos of the folder."""
    folder.mkdir(exist_ok=True)
    for number in range(CHANGING):
        path = folder / f"{number}.jpg"
        if path.exists() and chance.random() < 0.4:
            path.unlink()
        else:  # bytes after the end of a picture make it another file
            path.write_bytes(chance.choice(sources).read_bytes() + chance.randbytes(8))


def watch(server: psutil.Process, node: psutil.Process, *, seconds: float, every: float) -> Iterator[Moment]:
    """Yield the sizes of the processes from time to time."""
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        yield now, dict(sizes_by_kind(server, node))
        time.sleep(max(0.0, every - (time.monotonic() - begin - now)))


def show_head() -> None:
    """Print the head of the table."""
    kinds = " | ".join(f"{kind} memory | threads | descriptors" for kind in SHOWN)
    print(f"| minutes | {kinds} |\n|{'---|' * (1 + 3 * len(SHOWN))}")


def show(moment: Moment) -> None:
    """Print a row of the table."""
    seconds, by_kind = moment
    sizes = [by_kind[kind] for kind in SHOWN]
    cells = " | ".join(f"{each.memory:.0f} | {each.threads} | {each.descriptors}" for each in sizes)
    print(f"| {seconds / 60:.2f} | {cells} |", flush=True)


def judge(moments: Sequence[Moment], *, seconds: float) -> bool:
    """Print which figures are flat, and return whether all are."""
    sixth = seconds / 6
    second = [by_kind for when, by_kind in moments if sixth <= when < 2 * sixth]
    last = [by_kind for when, by_kind in moments if when >= 5 * sixth]
    if not (second and last):
        raise SystemExit("The time is too short to tell anything. Give more --minutes.")
    are_flat = []
    print("\n| | second sixth | last sixth | |\n|---|---|---|---|")
    for kind in SHOWN:
        for what, slack in SLACK.items():
            before, after = (median(getattr(each[kind], what) for each in part) for part in (second, last))
            are_flat.append(after <= max(before * 1.05, before + slack))
            print(f"| {kind}: {what} | {before:.0f} | {after:.0f} | {'flat' if are_flat[-1] else '**grows**'} |")
    return all(are_flat)


def show_answers(counts: Counts, runs: Runs) -> None:
    """Print the answers by kind of request and status, and what the indexing runs came to."""
    print("\n| request | answers by status |\n|---|---|")
    for kind in sorted({kind for kind, _ in counts.by_kind}):
        statuses = sorted((status, count) for (of, status), count in counts.by_kind.items() if of == kind)
        print(f"| {kind} | {', '.join(f'{status}: {count}' for status, count in statuses)} |")
    print(f"\n{counts.by_kind.total()} requests, {counts.faults.total()} faults: {dict(counts.faults) or 'none'}")
    print(f"{runs.statuses.total()} indexing runs, by exit status: {dict(runs.statuses)}", *runs.messages[:3], sep="\n")


@contextmanager
def started(threads: Sequence[threading.Thread], end: threading.Event) -> Iterator[None]:
    """Let the threads run meanwhile."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def soak(samples: ServedSamples, photos: Path, options: argparse.Namespace) -> bool:
    """Let clients and indexing runs work, print the tables, and return whether all is well."""
    image_ids = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.jpg"))
    # Small photos and large ones; some of the changing ones are gone.
    image_ids += [f"changing/{number}.jpg" for number in range(CHANGING)]
    uploads = Uploads([path.read_bytes() for path in sorted(photos.rglob("*.jpg"))[::20]])
    counts, runs, end = Counts(), Runs(Counter(), []), threading.Event()
    threads = [threading.Thread(target=keep_indexing, args=(samples, photos / "changing", runs, end))]
    for number in range(options.clients):
        visitor = Visitor(samples.app, password=PASSWORD, image_ids=image_ids, uploads=uploads, seed=number)
        arguments = {"pause": options.pause}
        threads.append(threading.Thread(target=keep_asking, args=(visitor, counts, end), kwargs=arguments))
    (server,) = [child for child in psutil.Process().children() if "gunicorn" in child.cmdline()]
    node = opening.embedded_node(samples.settings).status()
    if node is None:
        raise SystemExit("The node does not run.")
    moments: list[Moment] = []
    seconds = options.minutes * 60
    with started(threads, end):
        show_head()
        for moment in watch(server, psutil.Process(node.pid), seconds=seconds, every=options.every):
            moments.append(moment)
            show(moment)
    is_flat = judge(moments, seconds=seconds)
    show_answers(counts, runs)
    return is_flat and not counts.faults and set(runs.statuses) <= {0}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds that a client waits before each request")
    parser.add_argument("--every", type=float, default=15, help="seconds between two rows of the table")
    options = parser.parse_args()
    share_cores()
    with tempfile.TemporaryDirectory() as place:
        photos = Path(shutil.copytree(SAMPLE_PHOTOS, Path(place) / "photos"))
        settings = {"IMAGE_DIR": str(photos), "APP_PASSWORD": PASSWORD, "API_TOKENS": TOKEN}
        with served_samples(Path(place), token=TOKEN, **settings) as samples:
            is_well = soak(samples, photos, options)
    sys.exit(not is_well)


if __name__ == "__main__":
    main()
