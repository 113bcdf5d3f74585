"""Documents as tests index them, and an index in the form of an older version."""

from image_embeddings.documents import ImageDocument
from image_embeddings.es import mapping
from tests.fakes import ColourEncoder

OLD_FIELDS = {
    *("image_id", "name", "folders", "width", "height", "bytes", "mtime_ns", "content_hash", "location"),
}
DESCRIBED = {
    "location": (41.5, -12.25),
    "altitude": -1.5,
    "taken": "2024-05-01T12:30:00+02:00",
    "camera_make": "Maker",
    "camera_model": "Camera",
    "lens": "50mm",
    "caption": "The Forum, seen from above",
    "title": "Foro Romano",
    "headline": "Ruins in the evening",
    "keywords": ("rome", "ruins"),
    "city": "Roma",
    "country": "Italia",
    "persons": ("Grace Hopper",),
    "rating": 0,
    "label": "old",
    "extra": {"photographer": "Ada"},
}


def document(image_id, **changes):
    values = {"width": 3, "height": 2, "bytes": 10, "mtime_ns": 5, "content_hash": "ab" * 16} | changes
    return ImageDocument(image_id=image_id, **values)


def as_an_older_version_made_it(index):
    """Make the same index anew without the fields that came later; its documents are gone."""
    body = mapping.index_body(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    for name in mapping.document_properties().keys() - OLD_FIELDS:
        del body["mappings"]["properties"][name]
    index.drop()
    index.cluster.client.indices.create(index=index.name, **body)
