"""JSON to and from Elasticsearch, by orjson: an answer with embeddings has thousands of numbers.

orjson takes only what is strictly JSON. The standard library takes the rest: broken characters in names of files, and
whole numbers of more than 64 bits.
"""

from __future__ import annotations

from typing import Any

import orjson
from elastic_transport import JsonSerializer


class _QuickJson(JsonSerializer):
    """Reads and writes what the client's own serializer does."""

    def json_dumps(self, data: Any) -> bytes:
        """Return the data as JSON. Raise TypeError if that is not possible."""
        try:
            return orjson.dumps(data, default=self.default)
        except orjson.JSONEncodeError:
            return super().json_dumps(data)

    def json_loads(self, data: bytes) -> Any:
        """Return what the JSON says. Raise ValueError if it is none."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return super().json_loads(data)


def quick_serializers() -> dict[str, JsonSerializer]:
    """Return the serializers by the type of what they read and write."""
    from elasticsearch import serializer

    class Json(_QuickJson, serializer.JsonSerializer):
        """JSON as such."""

    class CompatibleJson(_QuickJson, serializer.CompatibilityModeJsonSerializer):
        """JSON whose type names the version of the client."""

        mimetype = serializer.CompatibilityModeJsonSerializer.mimetype

    return {each.mimetype: each for each in (Json(), CompatibleJson())}
