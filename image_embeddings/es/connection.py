"""The connection to Elasticsearch: address, credentials, version, and its errors as ours, each with a remedy."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from image_embeddings.errors import (
    PASSING,
    AuthenticationError,
    CertificateError,
    DiskFullError,
    ElasticsearchError,
    PermissionDeniedError,
    RequestError,
    ServerVersionError,
    SettingError,
    SlowError,
    UnreachableError,
)

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

OLDEST_SERVER = (8, 19)
NOT_RECOVERED = "1"  # id of the block on all indices, until Elasticsearch has read their state
DISK_FULL = "read-only-allow-delete"  # part of Elasticsearch's name for the block on an index


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
) -> Cluster:
    """Return the cluster at `hosts` or `cloud_id`. Nothing is sent yet.

    `timeout` is the time that each request may take, in seconds. `is_disk_full` returns whether the disk of an
    Elasticsearch on this machine is full. Elasticsearch itself then says only that it is busy.

    Raise SettingError if the address, the Cloud ID or the CA file cannot be used.
    """
    from elasticsearch import Elasticsearch

    from image_embeddings.es.transport import NineOrEightNode

    options: dict[str, Any] = {
        "node_class": NineOrEightNode,
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
        ssl.create_default_context(cafile=options.get("ca_certs"))  # the client would read the file only later
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
        from elasticsearch import ApiError, TransportError
        from elasticsearch.helpers import ScanError

        self.client = client
        self.failures = (ApiError, TransportError, ScanError)  # what requests of the client library raise
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
                raise ServerVersionError(_too_old(number))
            self._version = (major, minor)
        return self._version

    def _version_number(self) -> str:
        from elasticsearch import ApiError

        try:
            return str(self.client.info()["version"]["number"])
        except ApiError as error:
            if error.status_code != 405:  # the embedded node has no `GET /`
                raise
        nodes = self.client.nodes.info(filter_path="nodes.*.version")["nodes"]
        return str(next(iter(nodes.values()))["version"])

    @contextmanager
    def errors(self, *, needs: str = "the cluster privilege 'monitor'") -> Iterator[None]:
        """Turn errors of the client library into ours. `needs` names the privileges that the request needs."""
        try:
            yield
        except self.failures as error:
            raise self.error_for(error, needs=needs) from error

    def error_for(self, failure: Exception, *, needs: str) -> ElasticsearchError:
        """Return our error for one of `failures`, with its remedy. `needs` names the privileges of the request."""
        import elasticsearch
        from elasticsearch.helpers import ScanError

        match failure:
            case elasticsearch.SSLError():
                return CertificateError(
                    f"TLS with {self.address} fails: {_last_cause(failure)}. Point ES_CA_CERTS at the CA file (ca.crt) "
                    "of that cluster, or for a test set ES_VERIFY_CERTS=false; where the server has no TLS, ES_HOST "
                    "begins with http://."
                )
            case elasticsearch.ConnectionTimeout():
                if self._is_disk_full():
                    return self._disk_full(status=503, kind="", reason="no answer in time")
                return SlowError(
                    f"Elasticsearch at {self.address} did not answer in time. Look at its load and whether its disk is "
                    "full, then try again."
                )
            case ScanError():
                return RequestError(f"Elasticsearch could not read the whole index: {failure}. Try again.")
            case elasticsearch.SerializationError():
                return UnreachableError(
                    f"An answer of {self.address} did not come whole. Look at the network and at proxies on the way."
                )
            case elasticsearch.ConnectionError():
                return UnreachableError(
                    f"Nothing answers at {self.address} ({_last_cause(failure)}). Is Elasticsearch running, is ES_HOST "
                    "right (https or http, name, port)? Without ES_HOST an embedded node is started."
                )
            case elasticsearch.UnsupportedProductError():
                return ServerVersionError(f"What answers at {self.address} is not Elasticsearch. Look at ES_HOST.")
            case _:
                return self._api_error(failure, needs=needs)

    def _api_error(self, error: Any, *, needs: str) -> ElasticsearchError:
        kind, reason = _type_and_reason(error)
        if not isinstance(error.body, dict) and "x-elastic-product" not in error.meta.headers:
            if error.status_code in PASSING:
                return RequestError(
                    f"A proxy at {self.address} answers {error.status_code}: Elasticsearch behind it is away or busy. "
                    "Look at it and at the proxy.",
                    status=error.status_code,
                )
            return ServerVersionError(f"What answers at {self.address} is not Elasticsearch. Look at ES_HOST.")
        if error.status_code == 401:
            return AuthenticationError(
                f"{self.address} does not accept the credentials. "
                "Look at ES_USER and ES_PWD, or ES_API_KEY (the encoded form)."
            )
        if error.status_code == 403:
            return PermissionDeniedError(
                f"{self.address} does not permit this: {reason}. The user needs {needs}.", reason=reason
            )
        if kind == "media_type_header_exception":
            return ServerVersionError(_too_old("7 or older"))
        return self.refusal(status=error.status_code, kind=kind, reason=reason)

    def refusal(self, *, status: int, kind: str, reason: str) -> RequestError:
        """Return the error for a request, or for one document of it, that Elasticsearch refused."""
        if DISK_FULL in reason or (status in PASSING and self._is_disk_full()):
            return self._disk_full(status=status, kind=kind, reason=reason)
        return RequestError(
            f"Elasticsearch refused the request ({status} {kind}): {reason}", status=status, kind=kind, reason=reason
        )

    def _disk_full(self, *, status: int, kind: str, reason: str) -> DiskFullError:
        return DiskFullError(
            f"The disk of Elasticsearch at {self.address} is full, so it writes nothing into the index. Make room "
            "there; about a minute later it writes again.",
            status=status,
            kind=kind,
            reason=reason,
        )

    def check_allocation(self, index: str) -> None:
        """Return if a node has taken, or will take, the first shard of an index.

        Raise DiskFullError if no node has room for it, and RequestError if no node may take it for another reason.
        """
        with self.errors():
            found = self.client.cluster.allocation_explain(index=index, shard=0, primary=True)
        if found.get("can_allocate") != "no":
            return
        nodes = found.get("node_allocation_decisions", [])
        refusals = [decider for node in nodes for decider in node.get("deciders", []) if decider["decision"] == "NO"]
        reason = "; ".join(dict.fromkeys(refusal["explanation"] for refusal in refusals))
        if any(refusal["decider"] == "disk_threshold" for refusal in refusals):
            raise self._disk_full(status=503, kind="", reason=reason)
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


def _too_old(number: str) -> str:
    return (
        f"The server is Elasticsearch {number}; 8.19 or later is needed. Upgrade it, or unset ES_HOST to use the "
        "embedded node."
    )


def _type_and_reason(error: Any) -> tuple[str, str]:
    body = error.body.get("error", {}) if isinstance(error.body, dict) else {}
    if not isinstance(body, dict):
        return "error", str(body)
    cause = body
    while isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    first = next(iter(body.get("root_cause", [])), body)
    return str(body.get("type", "error")), str(first.get("reason") or cause.get("reason") or error.message)


def _last_cause(error: Any) -> str:
    """Return the message of the innermost error that a connection error wraps."""
    errors = getattr(error, "errors", ())
    inner = errors[-1] if errors else error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return str(getattr(inner, "message", inner)).rstrip(".")
