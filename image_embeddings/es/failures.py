"""What requests to Elasticsearch fail with, as errors of ours, each with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from image_embeddings.errors import (
    PASSING,
    AuthenticationError,
    CertificateError,
    ElasticsearchError,
    RequestError,
    ServerVersionError,
    SlowError,
    UnreachableError,
)
from image_embeddings.es import refusals


def client_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that requests of the client library raise."""
    from elasticsearch import ApiError, TransportError
    from elasticsearch.helpers import ScanError

    return ApiError, TransportError, ScanError


def error_for(
    failure: Exception, *, needs: str, address: str, is_disk_full: Callable[[], bool], index: str = ""
) -> ElasticsearchError:
    """Return our error for one of `client_errors`.

    `needs` names the privileges of the request. `address` names the cluster, and `index` the index that it asks
    for. `is_disk_full` returns whether the disk of an Elasticsearch on this machine is full, because Elasticsearch
    itself then says only that it is busy.
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
                return refusals.disk_full(address, status=503, reason="no answer in time")
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
                f"{_what_failed(address)} ({_last_cause(failure)}). Is Elasticsearch running, is ES_HOST "
                "right (https or http, name, port)? Without ES_HOST an embedded node is started."
            )
        case elasticsearch.UnsupportedProductError():
            return _not_elasticsearch(address)
        case _:
            return _api_error(failure, needs=needs, address=address, is_disk_full=is_disk_full, index=index)


def _api_error(
    error: Any, *, needs: str, address: str, is_disk_full: Callable[[], bool], index: str
) -> ElasticsearchError:
    if error.status_code == 413:
        return RequestError(
            f"{address}, or a proxy there, takes no request of that size. Send less at once: index --chunk-size 50",
            status=413,
        )
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
    refusal = refusals.read_refusal(error.status_code, _error_of(error), default_reason=str(error.message), index=index)
    if refusal.kind == "media_type_header_exception":
        return too_old("7 or older")
    return refusals.refusal_error(refusal, needs=needs, address=address, is_disk_full=is_disk_full)


def _error_of(error: Any) -> Any:
    return error.body.get("error", {}) if isinstance(error.body, dict) else {}


def too_old(number: str) -> ServerVersionError:
    """Return the error for a server of that version."""
    return ServerVersionError(
        f"The server is Elasticsearch {number}; 8.19 or later is needed. Upgrade it, or unset ES_HOST to use the "
        "embedded node."
    )


def _not_elasticsearch(address: str) -> ServerVersionError:
    return ServerVersionError(f"What answers at {address} is not Elasticsearch. Look at ES_HOST.")


def _what_failed(address: str) -> str:
    """Return what a connection error means. Of several nodes, some may have answered, but not the last one asked."""
    return f"No try at {address} succeeded" if "," in address else f"Nothing answers at {address}"


def _last_cause(error: Any) -> str:
    """Return the message of the innermost error that a connection error wraps."""
    errors = getattr(error, "errors", ())
    inner = errors[-1] if errors else error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return str(getattr(inner, "message", inner)).rstrip(".")
