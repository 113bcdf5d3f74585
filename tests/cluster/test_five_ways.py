"""One set of photos, indexed in five ways: by one run over a folder, S3 and HDFS, by an array job, and by Spark."""

import shutil
import time
from dataclasses import replace

import pytest

from image_embeddings.config import load_settings
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing.runs import index_photos
from image_embeddings.indexing.share import Share
from tests.cluster.spark_package import JOB, make_package
from tests.fakes import RecordedProgress
from tests.server.album import contents
from tests.worded_photos import xmp

pytestmark = [pytest.mark.server, pytest.mark.slow]

WAYS = ("folder", "s3", "hdfs", "array", "spark")


@pytest.fixture
def photos(album, tmp_path):
    """The photos of the album, one of them with a sidecar."""
    folder = tmp_path / "photos"
    shutil.copytree(album.after, folder)
    (folder / "new" / "1.png.xmp").write_bytes(xmp(captions={"x-default": "a red door"}))
    return folder


@pytest.fixture
def prefix(cluster):
    """The beginning of the names of five indices, which are removed after the test."""
    prefix = f"test-ways-{time.time_ns()}"
    yield prefix
    for way in WAYS:
        ImageIndex(cluster, name=f"{prefix}-{way}").drop()
        cluster.client.indices.delete(index=f"{prefix}-{way}-runs", ignore_unavailable=True)


def test_five_ways_make_equal_indices(
    photos, prefix, cluster, elasticsearch_url, data_dir, s3_server, bucket, hdfs, spark, tmp_path
):
    environ = {"ES_HOST": elasticsearch_url, "S3_ENDPOINT": s3_server, "IMAGE_MODEL": "conse"}
    bucket_name, client = bucket
    for path in photos.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), bucket_name, f"photos/{path.relative_to(photos).as_posix()}")
    hdfs.put(photos, "/photos")
    addresses = {
        "folder": photos,
        "s3": f"s3://{bucket_name}/photos",
        "hdfs": f"{hdfs.web_url.replace('http', 'webhdfs')}/photos",
    }
    for way, address in addresses.items():
        run(environ, f"{prefix}-{way}", address, data_dir)
    for share in [Share(number=number, of=3) for number in (2, 3, 1)] + [None]:
        run(environ, f"{prefix}-array", addresses["s3"], data_dir, share=share)
    spark_environ = {**environ, "INDEX_NAME": f"{prefix}-spark", "DATA_DIR": str(data_dir)}
    on_executors = {"DATA_DIR": str(data_dir), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret-of-tests"}
    done = spark.submit(
        JOB,
        addresses["hdfs"],
        "--part-photos",
        10,
        py_files=[make_package(tmp_path)],
        conf={f"spark.executorEnv.{name}": value for name, value in on_executors.items()},
        env=spark_environ,
    )
    assert done.code == 0, done.log
    found = {way: comparable(contents(ImageIndex(cluster, name=f"{prefix}-{way}"))) for way in WAYS}
    assert len(found["folder"]) == 92
    assert found["folder"]["new/1.png"][0].caption == "a red door"
    for way in WAYS[1:]:
        assert found[way] == found["folder"], way


def run(environ, name, address, data_dir, **choices):
    settings = load_settings({**environ, "INDEX_NAME": name, "IMAGE_DIR": str(address)}, data_dir=data_dir)
    index_photos(settings, progress=RecordedProgress, **choices)


def comparable(found):
    """Return the contents without what says how each kind of store keeps its files."""
    kept = {"mtime_ns": 0, "ctime_ns": 0, "inode": 0, "etag": None, "sidecar_state": None}
    return {image_id: (replace(document, **kept), embedding) for image_id, (document, embedding) in found.items()}
