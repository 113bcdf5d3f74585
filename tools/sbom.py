"""Write what the app consists of, as a CycloneDX list (sbom.json): packages of Python, and the embedded node's jars.

make sbom

The packages are those of .venv that requirements.txt leads to: not what only the tests need.
"""

import json
import subprocess
import sys
from collections.abc import Collection, Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.embedded_node.jars import read_coordinates, read_hashes  # noqa: E402

SPECIFICATION = "1.6"
# The tool has an environment of its own, so that it is not among what it lists.
_TOOL = ("run", "--quiet", "--no-project", "--isolated", "--with", "cyclonedx-bom==7.5.0")


def app_requirements() -> list[Requirement]:
    """Return the requirements of requirements.txt; options of pip are none."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def needed_packages(requirements: Iterable[Requirement]) -> set[str]:
    """Return the canonical names of the packages that these requirements lead to, as they are installed."""
    needed, found = list(requirements), set()
    while needed:
        wanted = needed.pop()
        for extra in {"", *wanted.extras}:
            package = (canonicalize_name(wanted.name), extra)
            if package in found:
                continue
            found.add(package)
            further = map(Requirement, distribution(wanted.name).requires or ())
            needed += [each for each in further if not each.marker or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


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


def bill_of(listed: dict[str, Any], *, direct: Collection[str], needed: Collection[str]) -> dict[str, Any]:
    """Return a list of packages with only those that are `needed`, and with the jars.

    The app depends on the packages `direct` and on all jars, for they are one node. Names are canonical.
    """
    packages = [one for one in listed["components"] if canonicalize_name(one["name"]) in needed]
    jars = jar_components()
    refs = [one["bom-ref"] for one in (*packages, *jars)]
    edges = {one["ref"]: set(one.get("dependsOn", ())) for one in listed.get("dependencies", [])}
    app = listed["metadata"]["component"]["bom-ref"]
    edges[app] = {one["bom-ref"] for one in packages if canonicalize_name(one["name"]) in direct}
    edges[app] |= {jar["bom-ref"] for jar in jars}
    dependencies = [{"ref": ref, "dependsOn": sorted(edges.get(ref, set()).intersection(refs))} for ref in (app, *refs)]
    return {**listed, "components": [*packages, *jars], "dependencies": dependencies}


def _run_tool(*command: str, given: str = "") -> str:
    """Return what a command of the tool's environment prints; its warnings and errors are shown."""
    uv = Path(sys.executable).with_name("uv")
    return subprocess.run([uv, *_TOOL, *command], input=given, stdout=subprocess.PIPE, check=True, text=True).stdout


def main(file: str) -> None:
    """Write the list into a file, once it is valid. Raise CalledProcessError if it is not."""
    options = ("--pyproject", str(ROOT / "pyproject.toml"), "--sv", SPECIFICATION, "--output-reproducible")
    listed = json.loads(_run_tool("cyclonedx-py", "environment", sys.executable, *options))
    requirements = app_requirements()
    direct = {canonicalize_name(one.name) for one in requirements}
    bill = bill_of(listed, direct=direct, needed=needed_packages(requirements))
    text = json.dumps(bill, indent=2) + "\n"
    _run_tool("python", str(ROOT / "tools" / "check_sbom.py"), SPECIFICATION, given=text)
    Path(file).write_text(text, encoding="utf-8")
    print(f"{file}: {len(bill['components'])} components")


if __name__ == "__main__":
    main(*sys.argv[1:])
