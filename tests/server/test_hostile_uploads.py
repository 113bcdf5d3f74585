"""Uploads and photos that crash, hold up or overload the processes that decode them: the web app and a run go on."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from image_embeddings.indexing import pipeline
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.decoders import INDEXING, SERVING, Decoders
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from tests.fakes import ColourEncoder, RecordedProgress
from tests.photos.test_decoders import FAULTS, fault, saved
from tests.server.filling import fill
from tests.server.web_client import make_app, shown, upload
from tests.waiting import LONG, wait_for

pytestmark = pytest.mark.server


@pytest.fixture
def app(index, tmp_path):
    """The web app with decoders that have faults, of which two work at a time and nobody waits for a third."""
    fill(index, tmp_path)
    limits = replace(SERVING, patience=0.01, seconds=LONG, cpu_seconds=LONG)
    app = make_app(index, tmp_path)
    with closing(Decoders(2, limits=limits, modules=FAULTS)) as decoders:
        app.extensions["services"].decoders = decoders
        yield app


def test_an_upload_that_crashes_its_decoder_costs_that_request(app):
    web = app.test_client()
    for address in ("/similar_image", "/api/v1/search"):
        refused = web.post(address, data=upload(fault("crash")))
        assert (refused.status_code, "its decoder crashed" in refused.text) == (415, True)
    assert shown(web.post("/similar_image", data=upload(saved())))


def test_uploads_that_hold_up_all_decoders_leave_the_rest_of_the_app_alone(app, tmp_path):
    marks = [tmp_path / "first", tmp_path / "second"]
    with ThreadPoolExecutor(2) as pool:
        held = [
            pool.submit(app.test_client().post, "/similar_image", data=upload(fault("wait", mark))) for mark in marks
        ]
        wait_for(lambda: all(mark.exists() for mark in marks))
        for address in ("/similar_image", "/api/v1/search"):
            refused = app.test_client().post(address, data=upload(saved()))
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
            assert "Too many photos are decoded now" in refused.text
        assert [app.test_client().get(address).status_code for address in ("/healthz", "/image_search?q=red")] == [
            200,
            200,
        ]
        for mark in marks:
            mark.unlink()
        assert [answer.result(LONG).status_code for answer in held] == [200, 200]


def test_a_photo_that_crashes_its_decoder_costs_a_run_that_photo(index, photos, tmp_path):
    for word, name in (("crash", "a.jpg"), ("abort", "warm/b.jpg"), ("devour", "c.jpg")):
        (photos / name).write_bytes(fault(word))
    with closing(Decoders(3, limits=INDEXING, modules=FAULTS)) as decoders:
        report = pipeline.run(
            make_plan(FolderSource(photos), indexed={}),
            index=index,
            encoder=ColourEncoder(),
            thumbnails=Thumbnails(tmp_path / "thumbnails"),
            progress=RecordedProgress(),
            options=IndexOptions(thread_count=3),
            decoders=decoders,
        )
    reasons = {skipped.image_id: skipped.reason for skipped in report.skipped}
    assert (report.encoded, index.count(), sorted(reasons)) == (6, 6, ["a.jpg", "c.jpg", "warm/b.jpg"])
    assert "its decoder crashed" in reasons["a.jpg"]
    assert "its decoder crashed" in reasons["warm/b.jpg"]
    assert "needs more memory" in reasons["c.jpg"]
