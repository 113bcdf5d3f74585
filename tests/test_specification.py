"""The published specification as a check: it is valid, and it finds mistakes."""

from openapi_spec_validator import validate

from tests import specification
from tests.ml_front import Request

INFER = "/_ml/trained_models/m/_infer"


def test_the_specification_is_valid_openapi():
    validate(specification.SPECIFICATION)


def test_the_specification_names_its_source_and_licence():
    beside = specification.FILE.with_suffix(".md").read_text(encoding="utf-8")
    assert "elastic/elasticsearch-specification" in beside
    assert "Apache-2.0" in beside


def test_a_misspelt_field_is_found():
    (complaint,) = specification.complaints(Request("POST", INFER, {}, {"docs": [], "inference_configs": {}}))
    assert "inference_configs" in complaint


def test_a_wrong_type_is_found():
    answer = {"inference_results": "none"}
    (complaint,) = specification.complaints(Request("POST", INFER, {}, {"docs": []}, 200, answer))
    assert complaint == "answer: $.inference_results: 'none' is not of type 'array'"
