"""Write what the app consists of, as a CycloneDX list (sbom.json): the packages of .venv, and the embedded node's jars.

make sbom
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.embedded_node.jars import read_coordinates, read_hashes  # noqa: E402

SPECIFICATION = "1.6"


def jar_components() -> list[dict[str, Any]]:
    """Return the jars of the embedded node as components of CycloneDX."""
    hashes = read_hashes()
    components = []
    for coordinates in read_coordinates():
        group, name, version = coordinates.split(":")
        purl = f"pkg:maven/{group}/{name}@{version}?type=jar"
        components.append(
            {
                "type": "library",
                "bom-ref": purl,
                "group": group,
                "name": name,
                "version": version,
                "purl": purl,
                "hashes": [{"alg": "SHA-256", "content": hashes[f"{name}-{version}.jar"]}],
            }
        )
    return components


def with_jars(packages: dict[str, Any]) -> dict[str, Any]:
    """Return a list of packages with the jars beside them. The app depends on them all, for they are one node."""
    jars = jar_components()
    refs = [jar["bom-ref"] for jar in jars]
    app = packages["metadata"]["component"]["bom-ref"]
    depends = {found["ref"]: dict(found) for found in packages.get("dependencies", [])}
    own = depends.setdefault(app, {"ref": app})
    own["dependsOn"] = sorted({*own.get("dependsOn", []), *refs})
    for ref in refs:
        depends[ref] = {"ref": ref}
    return {**packages, "components": [*packages["components"], *jars], "dependencies": list(depends.values())}


def read_packages(python: str) -> dict[str, Any]:
    """Return the packages of a Python environment, as cyclonedx-py lists them."""
    command = ["cyclonedx-py", "environment", python, "--pyproject", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, "--sv", SPECIFICATION, "--output-reproducible"], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(text: str) -> None:
    """Raise ValueError unless the text is valid CycloneDX."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    if error := JsonStrictValidator(SchemaVersion.from_version(SPECIFICATION)).validate_str(text):
        raise ValueError(f"The list is no CycloneDX {SPECIFICATION}: {error}")


def main(python: str, file: str) -> None:
    """Write the list of an environment and the jars into a file."""
    made = with_jars(read_packages(python))
    text = json.dumps(made, indent=2) + "\n"
    check(text)
    Path(file).write_text(text, encoding="utf-8")
    print(f"{file}: {len(made['components'])} components")


if __name__ == "__main__":
    main(*sys.argv[1:])
