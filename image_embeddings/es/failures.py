"""What requests to Elasticsearch fail with, as errors of ours, each with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from image_embeddings.errors import (
    PASSING,
    AuthenticationError,
    CertificateError,
    DiskFullError,
    ElasticsearchError,
    PermissionDeniedError,
    RequestError,
    ServerVersionError,
    SlowError,
    UnreachableError,
)

_DISK_FULL = "read-only-allow-delete"  # part of Elasticsearch's name for the block on an index


def client_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that requests of the client library raise."""
    from elasticsearch import ApiError, TransportError
    from elasticsearch.helpers import ScanError

    return ApiError, TransportError, ScanError


def error_for(failure: Exception, *, needs: str, address: str, is_disk_full: Callable[[], bool]) -> ElasticsearchError:
    """Return our error for one of `client_errors`.

    `needs` names the privileges of the request. `address` names the cluster. `is_disk_full` returns whether the disk of
    an Elasticsearch on this machine is full, because Elasticsearch itself then says only that it is busy.
    """
    import elasticsearch
    from elasticsearch.helpers import ScanError

    match failure:
        case elasticsearch.SSLError():
            return CertificateError(
                f"TLS with {address} fails: {_last_cause(failure)}. Point ES_CA_CERTS at the CA file (ca.crt) of "
                "that cluster, or for a test set ES_VERIFY_CERTS=false; where the server has no TLS, ES_HOST begins "
                "with http://."
            )
        case elasticsearch.ConnectionTimeout():
            if is_disk_full():
                return disk_full(address, status=503, reason="no answer in time")
            return SlowError(
                f"Elasticsearch at {address} did not answer in time. Look at its load and whether its disk is "
                "full, then try again."
            )
        case ScanError():
            return RequestError(f"Elasticsearch could not read the whole index: {failure}. Try again.")
        case elasticsearch.SerializationError():
            return UnreachableError(
                f"An answer of {address} did not come whole. Look at the network and at proxies on the way."
            )
        case elasticsearch.ConnectionError():
            return UnreachableError(
                f"Nothing answers at {address} ({_last_cause(failure)}). Is Elasticsearch running, is ES_HOST "
                "right (https or http, name, port)? Without ES_HOST an embedded node is started."
            )
        case elasticsearch.UnsupportedProductError():
            return _not_elasticsearch(address)
        case _:
            return _api_error(failure, needs=needs, address=address, is_disk_full=is_disk_full)


def _api_error(error: Any, *, needs: str, address: str, is_disk_full: Callable[[], bool]) -> ElasticsearchError:
    kind, reason = _type_and_reason(error)
    if not isinstance(error.body, dict) and "x-elastic-product" not in error.meta.headers:
        if error.status_code in PASSING:
            return RequestError(
                f"A proxy at {address} answers {error.status_code}: Elasticsearch behind it is away or busy. "
                "Look at it and at the proxy.",
                status=error.status_code,
            )
        return _not_elasticsearch(address)
    if error.status_code == 401:
        return AuthenticationError(
            f"{address} does not accept the credentials. Look at ES_USER and ES_PWD, or ES_API_KEY (the encoded form)."
        )
    if error.status_code == 403:
        return PermissionDeniedError(
            f"{address} does not permit this: {reason}. The user needs {needs}.", reason=reason
        )
    if kind == "media_type_header_exception":
        return too_old("7 or older")
    return refusal(status=error.status_code, kind=kind, reason=reason, address=address, is_disk_full=is_disk_full)


def refusal(*, status: int, kind: str, reason: str, address: str, is_disk_full: Callable[[], bool]) -> RequestError:
    """Return the error for a request, or for one document of it, that Elasticsearch refused."""
    if _DISK_FULL in reason or (status in PASSING and is_disk_full()):
        return disk_full(address, status=status, kind=kind, reason=reason)
    return RequestError(
        f"Elasticsearch refused the request ({status} {kind}): {reason}", status=status, kind=kind, reason=reason
    )


def disk_full(address: str, *, status: int, reason: str, kind: str = "") -> DiskFullError:
    """Return the error for a cluster whose disk is full."""
    return DiskFullError(
        f"The disk of Elasticsearch at {address} is full, so it writes nothing into the index. Make room "
        "there; about a minute later it writes again.",
        status=status,
        kind=kind,
        reason=reason,
    )


def too_old(number: str) -> ServerVersionError:
    """Return the error for a server of that version."""
    return ServerVersionError(
        f"The server is Elasticsearch {number}; 8.19 or later is needed. Upgrade it, or unset ES_HOST to use the "
        "embedded node."
    )


def _not_elasticsearch(address: str) -> ServerVersionError:
    return ServerVersionError(f"What answers at {address} is not Elasticsearch. Look at ES_HOST.")


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
