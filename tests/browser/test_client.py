"""The client of docs/client.py and its example in docs/api.md, against the web app on the sample photos."""

import importlib.util
import re
import subprocess
import sys

import pytest
import requests

from tests.browser.webapp import PHOTOS, ROOT

pytestmark = [pytest.mark.browser, pytest.mark.server]

PATH = ROOT / "docs" / "client.py"
URL = "http://127.0.0.1:5001"


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("client", PATH)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def client(module, address):
    client = module.Client(f"{address}/")
    with client.session:
        yield client


def test_the_example_of_the_docs_runs(address, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    assert URL in example
    script = tmp_path / "example.py"
    script.write_text(example.replace(URL, address))
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env={"PYTHONPATH": str(PATH.parent)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *dogs, last = done.stdout.splitlines()
    assert re.fullmatch(r"[0-3] \['cats/[^']+', '[^']+', '[^']+'\]", first)
    assert dogs[0].startswith("1 dogs/")
    assert len(dogs) == len(list((PHOTOS / "dogs").iterdir()))
    assert last == "image_not_found"


def test_the_command_line(address):
    options = ["--url", address, "-k", "2", "--image", str(PHOTOS / "cats" / "tiger.jpg")]
    command = [sys.executable, str(PATH), "a tiger", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert next(line.split()[1] for line in done.stdout.splitlines()) == "cats/tiger.jpg"
    refused = subprocess.run([*command, "-k", "0"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr[:6]) == (1, "Error:")


def test_a_photo_file_with_other_parts(client):
    photo = PHOTOS / "cats" / "tiger.jpg"
    found = client.search(image=photo, without=["people", "snow"], k=1, fold=True)
    assert [hit["image_id"] for hit in found["hits"]] == ["cats/tiger.jpg"]
    assert client.file("cats/tiger.jpg") == photo.read_bytes()


def test_pages_follow_one_another_without_gaps_or_duplicates(client):
    total = client.status()["total"]
    names = [hit["image_id"] for hit in client.hits("a bird", page_size=50)]
    assert len(set(names)) == len(names) == total
    assert names[:70] == [hit["image_id"] for hit in client.hits("a bird", most=70, page_size=50)]


def test_a_refusal_of_the_server_is_an_error_with_its_code(client, module):
    with pytest.raises(module.ApiError, match=r"k.*\[.*, request [0-9a-f]{32}\]") as refused:
        client.search("a bird", k=0)
    assert refused.value.code
    with pytest.raises(requests.HTTPError, match="404"):
        client.file("nope.jpg")
