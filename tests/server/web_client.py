"""The app over an index, in this process, with requests to its pages and readers of them."""

from contextlib import contextmanager
from io import BytesIO

import html5lib
from flask.testing import FlaskClient
from PIL import Image
from pillow_heif import register_heif_opener

from app import create_app
from app.services import Services
from image_embeddings.config import load_settings
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.search.image_search import ImageSearch
from tests.fakes import COLOURS, ColourEncoder
from tests.server.filling import fill

register_heif_opener()  # for what `picture` makes


def picture(colour="red", *, size=(64, 48), format="PNG"):  # noqa: A002
    buffer = BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(buffer, format)
    return buffer.getvalue()


def upload(data, name="photo.png", **fields):
    return {"image": (BytesIO(data), name), **fields}


class BufferedClient(FlaskClient):
    """Reads answers whole, so that served files are closed."""

    def open(self, *args, **options):
        return super().open(*args, **{"buffered": True, **options})


def make_app(index, place, **overrides):
    """Return the app over an index, with its photos and data below `place`."""
    settings = load_settings(
        {"INDEX_NAME": index.name, "ES_HOST": "http://not.asked:9200"},
        image_dir=place / "photos",
        data_dir=place / "data",
        **overrides,
    )
    search = ImageSearch(index, encoder_for=lambda model: ColourEncoder())
    app = create_app(settings, services=Services(settings, open_search=lambda settings: search))
    app.test_client_class = BufferedClient
    return app


@contextmanager
def colour_app(cluster, place, *, name):
    """Yield the app over an index of the colour photos; remove the index afterwards."""
    index = ImageIndex(cluster, name=name)
    index.drop()
    index.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    fill(index, place)
    yield make_app(index, place)
    index.drop()


def shown(response):
    """Return the image_ids of the tiles of a page, in order."""
    tree = html5lib.parse(response.text, namespaceHTMLElements=False)
    return [image.get("alt") for image in tree.findall(".//li//img[@class='thumbnail']")]
