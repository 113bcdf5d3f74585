"""A stand-in for Elasticsearch's machine learning, in front of the real embedded node, which has none.

The node, the uploaded and loaded TorchScript, and the tokenisation (inference.py) are real. These are imitated: TLS and
authentication (tests.tls_front), the licence, and the trained models' API with its rules and errors (api.py, models.py,
errors.py). `query_vector_builder.text_embedding` is replaced by the text's `query_vector` before a search is passed on
to the node. Everything else passes through. So tests show what our code does with such answers. They cannot show what a
real cluster does beyond them.

In a test:

    with ml_front(node_url, folder=tmp_path, ca=ca) as front:   # ca=None: plain http without passwords
        front.url, tls_front.USER, tls_front.PASSWORD, tls_front.API_KEY
        front.licence = "basic"               # or "trial", "platinum", "expired trial"
        front.ml_enabled = False              # the node itself answers, which has no ML
        front.models.memory = 2**30           # bytes for all deployments together
        front.order("queue full", times=2)    # the faults of errors.FAULTS
        front.order("break off", part=3)
        front.clear("queue full")             # or all: front.clear()
        front.count("POST", "*/_search")      # requests so far; front.requests has them, front.forget() forgets them

By hand: `python -m tests.ml_front [--port PORT] [--data FOLDER] [--licence LICENCE]`. There, and only there,
`POST /_front/fault` with `{"fault": "queue full", "times": 2}`, `{"clear": "queue full"}`, `{"clear": null}`,
`{"licence": "basic"}`, `{"ml_enabled": false}` or `{"memory": 1000000}` has the same effect from outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme

from tests.ml_front import api, errors
from tests.ml_front.models import Json, TrainedModels
from tests.tls_front import FrontHandler, FrontServer, standing

LICENCES = ("basic", "trial", "platinum", "expired trial")


@dataclass
class Request:
    """A request and its answer. Uploaded parts are recorded without their content."""

    method: str
    path: str
    query: dict[str, str]
    body: Any  # None if there is none, or if it is not one JSON value
    status: int = 0
    answer: Json | None = None  # None if the node answered

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    def finish(self, status: int, answer: Any) -> None:
        self.status = status
        self.answer = answer if isinstance(answer, dict) else None
        if isinstance(self.body, dict) and "definition" in self.body:
            self.body["definition"] = self.body["definition"][:16]


class MlFront:
    """The front, as tests use it: its address, its switches, and the requests that came."""

    def __init__(self, folder: Path, *, licence: str = "trial", memory: int = 2 * 2**30, steerable: bool = False):
        self.url = ""
        self.licence = licence
        self.ml_enabled = True
        self.steerable = steerable
        self.faults = errors.Faults()
        self.models = TrainedModels(folder, self.faults, memory=memory)
        self.requests: list[Request] = []

    def order(self, fault: str, *, times: int | None = None, part: int = 0) -> None:
        """Answer with that fault of errors.FAULTS, this many times or until it is cleared."""
        self.faults.order(fault, times=times, part=part)

    def clear(self, fault: str | None = None) -> None:
        self.faults.clear(fault)

    def close(self) -> None:
        """Stop all models."""
        for model in self.models:
            self.models.stop(model.model_id)

    def forget(self) -> None:
        self.requests.clear()

    def count(self, method: str = "*", path: str = "*") -> int:
        """Return how many such requests came; method and path may have wildcards."""
        return sum(fnmatchcase(each.method, method) and fnmatchcase(each.path, path) for each in self.requests)

    def answer(self, request: Request) -> Json | None:
        """Return the answer to a request; None if the node has to answer.

        Raises:
            ServerError: the answer is that error.
            ConnectionBroken: there is no answer.
        """
        if request.path.startswith("/_ml/") and not self.ml_enabled:
            return None
        return api.answer(self, request)


class _MlHandler(FrontHandler):
    server: _MlServer
    seen: Request

    def admit(self) -> None:
        url = urlsplit(self.path)
        self.seen = Request(self.command, unquote(url.path), dict(parse_qsl(url.query)), _parsed(self.body))
        self.server.front.requests.append(self.seen)
        super().admit()

    def respond(self) -> None:
        front = self.server.front
        try:
            answer = front.answer(self.seen)
        except errors.ConnectionBroken:
            self.close_connection = True
            return
        if answer is not None:
            self.reply(200, answer)
        elif front.ml_enabled and self.seen.path.endswith("/_search"):
            embedded = api.with_query_vectors(front, self.seen.body)
            self.pass_on(self.body if embedded == self.seen.body else json.dumps(embedded).encode())
        else:
            super().respond()

    def reply(self, status: int, body: Any, *, content_type: str | None = None) -> None:
        self.seen.finish(status, body)
        super().reply(status, body, content_type=content_type)


class _MlServer(FrontServer):
    front: MlFront


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


@contextmanager
def ml_front(
    node_url: str,
    *,
    folder: Path,
    ca: trustme.CA | None = None,
    port: int = 0,
    version: str = "9.5.3",
    licence: str = "trial",
    memory: int = 2 * 2**30,
    steerable: bool = False,
) -> Iterator[MlFront]:
    """Yield a front before the node at `node_url`, with a certificate of `ca`; models are stored in `folder`."""
    server = _MlServer(_MlHandler, node_url, port=port, version=version, secured=ca is not None)
    with standing(server, MlFront(folder, licence=licence, memory=memory, steerable=steerable), ca) as front:
        yield front
