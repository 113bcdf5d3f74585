"""Photos on a real HDFS are indexed though one of its DataNodes dies."""

import itertools

import pytest

from image_embeddings.config import load_settings
from image_embeddings.es.image_index import ImageIndex
from image_embeddings.indexing.runs import Indexing
from tests.fakes import ColourEncoder, RecordedProgress
from tests.pictures import save
from tests.server.album import OPTIONS

pytestmark = [pytest.mark.server, pytest.mark.slow]


class ColourRuns(Indexing):
    """Runs with an encoder that needs no network."""

    def _choose_encoder(self, built_with):
        return ColourEncoder()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_datanode_that_dies_costs_no_photo(hdfs, elasticsearch_url, cluster, name, tmp_path, victim):
    for number, colour in enumerate(itertools.product((0, 120, 240), repeat=3)):
        save(tmp_path / "photos" / f"{number}.png", colour=colour)
    hdfs.put(tmp_path / "photos", f"/photos-{victim}")
    address = f"{hdfs.web_url.replace('http', 'webhdfs')}/photos-{victim}"
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "IMAGE_DIR": address}
    settings = load_settings({**environ, "DATA_DIR": str(tmp_path / "data")})

    class Killing(RecordedProgress):
        def update(self, n=1, /):
            if self.done < 8 <= self.done + n:
                hdfs.kill_datanode(victim)
            return super().update(n)

    report = ColourRuns(settings, options=OPTIONS).run(progress=lambda total: Killing())
    assert (report.encoded, report.skipped) == (27, [])
    assert ImageIndex(cluster, name=name).count() == 27
