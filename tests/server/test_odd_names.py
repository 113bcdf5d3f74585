"""Every name that indexing takes opens in the web app."""

from urllib.parse import quote

import pytest

from image_embeddings.indexing import pipeline
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.report import IndexOptions
from image_embeddings.photos.thumbnails import Thumbnails
from image_embeddings.sources.folder_source import FolderSource
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import save
from tests.server.web_client import make_app

pytestmark = pytest.mark.server

# U+0001 to U+00FF but for the separator of folders, and what text processing treats in ways of its own
CHARACTERS = [chr(code) for code in range(1, 0x100) if chr(code) != "/"]
CHARACTERS += list("\u0301\u2028\u2029\u200b\u200f\u202e\ufeff\u0130🐈家")
NAMES = [f"a{character}b.png" for character in CHARACTERS] + [" lead.png", "%2e%2e.png", "b..png", "-x.png"]
FOLDERS = [f"f{character}g/a.png" for character in "\n\x07#?%&;\\\"'+ \u202e🐈"]


def test_names_open_or_are_refused_with_the_reason(index, tmp_path):
    for name in [*NAMES, *FOLDERS]:
        save(tmp_path / "photos" / name, colour="red", size=(2, 2))
    report = pipeline.run(
        make_plan(FolderSource(tmp_path / "photos"), indexed={}),
        index=index,
        encoder=ColourEncoder(),
        thumbnails=Thumbnails(tmp_path / "data" / "thumbnails"),
        progress=RecordedProgress(),
        options=IndexOptions(),
    )
    client = make_app(index, tmp_path).test_client()
    indexed = index.documents.file_states()
    assert len(indexed) + len(report.skipped) == len(NAMES) + len(FOLDERS)
    assert {item.reason.partition(" character ")[0] for item in report.skipped} == {"its name has the control"}
    for image_id in indexed:
        for place in ("image", "thumbnail", "api/v1/images"):
            answer = client.get(f"/{place}/{quote(image_id)}")
            assert answer.status_code == 200, (place, image_id)
            headers = str(answer.headers)
            assert headers.replace("\r\n", "").isprintable(), headers
