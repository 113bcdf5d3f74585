import dataclasses
import shutil

import numpy as np
import pytest
import trustme

from image_embeddings.config import load_settings
from image_embeddings.encoders import ClipEncoder
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing import pipeline
from image_embeddings.indexing.metadata_changes import MetadataChanges
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from image_embeddings.sources.metadata_table import read_metadata
from image_embeddings.text_model.setup import install_text_model
from tests.eland_cli import import_model, with_password
from tests.fakes import ColourEncoder, RecordedProgress
from tests.ml_front import ml_front
from tests.pictures import colour_photos
from tests.server.filling import fill
from tests.server.ml_requests import M, ok, upload
from tests.tiny_models import make_clip_folder, make_text_folder
from tests.tls_front import ca_file


def pytest_pycollect_makemodule(module_path, parent):
    if module_path.name == "test_api_schema.py":
        parent.config.pluginmanager.import_plugin("schemathesis.pytest.plugin")


@pytest.fixture
def photos(tmp_path):
    """A folder of six one-colour photos."""
    return colour_photos(tmp_path / "photos")


@pytest.fixture
def index(cluster, name):
    """An empty index for ColourEncoder's embeddings."""
    made = ImageIndex(cluster, name=name)
    made.create(model=ColourEncoder().info, vector_index_type="int8_hnsw")
    return made


@pytest.fixture
def run(index, photos, tmp_path):
    """Runs the pipeline over `photos`, with a metadata file of these lines, and returns the report.

    `run.encoder` and `run.progress` show more of the run.
    """

    def go(*lines, prune=False, **options):
        work = make_plan(FolderSource(photos), indexed=index.documents.file_states(), prune=prune)
        table = tmp_path / "photos.csv"
        table.write_text("\n".join(lines))
        go.encoder, go.progress = ColourEncoder(), RecordedProgress()
        return pipeline.run(
            work,
            index=index,
            encoder=go.encoder,
            thumbnails=Thumbnails(tmp_path / "thumbnails"),
            progress=go.progress,
            options=IndexOptions(**options),
            metadata=MetadataChanges(rows=read_metadata(table, image_ids=work.image_ids()) if lines else {}),
        )

    return go


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory):
    """Tiny models of CLIP's two halves, under the names of the real ones."""
    folder = tmp_path_factory.mktemp("models")
    make_clip_folder(folder / "clip-ViT-B-32")
    make_text_folder(folder / "clip-ViT-B-32-multilingual-v1")
    return folder


@pytest.fixture(scope="session")
def clip_index(cluster, model_folders, tmp_path_factory):
    """The six colour photos, indexed with the tiny CLIP model."""
    encoder = ClipEncoder(str(model_folders / "clip-ViT-B-32"))
    made = ImageIndex(cluster, name="test-clip")
    made.create(model=encoder.info, vector_index_type="int8_hnsw")
    fill(made, tmp_path_factory.mktemp("clip"), encoder=encoder)
    yield made
    made.drop()


@pytest.fixture
def front(elasticsearch_url, tmp_path):
    """Machine learning in front of the real node, with no model loaded."""
    with ml_front(elasticsearch_url, folder=tmp_path / "front") as front:
        yield front


@pytest.fixture(scope="session")
def ml_settings(clip_index, model_folders):
    """The settings of a user whose cluster has machine learning, without its address and DATA_DIR."""
    return {"INDEX_NAME": clip_index.name, "IMAGE_MODEL": str(model_folders / "clip-ViT-B-32")}


@pytest.fixture
def ml_environ(front, ml_settings, tmp_path):
    """The settings of a user whose cluster has machine learning."""
    return {**ml_settings, "ES_HOST": front.url, "DATA_DIR": str(tmp_path / "data")}


@pytest.fixture(scope="session")
def installed_model(elasticsearch_url, ml_settings, tmp_path_factory):
    """The text model as a front received it from `text-model install`."""
    folder = tmp_path_factory.mktemp("installed")
    with ml_front(elasticsearch_url, folder=folder / "front") as front:
        install_text_model(load_settings({**ml_settings, "ES_HOST": front.url, "DATA_DIR": str(folder / "data")}))
        (model,) = front.models
        return model


@pytest.fixture
def deployed(front, installed_model):
    """The front, with the text model loaded and started."""
    upload(front, installed_model, installed_model.model_id)
    ok(front, "POST", f"/_ml/trained_models/{installed_model.model_id}/deployment/_start")
    front.forget()
    return front


@pytest.fixture(scope="session")
def tiny_text_model(tmp_path_factory):
    """The folder of a text model of CLIP's 512 dims."""
    folder = tmp_path_factory.mktemp("tiny") / "clip-ViT-B-32-multilingual-v1"
    return make_text_folder(folder, dims=512, hidden=768, layers=1, heads=12, feed_forward=64)


@pytest.fixture(scope="session")
def secured_ml(elasticsearch_url, tmp_path_factory):
    """A front with machine learning, TLS and authentication, and the CA certificate that its clients need."""
    ca, folder = trustme.CA(), tmp_path_factory.mktemp("secured")
    with ml_front(elasticsearch_url, folder=folder / "models", ca=ca) as front:
        yield front, ca_file(ca, folder)


@pytest.fixture(scope="session")
def upload_requests(secured_ml, tiny_text_model):
    """The requests with which eland, by user and password, brought the model `m` to the secured front."""
    front, ca_certs = secured_ml
    done = import_model(front.url, tiny_text_model, "--start", *with_password(ca_certs))
    assert done.returncode == 0, done.stderr
    return list(front.requests)


@pytest.fixture(scope="session")
def uploaded_model(secured_ml, upload_requests, tmp_path_factory):
    """The model that the front received from eland; a copy, because tests may delete the front's own."""
    model = secured_ml[0].models["m"]
    copied = shutil.copytree(model.folder, tmp_path_factory.mktemp("uploaded") / "m")
    return dataclasses.replace(model, folder=copied, deployment=None)


@pytest.fixture(scope="session")
def open_ml(elasticsearch_url, tmp_path_factory, uploaded_model):
    """A front with machine learning, without TLS and passwords; the model `m` is started."""
    with ml_front(elasticsearch_url, folder=tmp_path_factory.mktemp("open")) as front:
        upload(front, uploaded_model, "m")
        ok(front, "POST", f"{M}/deployment/_start")
        yield front


@pytest.fixture
def ml(open_ml):
    """The same front, in its first state before and after each test."""
    open_ml.forget()
    yield open_ml
    open_ml.clear()
    open_ml.licence, open_ml.ml_enabled, open_ml.models.memory = "trial", True, 2 * 2**30
    for model in open_ml.models:
        if model.model_id != "m":
            open_ml.models.delete(model.model_id, force=True)


@pytest.fixture(scope="session")
def forty_photos(cluster):
    """The name of an index of forty documents with seeded embeddings."""
    vectors = np.random.default_rng(0).normal(size=(40, 512))
    mappings = {"properties": {"embedding": {"type": "dense_vector", "dims": 512}}}
    cluster.client.indices.create(index="forty-photos", mappings=mappings)
    for number, vector in enumerate(vectors):
        cluster.client.index(index="forty-photos", id=str(number), document={"embedding": vector})
    cluster.client.indices.refresh(index="forty-photos")
    yield "forty-photos"
    ImageIndex(cluster, name="forty-photos").drop()
