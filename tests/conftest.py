import os
import signal
import subprocess
import sys

import pytest
from flask import Flask
from jinja2.bccache import BytecodeCache

from app.web.languages import stale_languages
from image_embeddings.config import ROOT, share_cores
from image_embeddings.embedded_node.jars import VERSION, fetch_from_maven, install_jars
from image_embeddings.embedded_node.node import EmbeddedNode
from tests import exiftool, goldens, imagemagick, nginx
from tests.browser import chromium
from tests.waiting import LONG

# No test uses the model hub, neither here nor in the commands that tests start. This cannot be in pytest_configure: the
# library reads the variable once, and a conftest of a folder below may import the library earlier.
os.environ["HF_HUB_OFFLINE"] = "1"
# Elasticsearch starts in half the time if Java compiles its code only once, quickly, and not again to make it fast. The
# tests start about fifty nodes, and their indices are small.
os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"


def pytest_addoption(parser):
    parser.addoption("--rewrite-goldens", action="store_true", help="Write the golden files anew")
    parser.addoption("--outage", type=float, default=3.0, help="Seconds that a connection is lost for, in those tests")


def pytest_configure(config):
    # If a shell starts this process in the background, it ignores SIGINT, and under nohup it ignores SIGHUP.
    # All processes that it starts would ignore them too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    share_cores()
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": SharedTemplates()}
    compile_translations()
    goldens.rewrite = config.getoption("--rewrite-goldens")


def compile_translations():
    """Compile the translations as `make test` does, for users who run pytest themselves."""
    folder = ROOT / "app" / "translations"
    if stale_languages(folder):
        subprocess.run(
            [sys.executable, "-m", "babel.messages.frontend", "-q", "compile", "-d", str(folder)],
            check=True,
            timeout=LONG,
        )


def pytest_report_header():
    return [
        f"Chromium: {chromium.describe()}",
        f"exiftool: {exiftool.describe()}",
        f"ImageMagick: {imagemagick.describe()}",
        f"nginx: {nginx.describe()}",
    ]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Stop the nodes of test processes that Ctrl-C ended before they could stop them."""
    folder = session.config._tmp_path_factory.getbasetemp()
    for state in folder.glob("popen-*/**/process.json"):
        EmbeddedNode(state.parent).stop()


class SharedTemplates(BytecodeCache):
    """The compiled templates, shared by all apps of this process: each app would need a second to compile its own."""

    def __init__(self):
        self.compiled = {}

    def load_bytecode(self, bucket):
        if bucket.key in self.compiled:
            bucket.bytecode_from_string(self.compiled[bucket.key])

    def dump_bytecode(self, bucket):
        self.compiled[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session")
def outage(request):
    """The seconds for which a connection is lost."""
    return request.config.getoption("--outage")


@pytest.fixture(scope="session")
def node_jars(tmp_path_factory):
    """Elasticsearch's jars, unpacked once for all nodes of the test session."""
    folder = tmp_path_factory.mktemp("jars") / f"jars-{VERSION}"
    install_jars(folder, fetch=fetch_from_maven, notify=print)
    return folder


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory, node_jars):
    """The address of one real node for the whole test session. A failed start is a failure, never a skip."""
    node = EmbeddedNode(tmp_path_factory.mktemp("elasticsearch"), heap="512m", jars=node_jars, start_timeout=LONG)
    try:
        yield node.start().url
    finally:
        node.stop()
