"""Documents of six photos, with embeddings, for tests of filters: they differ in every property with a filter."""

from image_embeddings.documents import ImageDocument
from tests.fakes import ColourEncoder

ENCODER = ColourEncoder()
SHELF = {"shelf": "3"}


def photo(image_id, colour, **about):
    known = {"width": 40, "height": 30, "bytes": 10, "mtime_ns": 5, "content_hash": image_id}
    return ImageDocument(image_id=image_id, **{**known, **about}), ENCODER.encode_texts([colour])[0]


PHOTOS = [
    photo("rome/red.jpg", "red", taken="2024-05-01T12:30:00+02:00", location=(41.9, 12.5), camera_model="Canon R5"),
    photo("rome/IMG_0007.jpg", "blue", taken="2024-07-31T23:59:00", caption="Uncle Bob at the Trevi fountain"),
    photo("rome/night/yellow.jpg", "yellow", taken="2019-01-01", location=(41.91, 12.49), camera_model="Pixel 8"),
    photo("oslo/green.jpg", "green", location=(59.9, 10.7), label="winter", extra=SHELF, width=30, height=40),
    photo("oslo/cyan.jpg", "cyan", taken="2021-02-03", label="winter", extra={"shelf": "4"}, width=4000, height=4000),
    photo("fiji/magenta.jpg", "magenta", location=(-17.0, 179.5), keywords=("Überraschung",)),
]
