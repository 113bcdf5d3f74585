"""tools/sbom.py: the list of what the app consists of."""

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image_embeddings.config import ROOT
from image_embeddings.embedded_node.jars import VERSION, read_hashes
from tools.sbom import app_requirements, bill_of, jar_components, needed_packages

LISTED = {
    "bomFormat": "CycloneDX",
    "metadata": {"component": {"bom-ref": "root", "type": "application", "name": "image-search"}},
    "components": [
        {"type": "library", "bom-ref": f"{name}==1", "name": name, "version": "1"}
        for name in ("Flask", "Jinja2", "pytest")
    ],
    "dependencies": [
        {"ref": "root"},
        {"ref": "Flask==1", "dependsOn": ["Jinja2==1", "pytest==1"]},
        {"ref": "pytest==1"},
    ],
}


def test_every_jar_is_a_component_with_its_address_and_hash():
    jars = jar_components()
    found = {f"{jar['name']}-{jar['version']}.jar": jar["hashes"][0]["content"] for jar in jars}
    assert found == read_hashes()
    assert f"pkg:maven/org.elasticsearch/elasticsearch@{VERSION}?type=jar" in {jar["purl"] for jar in jars}
    assert all(re.fullmatch(r"pkg:maven/[\w.-]+/[\w.-]+@[\w.-]+\?type=jar", jar["purl"]) for jar in jars)


def test_packages_are_those_that_the_lock_files_name():
    locked = set()
    for name in ("requirements.lock", "requirements-torch.lock"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        wanted = [Requirement(line.rstrip(" \\")) for line in lines if line and line[0] not in " #"]
        locked |= {canonicalize_name(one.name) for one in wanted if not one.marker or one.marker.evaluate()}
    found = needed_packages(app_requirements())
    assert {"flask", "jinja2", "torch"} <= found
    # Other versions of Python and other builds of PyTorch need other packages.
    assert {name for name in found ^ locked if not name.startswith(("nvidia-", "triton", "backports-"))} == set()


def test_packages_of_the_tests_are_left_out():
    made = bill_of(LISTED, direct={"flask"}, needed={"flask", "jinja2"})
    assert [one["name"] for one in made["components"][:3]] == ["Flask", "Jinja2", jar_components()[0]["name"]]
    assert {"ref": "Flask==1", "dependsOn": ["Jinja2==1"]} in made["dependencies"]


def test_the_app_depends_on_its_requirements_and_all_jars():
    made = bill_of(LISTED, direct={"flask"}, needed={"flask", "jinja2"})
    refs = {found["bom-ref"] for found in made["components"]}
    assert len(refs) == 2 + len(read_hashes())
    (app,) = [found for found in made["dependencies"] if found["ref"] == "root"]
    assert set(app["dependsOn"]) == refs - {"Jinja2==1"}
    assert {found["ref"] for found in made["dependencies"]} == refs | {"root"}
