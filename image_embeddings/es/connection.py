"""The connection to Elasticsearch: address, credentials, version and state."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from image_embeddings.errors import ElasticsearchError, RequestError, SettingError, SlowError
from image_embeddings.es import failures, refusals

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

OLDEST_SERVER = (8, 19)
MASTER_SECONDS = 3  # that a node may take to say whether there is a master node
NOT_RECOVERED = "1"  # id of the block on all indices, until Elasticsearch has read their state


def connect(
    hosts: Sequence[str] = (),
    *,
    cloud_id: str | None = None,
    user: str | None = None,
    password: str | None = None,
    api_key: str | None = None,
    ca_certs: str | None = None,
    verify_certs: bool = True,
    timeout: float = 30,
    is_disk_full: Callable[[], bool] = lambda: False,
    locate: Callable[[], str | None] | None = None,
) -> Cluster:
    """Return the cluster at `hosts` or `cloud_id`. Nothing is sent yet.

    `timeout` is the time that each request may take, in seconds. `is_disk_full` returns whether the disk of an
    Elasticsearch on this machine is full. Elasticsearch itself then says only that it is busy. `locate` is for the
    embedded node: it returns the node's present address, or None while it does not run.

    Raise SettingError if the address, the Cloud ID or the CA file cannot be used.
    """
    from elasticsearch import Elasticsearch

    from image_embeddings.es.following import following
    from image_embeddings.es.serializers import quick_serializers
    from image_embeddings.es.transport import NineOrEightNode
    from image_embeddings.es.whole_answers import WholeAnswers

    options: dict[str, Any] = {
        "transport_class": WholeAnswers,
        "node_class": following(locate) if locate else NineOrEightNode,
        "serializers": quick_serializers(),
        "request_timeout": timeout,
        "retry_on_timeout": False,
        # Not 503: Elasticsearch answers it after it has waited for half a minute. The user should then see the error.
        "retry_on_status": (429, 502, 504),
    }
    if api_key:
        options["api_key"] = api_key
    elif user:
        # Encoded here, because the client itself accepts ASCII only.
        options["basic_auth"] = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    if cloud_id or any(host.startswith("https:") for host in hosts):
        options |= {"verify_certs": verify_certs}
        options |= {"ca_certs": ca_certs} if verify_certs and ca_certs else {}
        options |= {} if verify_certs else {"ssl_show_warn": False}
    address = {"cloud_id": cloud_id} if cloud_id else {"hosts": list(hosts)}
    try:
        if "ca_certs" in options:
            ssl.create_default_context(cafile=options["ca_certs"])  # the client would read the file only later
        return Cluster(Elasticsearch(**address, **options), is_disk_full=is_disk_full)
    except (ValueError, OSError) as error:
        raise SettingError(
            f"Elasticsearch's address or CA file ({ca_certs or 'none'}) cannot be used: {error}. "
            "Look at ES_HOST (https://name:9200), ES_CLOUD_ID and ES_CA_CERTS (a PEM file)."
        ) from error


class Cluster:
    """One Elasticsearch, of one node or many.

    If `version` (major, minor) is given, the server is not asked for its own. `is_disk_full`: see `connect`.
    """

    def __init__(
        self,
        client: Elasticsearch,
        *,
        version: tuple[int, int] | None = None,
        is_disk_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self.client = client
        self.client_errors = failures.client_errors()  # what requests of the client library raise
        self._version = version
        self._is_disk_full = is_disk_full

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @property
    def address(self) -> str:
        """Return the addresses of its nodes, with commas between them."""
        nodes = self.client.transport.node_pool.all()
        return ", ".join(f"{node.config.scheme}://{node.host}:{node.port}" for node in nodes)

    def server_version(self) -> tuple[int, int]:
        """Return the major and minor version of the server. It is asked only once.

        Raise ServerVersionError if it is older than 8.19, or if it is not Elasticsearch.
        """
        if self._version is None:
            with self.errors():
                number = self._version_number()
            major, minor = (int(part) for part in number.split(".")[:2])
            if (major, minor) < OLDEST_SERVER:
                raise failures.too_old(number)
            self._version = (major, minor)
        return self._version

    def now(self, **options: Any) -> int:
        """Return the time by Elasticsearch's clock, in seconds since the epoch. `options` are those of the client."""
        with self.errors():
            rows: Any = self.client.options(**options).cat.health(h="epoch", format="json")
        return int(rows[0]["epoch"])

    def _version_number(self) -> str:
        try:
            return str(self.client.info()["version"]["number"])
        except self.client_errors as error:
            if getattr(error, "status_code", None) != 405:  # the embedded node has no `GET /`
                raise
        nodes = self.client.nodes.info(filter_path="nodes.*.version")["nodes"]
        return str(next(iter(nodes.values()))["version"])

    @contextmanager
    def errors(self, *, needs: str = "the cluster privilege 'monitor'") -> Iterator[None]:
        """Turn errors of the client library into ours. `needs` names the privileges that the request needs."""
        try:
            yield
        except self.client_errors as failure:
            error = self.error_for(failure, needs=needs)
            if isinstance(error, SlowError):
                self.check_master()
            raise error from failure

    def error_for(self, failure: Exception, *, needs: str, index: str = "") -> ElasticsearchError:
        """Return our error for one of `client_errors`, with its remedy.

        `needs` names the privileges of the request, and `index` the index that it asks for.
        """
        return failures.error_for(
            failure, needs=needs, address=self.address, is_disk_full=self._is_disk_full, index=index
        )

    def check_master(self) -> None:
        """Return unless a node says within MASTER_SECONDS that the cluster has no master node.

        Without one, many requests get no answer. Raise RequestError, with a status in PASSING, if there is none.
        """
        try:
            self.client.options(request_timeout=MASTER_SECONDS).cluster.health(master_timeout="1s")
        except self.client_errors as error:
            if refusals.NO_MASTER in str(error):
                raise refusals.no_master(self.address) from error

    def error_of_item(self, status: int, error: Any, *, needs: str, index: str) -> ElasticsearchError:
        """Return our error for one document of a request. `error` is what Elasticsearch answers for it."""
        refusal = refusals.read_refusal(status, error, index=index)
        return refusals.refusal_error(refusal, needs=needs, address=self.address, is_disk_full=self._is_disk_full)

    def check_allocation(self, index: str) -> None:
        """Return if a node has taken, or will take, the first shard of an index.

        Raise DiskFullError if no node has room for it, and RequestError if no node may take it for another reason.
        """
        with self.errors():
            found = self.client.cluster.allocation_explain(index=index, shard=0, primary=True)
        if found.get("can_allocate") != "no":
            return
        nodes = found.get("node_allocation_decisions", [])
        against = [decider for node in nodes for decider in node.get("deciders", []) if decider["decision"] == "NO"]
        reason = "; ".join(dict.fromkeys(decider["explanation"] for decider in against))
        if any(decider["decider"] == "disk_threshold" for decider in against):
            raise refusals.disk_full(self.address, status=503, reason=reason)
        raise RequestError(
            f"No node of Elasticsearch at {self.address} may take the index: {reason or found['allocate_explanation']}",
            status=503,
            reason=reason,
        )

    def check_recovered(self) -> None:
        """Return if Elasticsearch knows its indices. Just after its start, it reports all of them as missing.

        Raise RequestError if it does not know them yet.
        """
        with self.errors():
            state = self.client.cluster.state(metric="blocks", filter_path="blocks.global")
        if NOT_RECOVERED in state.get("blocks", {}).get("global", {}):
            raise RequestError(
                f"Elasticsearch at {self.address} is starting and does not know its indices yet. Try again.", status=503
            )
