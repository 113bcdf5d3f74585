"""Answers that lack something become refusals, whatever request asked for them."""

import json
from typing import ClassVar

import pytest
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders
from elasticsearch import ApiError, Elasticsearch

from image_embeddings.errors import ElasticsearchError, PartialAnswerError, SnapshotLostError
from image_embeddings.es.refusals import read_refusal, refusal_error
from image_embeddings.es.retries import passes
from image_embeddings.es.whole_answers import WholeAnswers, why_not_whole

WHOLE = {"total": 3, "successful": 3, "skipped": 0, "failed": 0}
LACKING = {"total": 3, "successful": 2, "skipped": 0, "failed": 0}  # no shard failed: no node holds it
FAILED = {"total": 3, "successful": 2, "failed": 1, "failures": [{"reason": {"type": "circuit_breaking_exception"}}]}


class ToldNode(BaseNode):
    """Answers each request with `answer`, and keeps the targets."""

    _CLIENT_META_HTTP_CLIENT = ("t", "1")
    answer: ClassVar[dict] = {}
    status: ClassVar[int] = 200
    targets: ClassVar[list] = []

    def perform_request(self, method, target, body=None, headers=None, request_timeout=None):
        type(self).targets.append(target)
        told = HttpHeaders({"content-type": "application/json", "x-elastic-product": "Elasticsearch"})
        meta = ApiResponseMeta(node=self.config, duration=0.0, http_version="1.1", status=self.status, headers=told)
        return type("Answer", (), {"meta": meta, "body": json.dumps(self.answer).encode(), "__iter__": _both})()

    def close(self):
        pass


def _both(answer):
    return iter((answer.meta, answer.body))


@pytest.fixture
def client():
    ToldNode.targets, ToldNode.status = [], 200
    return Elasticsearch("http://127.0.0.1:9", node_class=ToldNode, transport_class=WholeAnswers)


