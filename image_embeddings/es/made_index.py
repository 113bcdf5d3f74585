"""What a new index has besides what it was asked for: index templates of the cluster add it. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from image_embeddings.documents import JSON

# Settings that change what is stored or found, keep writes out, or remove the index. Any other setting, such as the
# number of replicas or the codec, may come from a template.
_FOREIGN_SETTINGS = (
    "analysis",
    "blocks",
    "default_pipeline",
    "final_pipeline",
    "lifecycle",
    "logsdb",
    "mapping",
    "mode",
    "query",
    "routing_partition_size",
    "routing_path",
    "similarity",
    "sort",
    "time_series",
    "write",
)
# Settings that may be higher than this, but not lower.
_LEAST = {"max_result_window": 10_000, "max_terms_count": 10_000, "max_docvalue_fields_search": 100}


def foreign_parts(found: Mapping[str, Any], asked: JSON) -> list[str]:
    """Return in words what an index has that was not asked for; an empty list if it is as it was asked for.

    `found` is its part of the answer to `GET INDEX`. `asked` is the body of the request that made it.
    """
    return [
        *(f"the setting {name}" for name in _foreign_settings(found["settings"]["index"], asked.get("settings", {}))),
        *(f"the mapping's {name}" for name in sorted(found["mappings"].keys() - asked["mappings"].keys())),
        *(f"the field {name}" for name in _foreign_fields(found["mappings"], asked["mappings"])),
        *(f"the alias {name}" for name in sorted(found["aliases"].keys() - asked.get("aliases", {}).keys())),
    ]


def _foreign_settings(settings: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    for name, value in sorted(settings.items()):
        if name in asked and value == asked[name]:
            continue
        is_too_low = name in _LEAST and value is not None and int(value) < _LEAST[name]
        is_without_refresh = name == "refresh_interval" and str(value).startswith("-1")
        if name in _FOREIGN_SETTINGS or is_too_low or is_without_refresh:
            yield f"index.{name}"


def _foreign_fields(found: Mapping[str, Any], asked: JSON) -> Iterator[str]:
    properties, ours = found.get("properties", {}), asked["properties"]
    for name in sorted(properties.keys() | ours.keys()):
        if properties.get(name, {}).get("type") != ours.get(name, {}).get("type"):
            yield name
