"""Every answer to a read is whole, unless its request says that a part will do.

If a node is away or a shard fails, Elasticsearch answers 200 with what the other shards have. `WholeAnswers` passes all
requests on. It demands whole answers from Elasticsearch, and turns those that are not whole into a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from elastic_transport import Transport, TransportApiResponse

from image_embeddings.es.refusals import PARTIAL_ANSWER

_PARAMETER = "allow_partial_search_results"
_PARTS_WILL_DO = f"{_PARAMETER}=true"
_READS = frozenset(("_search", "_msearch", "_async_search", "_count", "_pit", "_query", "_field_caps", "_terms_enum"))
_TAKE_PARAMETER = ("_search", "_async_search", "_pit")  # as the last part of the path


class WholeAnswers(Transport):
    """The transport of a client, in which an answer that is not whole has status 503, as if it were refused."""

    def perform_request(self, method: str, target: str, **options: Any) -> TransportApiResponse:
        """Return the answer. It may lack some shards only if `allow_partial_search_results=true` is in the request."""
        url = urlsplit(target)
        parts = url.path.split("/")
        if _READS.isdisjoint(parts) or _PARTS_WILL_DO in url.query.split("&"):
            return super().perform_request(method, target, **options)
        if method in ("GET", "POST") and parts[-1] in _TAKE_PARAMETER and _PARAMETER not in url.query:
            target = f"{target}{'&' if url.query else '?'}{_PARAMETER}=false"
        answer = super().perform_request(method, target, **options)
        reason = why_not_whole(answer.body) if answer.meta.status < 300 or _only_lists_shards(answer.body) else None
        if reason is None:
            return answer
        cause = _first_cause(answer.body)
        error = {"type": PARTIAL_ANSWER, "reason": reason, **({"caused_by": cause} if cause else {})}
        return TransportApiResponse(replace(answer.meta, status=503), {"error": error, "status": 503})


def why_not_whole(answer: Any) -> str | None:
    """Return why an answer to a read lacks something; None if it is whole."""
    for part in _parts(answer):
        shards = part.get("_shards", {})
        answered, total = shards.get("successful", 0), shards.get("total", 0)
        if shards.get("failed") or answered < total:
            return f"{answered} of {total} shards answered"
        if part.get("timed_out"):
            return "not all shards answered in time"
        if part.get("is_partial") or part.get("error"):
            return "a part of the request failed"
    return None


def _only_lists_shards(body: Any) -> bool:
    """Return whether a refusal has no error, but a list of the shards: if a scroll cannot go on, it may be such."""
    return isinstance(body, Mapping) and "_shards" in body and "error" not in body


def _parts(answer: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what may be incomplete of an answer: itself, and the answers to the searches that it was asked for."""
    if isinstance(answer, Mapping):
        yield answer
        for inner in (answer.get("response"), *answer.get("responses", ())):
            if isinstance(inner, Mapping):
                yield inner


def _first_cause(answer: Any) -> Any:
    for part in _parts(answer):
        for failure in part.get("_shards", {}).get("failures", ()):
            return failure.get("reason")
        if part.get("error"):
            return part["error"]
    return None
