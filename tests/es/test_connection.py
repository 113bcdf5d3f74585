"""Why Elasticsearch does not answer: what the cluster says of itself."""

import json

import pytest
from elastic_transport import ApiResponseMeta, BaseNode, ConnectionTimeout, HttpHeaders
from elastic_transport._node import NodeApiResponse
from elasticsearch import Elasticsearch

from image_embeddings.errors import RequestError, SlowError
from image_embeddings.es.connection import Cluster
from image_embeddings.es.retries import passes

NO_MASTER = 503, {"error": {"type": "master_not_discovered_exception", "reason": None}, "status": 503}
HEALTHY = 200, {"status": "yellow"}


def cluster_whose_health_is(told):
    """A cluster that answers no request but the one for its health. If `told` is None, it does not answer that one."""

    class SilentNode(BaseNode):
        _CLIENT_META_HTTP_CLIENT = ("t", "1")

        def perform_request(self, method, target, body=None, headers=None, request_timeout=None):
            if told is None or "_cluster/health" not in target:
                raise ConnectionTimeout("no answer")
            assert request_timeout < 5
            status, answer = told
            said = HttpHeaders({"content-type": "application/json", "x-elastic-product": "Elasticsearch"})
            meta = ApiResponseMeta(node=self.config, duration=0.0, http_version="1.1", status=status, headers=said)
            return NodeApiResponse(meta, json.dumps(answer).encode())

        def close(self):
            pass

    return Cluster(Elasticsearch("http://127.0.0.1:9", node_class=SilentNode, retry_on_timeout=False))


def test_a_cluster_without_master_is_told_from_a_slow_one():
    with pytest.raises(RequestError, match=r"127\.0\.0\.1:9 has no master node\. Start the nodes") as raised:
        cluster_whose_health_is(NO_MASTER).server_version()
    assert passes(raised.value)


@pytest.mark.parametrize("told", [HEALTHY, None])
def test_a_slow_cluster_is_called_slow(told):
    with pytest.raises(SlowError, match="did not answer in time"):
        cluster_whose_health_is(told).server_version()
