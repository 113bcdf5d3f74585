"""What Elasticsearch says when it refuses a request, and the remedy for each state of a cluster that people meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from image_embeddings.errors import (
    PASSING,
    BlockedError,
    DiskFullError,
    ElasticsearchError,
    PartialAnswerError,
    PermissionDeniedError,
    RequestError,
    SnapshotLostError,
)

_BLOCK_ID = re.compile(r"\[[A-Z_]+/(\d+)/")  # as in "[FORBIDDEN/8/index write (api)]"
_NAMED_INDEX = re.compile(r"index (?:with name )?\[([^\]]+)\]")
_DATE = re.compile(r"-\d{14}-\d{6}$")  # what an index has behind INDEX_NAME
_DISK_BLOCK = "12"  # Elasticsearch sets and lifts it itself
_CLOSED = "4"
_BLOCKS = {  # what `_BLOCK_ID` finds: the setting that people, or a policy of Elasticsearch, have set
    "5": "index.blocks.read_only",
    "6": "cluster.blocks.read_only",
    "7": "index.blocks.read",
    "8": "index.blocks.write",
    "9": "index.blocks.metadata",
    "13": "cluster.blocks.read_only_allow_delete",
}
ASK_WHY = "If a node is away, start it. Elasticsearch says more: GET _cluster/allocation/explain"
_TOO_FEW_SHARDS = (
    f"The data of '{{index}}' is on no node that runs, so it can neither be searched nor written. {ASK_WHY}"
)
_NO_MASTER = "Elasticsearch at {address} has no master node. Start the nodes that are away, then try again."
_NODE_AWAY = (
    "A node of Elasticsearch at {address} is away ({reason}). Start it if it is down. If it is not, the others find it "
    "again: try again in a moment."
)
_TOO_MUCH_TO_DO = (
    "Elasticsearch at {address} has too much to do and takes no further requests ({reason}). Try again when it has "
    "less to do."
)
NO_MASTER = "master_not_discovered_exception"
# Types of errors that come at once if a node went away, as long as Elasticsearch does not know it for gone.
NODE_LOST = ("node_disconnected_exception", "node_not_connected_exception", "node_closed_exception")
# What pages of an index are refused with if the node is gone, or has forgotten, that they were to come from.
_LOST_SNAPSHOT = frozenset(("search_context_missing_exception", "search_context_missing_nodes_exception"))
_LOST_NODE = "no node found for id"  # the same in older versions
# Types of errors, or words of their reasons, with the message that has the remedy.
_MESSAGES = {
    "shards open": (
        "Elasticsearch at {address} has as many shards as it may have, so it makes no new index. Remove indices that "
        'nobody needs, or allow more: PUT _cluster/settings {{"persistent": {{"cluster.max_shards_per_node": 2000}}}}'
    ),
    "creates data streams only": "The index cannot be made ({reason}). {template_advice}",
    "invalid_alias_name_exception": "The name cannot be used ({reason}). Choose another INDEX_NAME.",
    "circuit_breaking_exception": (
        "Elasticsearch at {address} has too little memory for this request. Give its Java heap more (ES_HEAP for the "
        "embedded node), or send less at once: index --chunk-size 50. It says: {reason}"
    ),
    "rejected_execution_exception": _TOO_MUCH_TO_DO,
    "no_shard_available_action_exception": _TOO_FEW_SHARDS,
    "unavailable_shards_exception": _TOO_FEW_SHARDS,
    "/2/no master": _NO_MASTER,
    NO_MASTER: _NO_MASTER,
    "process_cluster_event_timeout_exception": _TOO_MUCH_TO_DO,
    **dict.fromkeys((*NODE_LOST, "connect_transport_exception"), _NODE_AWAY),
    "strict_dynamic_mapping_exception": (
        "The index '{index}' has no such field ({reason}). Another program has changed the index or its documents: "
        "look at index.default_pipeline and index.final_pipeline of GET {index}/_settings"
    ),
}
PARTIAL_ANSWER = "partial_answer"  # the type that `WholeAnswers` gives the error of an answer that is not whole
_OF_ALL_DOCUMENTS = ("index_not_found_exception", "strict_dynamic_mapping_exception")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What Elasticsearch says of a request, or of one document of it, that it refuses."""

    status: int
    kind: str  # the type of the error
    causes: tuple[str, ...] = ()  # the types of the errors that led to it
    reason: str = ""
    index: str = ""  # the index that it is about, if Elasticsearch names one


def read_refusal(status: int, error: Any, *, default_reason: str = "", index: str = "") -> Refusal:
    """Return what the `error` of an answer says. `index` is the name in the request."""
    if not isinstance(error, dict):
        return Refusal(status=status, kind="error", reason=str(error), index=index)
    causes = list(_causes_of(error))
    roots = error.get("root_cause", [error])  # it is empty if shards are missing: then only the last cause tells
    root = roots[0] if roots else causes[-1]
    causes = [root, *causes]
    reason = str(root.get("reason") or causes[-1].get("reason") or default_reason)
    named = _NAMED_INDEX.search(reason)
    return Refusal(
        status=status,
        kind=str(error.get("type", "error")),
        causes=tuple(str(cause.get("type")) for cause in causes),
        reason=reason,
        index=named[1] if named else str(root.get("index") or error.get("index") or index),
    )


