"""Why Elasticsearch does not answer: what the cluster says of itself."""

import json

import pytest
from elastic_transport import ApiResponseMeta, BaseNode, ConnectionTimeout, HttpHeaders
from elastic_transport._node import NodeApiResponse
from elasticsearch import Elasticsearch

from image_embeddings.errors import RequestError, SlowError
from image_embeddings.es.connection import Cluster
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.es.retries import passes

NO_MASTER = 503, {"error": {"type": "master_not_discovered_exception", "reason": None}, "status": 503}
HEALTHY = 200, {"status": "yellow"}


def cluster_whose_health_is(told):
    """A list of what a cluster is asked, and the cluster, which answers no request but the one for its health.

    If `told` is None, it does not answer that one.
    """

    asked = []

    class SilentNode(BaseNode):
        _CLIENT_META_HTTP_CLIENT = ("t", "1")

        def perform_request(self, method, target, body=None, headers=None, request_timeout=None):
            asked.append(target.partition("?")[0])
            if told is None or "_cluster/health" not in target:
                raise ConnectionTimeout("no answer")
            assert request_timeout < 5
            status, answer = told
            said = HttpHeaders({"content-type": "application/json", "x-elastic-product": "Elasticsearch"})
            meta = ApiResponseMeta(node=self.config, duration=0.0, http_version="1.1", status=status, headers=said)
            return NodeApiResponse(meta, json.dumps(answer).encode())

        def close(self):
            pass

    return asked, Cluster(
        Elasticsearch("http://127.0.0.1:9", node_class=SilentNode, retry_on_timeout=False, retry_on_status=())
    )


def test_a_cluster_without_master_is_told_from_a_slow_one():
    asked, cluster = cluster_whose_health_is(NO_MASTER)
    for ask in (cluster.server_version, ImageIndex(cluster, name="photos").state):
        with pytest.raises(RequestError, match=r"127\.0\.0\.1:9 has no master node\. Start the nodes") as raised:
            ask()
        assert passes(raised.value)
    assert asked == ["/", "/_cluster/health", "/photos/_mapping", "/_cluster/health"]


@pytest.mark.parametrize("told", [HEALTHY, None])
def test_a_slow_cluster_is_called_slow(told):
    asked, cluster = cluster_whose_health_is(told)
    for ask in (cluster.server_version, ImageIndex(cluster, name="photos").state):
        with pytest.raises(SlowError, match="did not answer in time"):
            ask()
    assert asked == ["/", "/_cluster/health", "/photos/_mapping", "/_cluster/health", "/photos/_count"]
