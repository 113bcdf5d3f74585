"""States of Elasticsearch in which it writes nothing, or answers nothing: said once, each with a remedy that helps."""

import os
import subprocess
import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from elasticsearch import NotFoundError

from app import create_app
from image_embeddings.config import load_settings
from image_embeddings.errors import (
    BlockedError,
    DiskFullError,
    IndexForeignError,
    PermissionDeniedError,
    RequestError,
)
from image_embeddings.es import mapping, refusals, retries
from image_embeddings.es.connection import connect
from image_embeddings.es.image_index import ImageIndex
from tests.fakes import ColourEncoder
from tests.faulty_front import content_too_large, faulty_front, items_refused
from tests.server.album import contents, index_photos
from tests.server.filling import add_photos, fill
from tests.server.remedies import follow_remedy
from tests.server.web_client import make_app
from tests.tls_front import ServerError
from tests.waiting import LONG

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
MODEL = ColourEncoder().info


@pytest.fixture
def impatience(monkeypatch):
    """A short time to wait for Elasticsearch."""
    monkeypatch.setattr(retries, "PATIENCE_SECONDS", 0)


@pytest.fixture
def block(cluster, index):
    """Sets a block of the index, as its administrator does; all are lifted after the test."""
    made = index.state().backing_index

    def set_block(name, value=True):
        cluster.client.indices.put_settings(index=made, settings={f"index.blocks.{name}": value})

    yield set_block
    with suppress(NotFoundError):  # the test has replaced the index
        for name in ("read_only", "metadata"):
            set_block(name, None)


def test_a_node_that_has_just_gone_is_named_with_the_remedy():
    """As Elasticsearch answers when two of three nodes were killed, until it knows."""
    causes = ["node_not_connected_exception", "node_disconnected_exception", "connect_transport_exception"]
    for cause in causes:
        gone = {"type": cause, "reason": "[n2][127.0.0.1:9301] Node not connected"}
        said = {"type": "search_phase_execution_exception", "reason": "all shards failed", "root_cause": [gone]}
        refusal = refusals.read_refusal(502, said)
        error = refusals.refusal_error(refusal, needs="", address="http://es:9200", is_disk_full=lambda: False)
        assert "is away ([n2][127.0.0.1:9301] Node not connected). Start it if it is down." in str(error)
        assert retries.passes(error)


# Blocks of the index


@pytest.mark.parametrize("name", ["write", "read_only", "metadata"])
def test_a_block_ends_a_run_before_it_encodes_and_its_remedy_lifts_it(cluster, index, run, photos, block, name):
    run()
    before = contents(index)
    add_photos(photos)
    block(name)
    with pytest.raises(BlockedError, match=rf"'{index.name}-\d+-\d+' .*index\.blocks\.{name}\. ") as raised:
        run()
    assert run.encoder.batches == []
    follow_remedy(cluster, raised.value)
    assert (contents(index), run().encoded) == (before, 7)


def test_a_block_that_is_set_in_mid_run_ends_it_and_skips_no_photo(cluster, index, run, photos, block, monkeypatch):
    add_photos(photos)
    monkeypatch.setattr(type(index.documents), "check_writable", lambda documents: block("write"))
    with pytest.raises(BlockedError, match=r"index\.blocks\.write") as raised:
        run(chunk_size=2)
    monkeypatch.undo()
    follow_remedy(cluster, raised.value)
    report = run()
    assert (report.indexed, report.skipped) == (13, [])


def test_a_run_with_nothing_to_write_succeeds_on_a_read_only_copy(run, index, block):
    run()
    block("write")
    assert run().unchanged == 6


def test_an_index_that_is_read_only_is_replaced_after_the_remedy_and_leaves_no_other(cluster, index, block):
    before = index.state()
    block("read_only")
    with pytest.raises(BlockedError, match=r"index\.blocks\.read_only") as raised:
        index.create(model=MODEL, vector_index_type="flat")
    assert list(cluster.client.indices.get(index=f"{index.name}*")) == [before.backing_index]
    follow_remedy(cluster, raised.value)
    assert index.create(model=MODEL, vector_index_type="flat") != before


@pytest.mark.usefixtures("impatience")
def test_the_block_of_a_full_disk_is_waited_for_and_can_be_lifted_by_hand(cluster, index, run, block):
    block("read_only_allow_delete")
    with pytest.raises(DiskFullError, match=r"disk .* is full.*Make room") as raised:
        run()
    assert run.encoder.batches == []
    follow_remedy(cluster, raised.value)
    assert run().encoded == 6


@pytest.mark.parametrize("name", ["write", "read_only", "read_only_allow_delete", "metadata"])
def test_the_app_serves_an_index_that_is_blocked_for_writes(index, tmp_path, block, name):
    fill(index, tmp_path)
    app = make_app(index, tmp_path)
    assert app.test_client().get("/readyz").status_code == 200
    block(name)
    app.extensions["services"].search._opened._state_read_at = float("-inf")  # as after STATE_SECONDS
    app.extensions["services"]._indexing = None
    for page in ("/", "/image_search?q=red", "/similar_image?id=warm/red.png", "/thumbnail/warm/red.png"):
        assert app.test_client().get(page).status_code == 200


def test_the_app_names_the_remedy_for_a_block_of_reads(cluster, index, tmp_path, block):
    fill(index, tmp_path)
    client = make_app(index, tmp_path).test_client()
    block("read")
    answer = client.get("/api/v1/search?q=red")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "elasticsearch_blocked")
    follow_remedy(cluster, answer.json["error"]["message"])
    assert client.get("/image_search?q=red").status_code == 200


