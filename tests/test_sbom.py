"""tools/sbom.py: the jars of the embedded node in the list of what the app consists of."""

import re

from image_embeddings.embedded_node.jars import VERSION, read_hashes
from tools.sbom import jar_components, with_jars

PACKAGES = {
    "bomFormat": "CycloneDX",
    "metadata": {"component": {"bom-ref": "root", "type": "application", "name": "image-search"}},
    "components": [{"type": "library", "bom-ref": "flask==1", "name": "flask", "version": "1"}],
    "dependencies": [{"ref": "root", "dependsOn": ["flask==1"]}, {"ref": "flask==1"}],
}


def test_every_jar_is_a_component_with_its_address_and_hash():
    jars = jar_components()
    found = {f"{jar['name']}-{jar['version']}.jar": jar["hashes"][0]["content"] for jar in jars}
    assert found == read_hashes()
    assert f"pkg:maven/org.elasticsearch/elasticsearch@{VERSION}?type=jar" in {jar["purl"] for jar in jars}
    assert all(re.fullmatch(r"pkg:maven/[\w.-]+/[\w.-]+@[\w.-]+\?type=jar", jar["purl"]) for jar in jars)


def test_jars_stand_beside_the_packages_and_the_app_depends_on_both():
    made = with_jars(PACKAGES)
    assert made["components"][0]["name"] == "flask"
    refs = {found["bom-ref"] for found in made["components"]}
    assert len(refs) == 1 + len(read_hashes())
    (app,) = [found for found in made["dependencies"] if found["ref"] == "root"]
    assert set(app["dependsOn"]) == refs
    assert {found["ref"] for found in made["dependencies"]} == refs | {"root"}


def test_the_list_that_was_given_stays_as_it_is():
    with_jars(PACKAGES)
    assert PACKAGES["dependencies"][0]["dependsOn"] == ["flask==1"]
