"""A further keyword facet needs one row: a test adds it and looks for it in all places that show facets."""

import json
import subprocess
import sys

import pytest

from tests.commands import ROOT

pytestmark = pytest.mark.server


@pytest.fixture
def found(elasticsearch_url, name):
    program = [sys.executable, "-m", "tests.server.further_facet", elasticsearch_url, name]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_further_facet_is_in_the_mapping_the_api_the_page_and_the_description(found):
    [index] = found["mapping"].values()
    assert index["mappings"]["properties"]["further_facet"] == {"type": "keyword"}
    assert (found["refused"], found["hits"]) == (0, ["1.jpg", "2.jpg"])
    assert found["counts"] == [{"value": "Leica", "count": 2}, {"value": "Canon", "count": 1}]
    assert found["parameter"]["description"].startswith("Only photos by a camera of this maker.")
    assert found["facet"]["type"] == "array"
    assert "<legend>Maker of the camera</legend>" in found["page"]
    assert 'name="further_facet" value="Leica" checked' in found["page"]
    assert "Maker of the camera: Leica" in found["page"]
