"""Uploads that claim large pictures, sent to the web app's own server. There is no Elasticsearch."""

import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO

import psutil
from werkzeug.datastructures import FileStorage
from werkzeug.test import stream_encode_multipart

from tests.browser.webapp import environ, served
from tests.photos import bombs
from tests.waiting import LONG, wait_for

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
MOST_MB = 1_500  # of memory that the server and its decoders may take together


def status_of(request):
    try:
        with OPENER.open(request, timeout=LONG) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def post_photo(address, data):
    stream, _, boundary = stream_encode_multipart({"image": FileStorage(BytesIO(data), "photo.jpg")})
    kind = f"multipart/form-data; boundary={boundary}"
    return status_of(urllib.request.Request(f"{address}/api/v1/search", stream.read(), {"Content-Type": kind}))


def processes():
    """Return the processes that this one has started, and theirs."""
    return psutil.Process().children(recursive=True)


def memory_mb():
    """Return the memory of those processes; what they share counts once."""
    total = 0
    for process in processes():
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total // 2**20


def test_eight_bombs_at_once_take_neither_the_memory_nor_the_health_of_the_server(tmp_path):
    pictures = [("refused", picture) for picture in bombs.refused().values()]
    pictures += [("admitted", picture) for picture in bombs.admitted().values()]
    others = processes()
    memory, health, ended = [memory_mb()], [], threading.Event()
    env = environ("http://127.0.0.1:9", data_dir=tmp_path, index_name="none")
    with served(env, log=tmp_path / "gunicorn.log", ready="/healthz") as address:

        def watch():
            while not ended.is_set():
                memory.append(memory_mb())
                health.append(status_of(f"{address}/healthz"))
                time.sleep(0.05)

        watching = threading.Thread(target=watch)
        watching.start()
        statuses = {"refused": set(), "admitted": set()}
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda pair: (pair[0], post_photo(address, pair[1])), pictures * 2)
            for kind, status in answers:
                statuses[kind].add(status)
        ended.set()
        watching.join(LONG)
        started = [process for process in processes() if process not in others]
    assert statuses["refused"] <= {413, 503}
    assert statuses["admitted"] & {200, 503}
    assert 413 not in statuses["admitted"]
    assert set(health) == {200}
    assert max(memory) - memory[0] < MOST_MB
    assert len(started) >= 3  # gunicorn, its worker, and a decoder
    wait_for(lambda: not any(process.is_running() for process in started))