# A closed index


def test_the_remedy_for_a_closed_index_opens_it(cluster, index, run, photos, tmp_path):
    run()
    add_photos(photos)
    cluster.client.indices.close(index=index.state().backing_index)
    client = make_app(index, tmp_path).test_client()
    for page in ("/", "/image_search?q=red", "/similar_image?id=warm/red.png", "/image/warm/red.png"):
        assert (client.get(page).status_code, "_open" in client.get(page).text) == (503, True)
    with pytest.raises(BlockedError, match="is closed") as raised:
        run()
    follow_remedy(cluster, raised.value)
    assert run().encoded == 7


def test_many_photos_of_a_closed_index_are_not_called_missing(cluster, index, run):
    run()
    cluster.client.indices.close(index=index.state().backing_index)
    with pytest.raises(BlockedError, match="is closed"):
        index.documents.get_many(["warm/red.png"])
    with pytest.raises(BlockedError, match="is closed"):
        list(index.documents.remove(["warm/red.png"]))


# Refusals of the documents of a run


@pytest.fixture
def through_front(elasticsearch_url, index):
    with faulty_front(elasticsearch_url) as front, closing(connect([front.url])) as cluster:
        yield front, ImageIndex(cluster, name=index.name)


def test_a_missing_privilege_is_said_once(through_front, tmp_path):
    front, index = through_front
    reason = "action [indices:data/write/bulk[s]] is unauthorized for user [reader]"
    front.order(items_refused(ServerError(403, "security_exception", reason)), path="*/_bulk", after=1)
    with pytest.raises(
        PermissionDeniedError, match=r"unauthorized for user \[reader\]\. The user needs the index priv"
    ):
        fill(index, tmp_path)


def test_what_refuses_all_documents_for_one_reason_ends_the_run(cluster, index, run):
    cluster.client.indices.put_settings(index=index.name, settings={"index.default_pipeline": "not-there"})
    with pytest.raises(RequestError, match=r"pipeline with id \[not-there\] does not exist"):
        run()
    assert index.count() == 0


def test_a_proxy_that_takes_only_small_requests_is_named(through_front, tmp_path):
    front, index = through_front
    front.order(content_too_large, path="*/_bulk", after=1)
    with pytest.raises(RequestError, match=r"takes no request of that size.*--chunk-size 50"):
        fill(index, tmp_path)


def test_a_document_that_is_refused_by_itself_is_skipped(through_front, tmp_path):
    front, index = through_front
    error = ServerError(400, "document_parsing_exception", "failed to parse")
    front.order(items_refused(error), path="*/_bulk", after=1)
    fill(index, tmp_path)
    index.refresh()
    assert index.count() == 3


# Names and shards


def test_a_name_that_is_a_data_stream_is_refused(through_front):
    front, index = through_front
    stream = {".ds-photos-2026.01.01-000001": {"mappings": {"_data_stream_timestamp": {"enabled": True}}}}
    front.order(lambda handler: handler.reply(200, stream), path="*/_mapping")
    with pytest.raises(IndexForeignError, match=r"is a data stream\. Choose another INDEX_NAME"):
        index.state()
    with pytest.raises(IndexForeignError, match="is a data stream"):
        index.create(model=MODEL, vector_index_type="flat")


def test_an_index_whose_data_is_on_no_node_says_so(elasticsearch_url, cluster, name, tmp_path):
    body = mapping.index_body(model=MODEL, vector_index_type="flat")
    nowhere = {"index.routing.allocation.require.box": "none"}
    cluster.client.indices.create(
        index=f"{name}-1", **{**body, "settings": nowhere}, aliases={name: {}}, wait_for_active_shards=0
    )
    index = ImageIndex(cluster, name=name)
    answer = make_app(index, tmp_path).test_client().get("/api/v1/search?q=red")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "elasticsearch_request")
    assert "on no node that runs" in answer.json["error"]["message"]
    assert "GET _cluster/allocation/explain" in answer.json["error"]["message"]
    with closing(connect([elasticsearch_url], timeout=2)) as hasty:  # for some requests Elasticsearch waits
        index = ImageIndex(hasty, name=name)
        for ask in (index.refresh, index.documents.check_writable, partial(index.documents.get, "red.png")):
            with pytest.raises(RequestError, match=r"data of '.*' is on no node"):
                ask()


# The command line


def test_the_command_says_it_in_one_line_and_the_pages_too(elasticsearch_url, cluster, name, photos, data_dir):
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "DATA_DIR": str(data_dir)}
    environ |= {"IMAGE_DIR": str(photos), "IMAGE_MODEL": "conse"}
    index_photos(load_settings(environ))
    cluster.client.indices.put_settings(index=name, settings={"index.blocks.write": True})
    add_photos(photos)
    command = [sys.executable, "-m", "image_embeddings", "index"]
    done = subprocess.run(
        command, env={**os.environ, **environ}, cwd=ROOT, capture_output=True, text=True, timeout=LONG
    )
    *_, said = done.stderr.splitlines()
    assert (done.returncode, done.stdout, done.stderr.count("index.blocks.write. ")) == (1, "", 1)
    assert said.startswith(f"Error: The index '{name}-")
    assert said.endswith("What was indexed stays: run the same command again to go on.")
    page = create_app(load_settings(environ)).test_client().get("/").text
    assert "The last indexing run failed" in page
    assert "index.blocks.write" in page
