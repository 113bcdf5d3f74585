"""The wheel: its content, and that it works away from the clone, unpacked or from a zip file.

The build backend of this environment builds it from a copy of the project. It uses this environment's libraries. The
commands run in a folder of their own.
"""

import csv
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from image_embeddings.config import ROOT, SAMPLE_PHOTOS
from tests.pictures import colour_photos
from tests.waiting import LONG

REQUIREMENTS = sorted(path.name for path in ROOT.glob("requirements*.txt"))
EXTRAS = {name: f"requirements-{name}.txt" for name in ("parquet", "s3", "spark")}
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
SCRIPT = """
import importlib.metadata, sys
sys.argv[0] = "image-search"
(found,) = importlib.metadata.entry_points(group="console_scripts", name="image-search")
found.load()()
"""
SETTINGS = """
import json
from image_embeddings import load_settings
print(json.dumps({name: str(value) for name, value in vars(load_settings()).items()}))
"""
ENCODE = """
import sys
from io import BytesIO
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import image_embeddings
from image_embeddings.encoders import ConseEncoder
assert image_embeddings.__file__.startswith(sys.argv[1]), image_embeddings.__file__
encoder = ConseEncoder(networks=Path(sys.argv[2]))
photo = image_embeddings.decode(Path(sys.argv[3]).read_bytes(), max_pixels=10**7, what="photo").image
(photo,), texts = encoder.encode_images([photo]), encoder.encode_texts(["a lion", "a car"])
print(*texts @ photo)
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of the project in its present state."""
    source, dist = tmp_path_factory.mktemp("source") / "project", tmp_path_factory.mktemp("dist")
    ignored = shutil.ignore_patterns("__pycache__", "ca.crt", "*.mo")
    for name in ("app", "image_embeddings"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", *REQUIREMENTS, "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "app" / "conf" / "ca.crt").write_text("somebody's own")
    subprocess.run([sys.executable, "-c", BUILD, str(dist)], cwd=source, check=True, capture_output=True, text=True)
    (built,) = dist.iterdir()
    return built


@pytest.fixture(scope="session")
def unpacked(wheel, tmp_path_factory):
    """The folder that an installer would make of the wheel."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def away(tmp_path):
    """A current folder away from the clone, with an `app` that is not ours."""
    folder = tmp_path / "away"
    folder.mkdir()
    (folder / "app.py").write_text("raise SystemExit('this is not the web app')\n")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A DATA_DIR that the tests share for the network of the model conse: the first test makes it."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def run(unpacked, away, tmp_path):
    """Run a program of the installed package, as a user whose home is empty."""

    def go(program, *arguments, expect=0, **environ):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ES_", "XDG_", "IMAGE_"))}
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=away,
            env={**kept, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(unpacked), **environ},
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        assert done.returncode == expect, done.stderr
        return done.stdout

    return go


# Its content


def names_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("pattern", ["app/templates/**/*.html", "app/static/ui/*"])
def test_files_of_the_pages_are_in_the_wheel(wheel, pattern):
    files = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)}
    assert len(files) > 4
    assert files <= names_of(wheel)


def test_every_catalogue_is_there_compiled(wheel):
    sources = (path.relative_to(ROOT) for path in ROOT.glob("app/translations/*/*/messages.po"))
    catalogues = {name for name in names_of(wheel) if name.startswith("app/translations/")}
    assert catalogues == {path.with_suffix(".mo").as_posix() for path in sources}


def test_data_of_the_library_and_the_servers_settings_are_in_the_wheel(wheel):
    data = {path for path in ROOT.glob("image_embeddings/**/*.*") if path.suffix not in (".py", ".pyc")}
    assert {path.suffix for path in data} == {".npz", ".txt", ".jar", ".java"}
    expected = {path.relative_to(ROOT).as_posix() for path in data}
    assert {*expected, "app/gunicorn.conf.py", "image_embeddings/create-image-embeddings.py"} <= names_of(wheel)


def test_sample_photos_come_with_credits_captions_and_licence(wheel):
    with (ROOT / "tools" / "sample_photos.csv").open(encoding="utf-8", newline="") as table:
        photos = {row["target"] for row in csv.DictReader(table)}
    expected = {f"app/static/images/{name}" for name in {*photos, "CREDITS.md", "GPL-2.txt", "captions.csv"}}
    assert expected <= names_of(wheel)


def test_nothing_else_is_in_the_wheel(wheel):
    names = names_of(wheel)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"app", "image_embeddings"}
    assert not {name for name in names if "__pycache__" in name or name.startswith("app/conf/")}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def lines_of(file):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and line[0] not in "#-"]


def test_its_requirements_are_those_of_requirements_txt_and_each_extra_has_a_file(unpacked):
    (made,) = importlib.metadata.distributions(name="image-search", path=[str(unpacked)])
    extras = [f'{line}; extra == "{name}"' for name, file in EXTRAS.items() for line in lines_of(file)]
    assert made.requires == [*lines_of("requirements.txt"), *extras]


# Its use


def test_help_shows_the_name_of_the_program(run):
    assert run(SCRIPT, "--help").startswith("Usage: image-search [OPTIONS] COMMAND")


def test_settings_are_those_of_the_user_and_of_the_current_folder(run, unpacked, away, tmp_path):
    (away / ".env").write_text("INDEX_NAME=mine\nES_CA_CERTS=ca.pem\n")
    settings = json.loads(run(SETTINGS))
    assert settings["index_name"] == "mine"
    assert settings["es_ca_certs"] == str(away / "ca.pem")
    assert settings["image_dir"] == str(unpacked / SAMPLE_PHOTOS.relative_to(ROOT))
    assert settings["data_dir"].startswith(str(tmp_path / "home"))
    assert json.loads(run(SETTINGS, DATA_DIR="data"))["data_dir"] == str(away / "data")


@pytest.mark.server
def test_photos_are_indexed_and_found(run, elasticsearch_url, tmp_path, data, name):
    photos = colour_photos(tmp_path / "photos")
    environ = {"ES_HOST": elasticsearch_url, "INDEX_NAME": name, "IMAGE_MODEL": "conse", "DATA_DIR": str(data)}
    report = json.loads(run(SCRIPT, "index", str(photos), "--json", **environ))
    assert (report["found"], report["encoded"]) == (6, 6)
    found = json.loads(run(SCRIPT, "search", "red", "--json", "-k", "3", **environ))
    assert len(found["hits"]) == 3


def test_the_library_encodes_from_a_zip_file(wheel, away, tmp_path, data):
    library = tmp_path / "library.zip"
    shutil.copy(wheel, library)
    photo = SAMPLE_PHOTOS / "cats" / "lion.jpg"
    command = [sys.executable, "-c", ENCODE, str(library), str(data / "networks"), str(photo)]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=away, env=environ, capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 0, done.stderr
    lion, car = map(float, done.stdout.split())
    assert lion > car + 0.1
