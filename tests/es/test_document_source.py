import pytest

from image_embeddings.documents import ImageDocument
from image_embeddings.errors import IndexForeignError
from image_embeddings.es import mapping
from image_embeddings.es.document_source import document_of, left_out_message, read_hits
from tests.es.test_queries import BARE, DOCUMENT


def hit_of(document, **forged):
    return {"_id": document.image_id, "_source": {**mapping.document_body(document, vector=[0.0]), **forged}}


@pytest.mark.parametrize("document", [DOCUMENT, BARE])
def test_a_document_comes_back_from_its_source(document):
    assert document_of(hit_of(document)) == document


def test_whole_numbers_for_degrees_and_metres_are_sound():
    document = document_of(hit_of(DOCUMENT, location={"lat": 41, "lon": 12}, altitude=5))
    assert (document.location, document.altitude) == ((41, 12), 5)


def test_every_field_is_checked():
    for name in mapping.document_body(DOCUMENT, vector=[0.0]).keys() & vars(DOCUMENT).keys():
        if name in ("content_hash", "preview"):
            assert not getattr(document_of(hit_of(DOCUMENT, **{name: object()})), name)
        else:
            with pytest.raises(IndexForeignError, match=f"no sound {name}"):
                document_of(hit_of(DOCUMENT, **{name: object()}))


@pytest.mark.parametrize("name", ["image_id", "width", "height", "bytes", "mtime_ns"])
def test_what_every_document_has_may_not_be_missing(name):
    with pytest.raises(IndexForeignError, match=f"no sound {name}"):
        document_of(hit_of(DOCUMENT, **{name: None}))


def test_foreign_documents_are_told_from_our_own():
    forged = {**hit_of(BARE, width=-1), "_id": "b\n[forged] line"}
    documents, foreign = read_hits([hit_of(DOCUMENT), forged])
    assert documents == {DOCUMENT.image_id: DOCUMENT}
    assert foreign == ("b\n[forged] line",)
    assert "\n" not in left_out_message([*foreign, *foreign])
    assert "1 (the first" in left_out_message([*foreign, *foreign])


def test_a_document_of_checked_values_is_the_one_that_the_constructor_makes():
    values = {"image_id": "a.jpg", "width": 2, "height": 1, "bytes": 3, "mtime_ns": 4, "content_hash": "ab" * 16}
    made, same = ImageDocument.of_checked(values), ImageDocument(**values)
    assert made == same
    assert vars(made) == vars(same)
    assert made.extra is not ImageDocument.of_checked(values).extra