@pytest.mark.parametrize(
    "answer",
    [
        {"_shards": LACKING, "timed_out": False},
        {"_shards": FAILED, "timed_out": False},
        {"_shards": WHOLE, "timed_out": True},
        {"responses": [{"_shards": WHOLE}, {"_shards": LACKING}]},
        {"responses": [{"error": {"type": "search_phase_execution_exception"}, "status": 503}]},
        {"response": {"_shards": FAILED}, "is_partial": False},
        {"is_partial": True, "columns": []},
    ],
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.search(index="photos"),
        lambda client: client.count(index="photos"),
        lambda client: client.msearch(index="photos", searches=[{}, {}]),
        lambda client: client.scroll(scroll_id="abc"),
        lambda client: client.search(pit={"id": "abc"}, slice={"id": 0, "max": 2}),
        lambda client: client.open_point_in_time(index="photos", keep_alive="1m"),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(client, ask, answer):
    ToldNode.answer = answer
    with pytest.raises(ApiError, match="partial_answer") as raised:
        ask(client)
    assert raised.value.status_code == 503


def test_a_refusal_keeps_the_first_cause(client):
    ToldNode.answer = {"_shards": FAILED, "timed_out": False}
    with pytest.raises(ApiError) as raised:
        client.search(index="photos")
    assert raised.value.body["error"]["caused_by"] == {"type": "circuit_breaking_exception"}


def test_a_refusal_that_only_lists_the_shards_says_how_many_answered(client):
    failure = {"reason": {"type": "no_node_available_exception", "reason": "unknown node [n2]"}}
    shards = {"total": 6, "successful": 4, "skipped": 1, "failed": 1, "failures": [failure]}
    ToldNode.answer, ToldNode.status = {"_scroll_id": "abc", "_shards": shards}, 503
    with pytest.raises(ApiError) as raised:
        client.scroll(scroll_id="abc")
    assert (raised.value.status_code, raised.value.error) == (503, "partial_answer")
    found = error_for(503, raised.value.body["error"])
    assert isinstance(found, PartialAnswerError)
    assert "(4 of 6 shards answered)" in str(found)


def test_whole_answers_pass_and_so_does_a_part_if_it_will_do(client):
    ToldNode.answer = {"_shards": WHOLE, "timed_out": False}
    assert client.search(index="photos")["_shards"] == WHOLE
    ToldNode.answer = {"_shards": LACKING, "timed_out": False}
    assert client.search(index="photos", allow_partial_search_results=True)["_shards"] == LACKING


def test_copies_of_a_written_document_that_are_not_there_yet_are_no_fault(client):
    ToldNode.answer = {"_shards": {"total": 2, "successful": 1, "failed": 0}, "result": "created"}
    assert client.index(index="photos", id="a", document={})["result"] == "created"
    assert client.indices.refresh(index="photos")["_shards"]["successful"] == 1


def test_each_search_asks_for_a_whole_answer(client):
    ToldNode.answer = {"_shards": WHOLE}
    client.search(index="photos", routing="a")
    client.open_point_in_time(index="photos", keep_alive="1m")
    client.search(index="photos", allow_partial_search_results=True)
    client.count(index="photos")
    assert ToldNode.targets == [
        "/photos/_search?routing=a&allow_partial_search_results=false",
        "/photos/_pit?keep_alive=1m&allow_partial_search_results=false",
        "/photos/_search?allow_partial_search_results=true",
        "/photos/_count",
    ]


@pytest.mark.parametrize("answer", [None, "text", [], {}, {"took": 1}])
def test_what_has_no_shards_is_whole(answer):
    assert why_not_whole(answer) is None


def error_for(status, error) -> ElasticsearchError:
    return refusal_error(
        read_refusal(status, error, index="photos"), needs="", address="http://es", is_disk_full=lambda: False
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (
            404,
            {
                "type": "search_context_missing_nodes_exception",
                "reason": "Search context of type [pit] references nodes that have left the cluster: [n2]",
                "root_cause": [{"type": "search_context_missing_nodes_exception", "reason": "of type [pit]"}],
            },
        ),
        (
            404,
            {
                "type": "search_phase_execution_exception",
                "reason": "all shards failed",
                "root_cause": [
                    {"type": "search_context_missing_exception", "reason": "No search context found for id [7]"}
                ],
            },
        ),
        (503, {"type": "partial_answer", "reason": "x", "caused_by": {"type": "search_context_missing_exception"}}),
        (
            500,
            {
                "type": "search_phase_execution_exception",
                "reason": "all shards failed",
                "root_cause": [{"type": "illegal_state_exception", "reason": "no node found for id: n2"}],
            },
        ),
    ],
)
def test_pages_that_a_lost_node_had_are_not_asked_for_again(status, error):
    found = error_for(status, error)
    assert isinstance(found, SnapshotLostError)
    assert not passes(found)


def refused(reason, **more):
    """An answer of Elasticsearch to a search that is to be whole."""
    phase = {"type": "search_phase_execution_exception", "reason": reason}
    return {**phase, "root_cause": [], "reason": "", "caused_by": phase, **more}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (503, {"type": "partial_answer", "reason": "2 of 3 shards answered"}),
        (503, refused("Search rejected due to missing shards [[photos-1][2]]. Consider using `x` setting")),
        (500, refused("Partial shards failure")),
    ],
)
def test_what_elasticsearch_could_not_read_whole_may_be_asked_again(status, error):
    found = error_for(status, error)
    assert (type(found), found.status) == (PartialAnswerError, 503)
    assert "Consider" not in str(found)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, refused("Partial shards failure"), "refused the request"),
        (
            429,
            refused("x", caused_by={"type": "circuit_breaking_exception", "reason": "too large"}),
            "too little memory",
        ),
        (503, {"type": "partial_answer", "caused_by": {"type": "circuit_breaking_exception"}}, "too little memory"),
    ],
)
def test_other_refusals_have_their_own_remedy(status, error, words):
    found = error_for(status, error)
    assert (type(found) is PartialAnswerError, words in str(found)) == (False, True), str(found)
