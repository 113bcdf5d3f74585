"""JSON answers, by orjson."""

from typing import Any

import orjson
from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider

# Values that only Flask's own provider knows are left to it.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


class QuickJson(DefaultJSONProvider):
    """Writes answers as Flask does, but in the order of their keys, as UTF-8 without escapes, and in less time."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return an answer with that value. The standard library writes what is not strictly JSON."""
        value = self._prepare_response_obj(args, kwargs)
        try:
            body = orjson.dumps(value, default=self.default, option=_OPTIONS)
        except TypeError:
            return Response(f"{self.dumps(value, separators=(',', ':'))}\n", mimetype=self.mimetype)
        return Response(body + b"\n", mimetype=self.mimetype)


def init_app(app: Flask) -> None:
    """Let the app answer in this way."""
    app.json = QuickJson(app)
