"""The locks that keep indexing runs on several machines out of one index. Each is a document in Elasticsearch.

They are in a small, hidden index, NAME-runs. A run that holds a lock renews it. If nobody has renewed it for
LEASE_SECONDS, another run may take it over. Each change of a document names the one before it (`if_seq_no`), so only
one of several runs can succeed. All times are by Elasticsearch's clock.

The lock WHOLE is for the whole index. Runs that share the work hold a lock each, by another name. They respect one
another's locks and WHOLE, and the holder of WHOLE has to respect theirs: see `check_others`.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from image_embeddings.documents import JSON
from image_embeddings.errors import IndexBusyError, IndexMissingError, RequestError
from image_embeddings.es.connection import Cluster
from image_embeddings.es.index_client import IndexClient

SUFFIX = "-runs"
LEASE_SECONDS = 60
RENEW_SECONDS = 10
REQUEST_SECONDS = 5  # that renewing the lock may take, so that another try comes in time
WHOLE = "lock"
_MOST_LOCKS = 10_000
_TRIES = 10  # to take the lock, if other runs take and release it at the same moment
_BODY: JSON = {
    "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True},
    "mappings": {"dynamic": False},
}
_CONFLICT, _NOT_FOUND = 409, 404


class RunLock:
    """One lock of an index. `acquire` it, `check` it before each write, and `release` it at the end.

    `owner` says which run this is: `host`, `pid` and `part` (if it has only a part of the work) are for messages.
    `has_ended` returns whether the run of another owner is known to have ended, so that nobody has to wait for its
    lock. Several threads may use the object.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        name: str,
        owner: JSON,
        has_ended: Callable[[JSON], bool] = lambda owner: False,
        lock: str = WHOLE,
    ) -> None:
        self._index_name, self._id = name, lock
        self._client = IndexClient(cluster, name=f"{name}{SUFFIX}")
        self._owner, self._has_ended = owner, has_ended
        self._run = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._document: JSON = {}
        self._version: JSON = {}  # `if_seq_no` and `if_primary_term` of the document as we wrote it
        self._renewed = 0.0  # by this machine's monotonic clock

    def acquire(self) -> None:
        """Take the lock.

        Raise IndexBusyError, which names the owner, if another run holds it, and ElasticsearchError if Elasticsearch
        does not answer.
        """
        with self._lock:
            for _ in range(_TRIES):
                now = self._now()
                found = self._read()
                held = found["_source"] if found else {}
                is_held = held.get("expires", 0) > now
                if is_held and held.get("run") == self._run:  # the answer was lost, and the client repeated the request
                    return self._note(found, held)
                if is_held and not self._has_ended(held["owner"]):
                    raise self._busy(held)
                document = {
                    "run": self._run,
                    "number": held.get("number", 0) + 1,
                    "owner": self._owner,
                    "since": now,
                    "expires": now + LEASE_SECONDS,
                }
                if self._write(document, **(_version(found) if found else {"op_type": "create"})):
                    return None
            raise RequestError(f"The lock of '{self._index_name}' changes all the time. Try again.", status=503)

    def renew(self) -> None:
        """Hold the lock for further LEASE_SECONDS. Raise IndexBusyError if another run has taken it over."""
        with self._lock:
            sent = time.monotonic()
            document = {**self._document, "expires": self._now() + LEASE_SECONDS}
            if not self._write(document, **self._version):
                found = self._read()
                held = found["_source"] if found else {}
                if held.get("run") != self._run:
                    raise self._busy(held)
                self._note(found, held)
            self._renewed = sent

    def check(self) -> None:
        """Return if the lock is held. If it has not been renewed for a while, do so first.

        Raise IndexBusyError if another run has taken it over, and ElasticsearchError if Elasticsearch does not answer.
        """
        if time.monotonic() - self._renewed > LEASE_SECONDS / 2:
            self.renew()

    def release(self) -> None:
        """Let other runs take the lock at once. If another run has taken it over, this changes nothing."""
        with self._lock:
            self._write({**self._document, "expires": 0}, **self._version)

    def check_others(self) -> None:
        """Return if no other lock of the index is held. Raise IndexBusyError, which names an owner, if one is."""
        client, now = self._client, self._now()
        client.refresh()
        with client.errors():
            found = self._requests().search(index=client.name, size=_MOST_LOCKS)
        for hit in found["hits"]["hits"]:
            held = hit["_source"]
            if hit["_id"] != self._id and held.get("expires", 0) > now and not self._has_ended(held["owner"]):
                raise self._busy(held)

    def _now(self) -> int:
        return self._client.cluster.now(request_timeout=REQUEST_SECONDS)

    def _requests(self) -> Any:
        return self._client.writer.options(request_timeout=REQUEST_SECONDS)

    def _read(self) -> Mapping[str, Any] | None:
        """Return the document with its version, or None if there is none. Make the index if it is missing."""
        client = self._client
        try:
            with client.errors():
                found: Mapping[str, Any] = self._requests().get(index=client.name, id=self._id).body
            return found
        except IndexMissingError:
            self._make_index()
        except RequestError as error:
            if error.status != _NOT_FOUND:
                raise
        return None

    def _make_index(self) -> None:
        try:
            with self._client.errors():
                self._client.writer.indices.create(index=self._client.name, **_BODY)
        except RequestError as error:
            if error.kind != "resource_already_exists_exception":
                raise

    def _write(self, document: JSON, **condition: Any) -> bool:
        """Return whether the document was written, which it is not if another run has written it meanwhile."""
        client = self._client
        try:
            with client.errors():
                answer = self._requests().index(index=client.name, id=self._id, document=document, **condition)
        except RequestError as error:
            if error.status != _CONFLICT:
                raise
            return False
        self._note(answer, document)
        return True

    def _note(self, answer: Any, document: Mapping[str, Any]) -> None:
        self._document, self._version, self._renewed = dict(document), _version(answer), time.monotonic()

    def _busy(self, held: Mapping[str, Any]) -> IndexBusyError:
        owner = held.get("owner", {})
        since = datetime.fromtimestamp(held.get("since", 0), timezone.utc)
        part = owner.get("part", "")
        who = f"A run with part {part} of the work" if part else "Another run"
        return IndexBusyError(
            f"{who} is indexing into '{self._index_name}': process {owner.get('pid')} on {owner.get('host')}, since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC. Wait for it to end, or choose another INDEX_NAME. If that machine has "
            f"failed, try again in {LEASE_SECONDS} seconds.",
            part=part,
        )


def _version(answer: Mapping[str, Any]) -> JSON:
    return {"if_seq_no": answer["_seq_no"], "if_primary_term": answer["_primary_term"]}
