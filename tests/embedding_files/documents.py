"""Documents and embeddings for tests of files."""

import numpy as np

from image_embeddings.documents import ImageDocument, ModelInfo
from image_embeddings.embedding_files.origin import Origin

DIMS = 24
MODEL = ModelInfo(model_id="colour", dims=DIMS, preprocessing="rgb-1+colour-1", probe=(0.1, -0.25, 0.3333))
ORIGIN = Origin(model=MODEL, corpus="/photos", oldest_format=2, program="0.1", export_id="one")

FULL = ImageDocument(
    image_id="été/ü +#&.jpg",
    width=4000,
    height=3000,
    bytes=2**40,
    mtime_ns=2**60 + 1,
    content_hash="0f" * 16,
    ctime_ns=2**60 + 3,
    inode=2**62 + 1,
    etag="9b2cf535f27731c974343645a3985328-2",
    sidecar_state="a.xmp 1 2",
    location=(48.858370123456, -2.2944813),
    altitude=-1.23456789012345,
    taken="2024-05",
    taken_by="exif",
    camera_make="Café",
    camera_model="Model 1",
    lens="50 mm",
    caption="A caption\nof two lines",
    title="T",
    headline="H",
    keywords=("b", "a", "日本"),
    city="Rome",
    country="Italy",
    persons=("Ada",),
    rating=-1,
    label="l",
    table_caption="A caption\nof two lines",
    extra={"photographer": "Ada", "empty": ""},
    preview="UklGRg==",
    fingerprint="UklGRh==",
    format=3,
)


def make_rows(number, *, dims=DIMS, seed=0):
    """Return documents with random embeddings. The first document has all fields, the others have few."""
    numbers = np.random.default_rng(seed).standard_normal((number, dims)).astype(np.float32)
    embeddings = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    few = {"width": 3, "height": 2, "bytes": 5, "mtime_ns": 6, "content_hash": "ab" * 16}
    documents = [FULL, *(ImageDocument(image_id=f"{index}.jpg", **few) for index in range(1, number))]
    return list(zip(documents, embeddings, strict=True))[:number]


def as_bytes(rows):
    """Return the rows with the embeddings as bytes, which can be compared."""
    return [(document, embedding.tobytes()) for document, embedding in rows]
