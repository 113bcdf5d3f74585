"""Checks of requests and answers by Elastic's published specification (tests/contract/elasticsearch-ml-openapi.md).

The specification allows fields that it does not name. Here such fields are errors, so that a misspelt one is found.
"""

import json
import re
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS31Validator

from tests.ml_front import Request

FILE = Path(__file__).parent / "contract" / "elasticsearch-ml-openapi.json"
SPECIFICATION = json.loads(FILE.read_text(encoding="utf-8"))
# Cases in which servers, and the clients that work with them, differ from the specification.
EXCEPTIONS = {
    r"request: \$\.docs\[\d+\]\.text_field: .* is not of type 'object'": "a document's fields are texts, not objects",
    r"answer: .*metadata: .*'per_allocation_memory_bytes', 'per_deployment_memory_bytes'": "eland's, kept by servers",
    r"answer: .*\.predicted_value: .* is not valid under any": "a number may be long or double, but is not just one",
    r"answer: .*nodes\[\d+\]: .*'node' was unexpected": "serverless has no nodes; clusters name them",
}
_BASES = ("_types.RetrieverBase", "_types.query_dsl.QueryBase", "ml._types.CommonTokenizationConfig")


def complaints(request: Request) -> list[str]:
    """Return what the specification does not allow in the request and its answer, without the exceptions.

    Raises LookupError for a request that the specification does not contain.
    """
    operation = _operation(request)
    found = []
    if request.body is not None:
        found += _errors("request", request.body, operation["requestBody"]["content"])
    if request.status == 200:
        found += _errors("answer", request.answer, _referred(operation["responses"]["200"])["content"])
    return [each for each in found if not any(re.match(known, each) for known in EXCEPTIONS)]


def clause_complaints(schema: str, clause: Any) -> list[str]:
    """Return what the named schema (for example `_types.KnnSearch`) does not allow in a clause of a search."""
    return _errors("clause", clause, {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}})


def is_error(answer: Any) -> bool:
    """Return whether it has the form of Elasticsearch's errors."""
    error = answer["error"]
    causes = (error, *error["root_cause"])
    return set(answer) == {"error", "status"} and all({"type", "reason"} <= set(each) for each in causes)


def _operation(request: Request) -> dict[str, Any]:
    for path in sorted(SPECIFICATION["paths"], key=lambda path: path.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.path):
            operation: dict[str, Any] = SPECIFICATION["paths"][path][request.method.lower()]
            return operation
    raise LookupError(f"The specification has no {request.line}")


def _errors(side: str, value: Any, content: dict[str, Any]) -> list[str]:
    schema = {**_closed(content["application/json"]["schema"]), "components": _CLOSED}
    return [f"{side}: {error.json_path}: {error.message}" for error in OAS31Validator(schema).iter_errors(value)]


def _referred(part: dict[str, Any]) -> dict[str, Any]:
    for name in part.get("$ref", "#").split("/")[1:]:
        part = SPECIFICATION[name] if name == "components" else part[name]
    return part


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    is_object = "properties" in schema or len(schema.get("allOf", [])) > 1
    return {**schema, "unevaluatedProperties": False} if is_object else schema


_CLOSED = {
    "schemas": {
        name: schema if name in _BASES else _closed(schema)
        for name, schema in SPECIFICATION["components"]["schemas"].items()
    }
}
