import numpy as np
import pytest
from elastic_transport import SerializationError
from elasticsearch.serializer import DEFAULT_SERIALIZERS

from image_embeddings.es.serializers import quick_serializers

TYPES = sorted(quick_serializers())


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(
    "value",
    [
        {"query_vector": np.float32([0.1, -0.25, 1e-9]).tolist()},
        {"name": 'ä犬"<\\\n\u2028', "none": None, "yes": True},
        {"name of a broken file": "\udcff.jpg"},
        {"inode": 2**64, "mtime_ns": -(2**63)},
        {1: "a key that is no text"},
    ],
)
def test_json_is_that_of_the_client_library(type_, value):
    quick, usual = quick_serializers()[type_], DEFAULT_SERIALIZERS[type_]
    assert quick.dumps(value) == usual.dumps(value)
    assert quick.loads(usual.dumps(value)) == usual.loads(usual.dumps(value))


@pytest.mark.parametrize("type_", TYPES)
def test_answers_with_half_a_character_are_read(type_):
    assert quick_serializers()[type_].loads(rb'{"image_id": "\udcff.jpg"}') == {"image_id": "\udcff.jpg"}


@pytest.mark.parametrize("type_", TYPES)
def test_what_is_no_json_is_refused(type_):
    with pytest.raises(SerializationError):
        quick_serializers()[type_].loads(b"<html>")
    with pytest.raises(SerializationError):
        quick_serializers()[type_].dumps({"value": object()})