def _causes_of(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    while isinstance(error, dict):
        yield error
        error = error.get("caused_by")  # type: ignore[assignment]


def refusal_error(
    refusal: Refusal, *, needs: str, address: str, is_disk_full: Callable[[], bool]
) -> ElasticsearchError:
    """Return our error for a refusal, with the remedy.

    `needs`, `address` and `is_disk_full`: see `failures.error_for`.
    """
    status, kind, reason = refusal.status, refusal.kind, refusal.reason
    blocks = _BLOCK_ID.findall(reason)
    if "index_closed_exception" in (kind, *refusal.causes):
        blocks.append(_CLOSED)
    if _DISK_BLOCK in blocks:
        return disk_full(address, status=status, kind=kind, reason=reason, blocked=refusal.index)
    if status in PASSING and is_disk_full():
        return disk_full(address, status=status, kind=kind, reason=reason)
    if message := _block_message(refusal, blocks):
        return BlockedError(message, status=status, kind=kind, reason=reason)
    if _has_lost_snapshot(refusal):
        return SnapshotLostError(
            f"Elasticsearch at {address} lost what it had opened to read the index page by page, because a node went "
            f"away or because nothing was read for minutes ({reason}). Do it again when all nodes are there.",
            status=404,  # and none of PASSING: to ask for the same page again is in vain
            kind=kind,
            reason=reason,
        )
    if _is_partial(refusal):
        return PartialAnswerError(
            f"Not all photos can be read at the moment, and this needs all of them: some data of '{refusal.index}' is "
            f"on no node that runs, or cannot be read there ({reason.partition('. Consider')[0]}). {ASK_WHY}",
            status=status if status in PASSING else 503,
            kind=kind,
            reason=reason,
        )
    if status == 403 and kind != "cluster_block_exception":
        return PermissionDeniedError(
            f"{address} does not permit this: {reason}. The user needs {needs}.", reason=reason
        )
    return RequestError(_message(refusal, address=address), status=status, kind=kind, reason=reason)


def _has_lost_snapshot(refusal: Refusal) -> bool:
    return not _LOST_SNAPSHOT.isdisjoint((refusal.kind, *refusal.causes)) or _LOST_NODE in refusal.reason


def _is_partial(refusal: Refusal) -> bool:
    """Return whether some shards answered and others did not. If memory is short, the remedy is another one."""
    if refusal.status not in (500, *PASSING) or "circuit_breaking_exception" in refusal.causes:
        return False
    said = "Partial shards failure" in refusal.reason or "due to missing shards" in refusal.reason
    return refusal.kind == PARTIAL_ANSWER or (refusal.kind == "search_phase_execution_exception" and said)


def _message(refusal: Refusal, *, address: str) -> str:
    said = " ".join((refusal.kind, *refusal.causes, refusal.reason))
    default = "Elasticsearch refused the request ({status} {kind}): {reason}"
    message = next((text for mark, text in _MESSAGES.items() if mark in said), default)
    advice = template_advice(refusal.index)
    return message.format(**vars(refusal), address=address, template_advice=advice)


def _block_message(refusal: Refusal, blocks: list[str]) -> str:
    """Return what blocks the request and how to lift it; empty if no block is known to."""
    index = refusal.index
    if _CLOSED in blocks:
        return f"The index '{index}' is closed: nothing can be read or written. To open it: POST {index}/_open"
    settings = [_BLOCKS[block] for block in blocks if block in _BLOCKS]
    if not settings:
        return ""
    values = ", ".join(f'"{setting}": null' for setting in settings)
    if settings[0].startswith("cluster."):
        what = "The cluster"
        request = f'PUT _cluster/settings {{"persistent": {{{values}}}, "transient": {{{values}}}}}'
    else:
        what, request = f"The index '{index}'", f"PUT {index}/_settings {{{values}}}"
    return (
        f"{what} refuses this, because somebody or a policy has set {' and '.join(settings)}. The privileges are not "
        f"the reason. To lift it: {request}"
    )


def template_advice(index: str) -> str:
    """Return how to keep the index templates of others from an index, which Elasticsearch has put a date behind."""
    return (
        "An index template of the cluster does that. To keep it from this index, make an empty one that goes before "
        'it: PUT _index_template/image-search {"index_patterns": '
        f'["{_DATE.sub("", index)}-*"], "priority": 1000000, "template": {{}}}}'
    )


def concerns_all_documents(error: RequestError) -> bool:
    """Return whether Elasticsearch would refuse any other document of the index, too."""
    return isinstance(error, BlockedError) or error.kind in _OF_ALL_DOCUMENTS or error.status == 403


def no_master(address: str) -> RequestError:
    """Return the error for a cluster that lacks a master node."""
    return RequestError(_NO_MASTER.format(address=address), status=503, kind=NO_MASTER, reason="no answer in time")


def disk_full(address: str, *, status: int, reason: str, kind: str = "", blocked: str = "") -> DiskFullError:
    """Return the error for a cluster whose disk is full. The index `blocked` is blocked because of it."""
    by_hand = f' If not: PUT {blocked}/_settings {{"index.blocks.read_only_allow_delete": null}}' if blocked else ""
    return DiskFullError(
        f"The disk of Elasticsearch at {address} is full, so it writes nothing into the index. Make room "
        f"there; about a minute later it writes again.{by_hand}",
        status=status,
        kind=kind,
        reason=reason,
    )
