"""Writing to an index whose answers the test sets; no node."""

import numpy as np
import pytest

from image_embeddings.documents import ImageDocument, PhotoMetadata
from image_embeddings.errors import RequestError
from image_embeddings.es.documents import Rejected
from image_embeddings.indexing.part import DocumentToWrite
from image_embeddings.indexing.report import IndexOptions, Outcome, PhotoOutcome
from image_embeddings.indexing.writer import Writer, describe_photos, remove_photos
from image_embeddings.sources.skipped import Skipped


class Index:
    """Accepts all documents except the image_ids in `refused`."""

    def __init__(self, refused=()):
        self.refused = dict(refused)  # image_id -> HTTP statuses, one after the other
        self.requests = []

    @property
    def documents(self):
        return self

    def _take(self, image_ids):
        self.requests.append(image_ids)
        for image_id in image_ids:
            if statuses := self.refused.get(image_id):
                yield Rejected(image_id=image_id, error=RequestError("", status=statuses.pop(0), reason="full"))

    def add(self, documents, *, chunk_size):
        assert chunk_size == len(documents)
        return self._take([document.image_id for document, _ in documents])

    def describe(self, metadata, *, chunk_size, changed):
        for image_id, row in metadata.items():
            if row.label:
                changed(image_id)
        return self._take(list(metadata))

    def remove(self, image_ids, *, chunk_size):
        return self._take(list(image_ids))


def document(image_id, outcome=Outcome.NEW):
    record = ImageDocument(image_id=image_id, width=1, height=1, bytes=1, mtime_ns=1, content_hash=f"hash-{image_id}")
    return DocumentToWrite(document=record, embedding=np.ones(4, np.float32), outcome=outcome)


def written(image_id, outcome=Outcome.NEW):
    return PhotoOutcome(image_id=image_id, outcome=outcome, content_hash=f"hash-{image_id}")


def refused(image_id):
    return Skipped(image_id=image_id, reason="Elasticsearch refused it: full")


def write(index, documents, *, before_write=lambda: None, **options):
    return list(Writer(index, before_write=before_write, options=IndexOptions(**options)).write_all(documents))


def test_documents_are_written_in_groups_and_each_is_reported_once():
    index, requests = Index(), []
    names = ["a", "b", "c", "d", "e"]
    facts = write(index, map(document, names), chunk_size=2, before_write=lambda: requests.append(len(index.requests)))
    assert sorted(index.requests) == [["a", "b"], ["c", "d"], ["e"]]
    assert facts == [written(name) for name in names]
    assert len(requests) == 3


def test_each_document_is_reported_with_its_own_outcome():
    facts = write(Index(), [document("a", Outcome.REUSED), document("b", Outcome.COMPLETED)])
    assert facts == [written("a", Outcome.REUSED), written("b", Outcome.COMPLETED)]


def test_a_document_that_is_refused_for_good_is_skipped_and_the_rest_is_written():
    facts = write(Index({"b": [400]}), map(document, "abc"))
    assert facts == [refused("b"), written("a"), written("c")]


def test_only_documents_that_elasticsearch_is_too_busy_for_are_sent_again():
    index = Index({"b": [429]})
    assert write(index, map(document, "abc")) == [written("a"), written("b"), written("c")]
    assert index.requests == [["a", "b", "c"], ["b"]]


def test_an_error_ends_the_writing():
    def fail():
        raise RequestError("no such index", status=404)

    with pytest.raises(RequestError, match="no such index"):
        write(Index(), [document("a")], before_write=fail)


def test_only_photos_that_the_metadata_file_changes_are_reported():
    rows = {"a": PhotoMetadata(label="new"), "b": PhotoMetadata(), "c": PhotoMetadata()}
    facts = list(describe_photos(Index({"c": [400]}), rows, chunk_size=10))
    assert facts == [refused("c"), PhotoOutcome(image_id="a", outcome=Outcome.DESCRIBED)]


def test_removed_photos_are_reported_with_their_content_hashes():
    facts = list(remove_photos(Index({"b": [403]}), {"a": "1", "b": "2", "c": ""}, chunk_size=10))
    assert facts == [
        refused("b"),
        PhotoOutcome(image_id="a", outcome=Outcome.REMOVED, content_hash="1"),
        PhotoOutcome(image_id="c", outcome=Outcome.REMOVED),
    ]
