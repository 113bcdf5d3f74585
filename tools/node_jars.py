"""Write the list of the embedded node's jars anew, for the version in image_embeddings/embedded_node/jars.py.

Each line has Maven coordinates and the SHA-256 of the jar. Jars are fetched from Maven Central alone, and each is held
against the SHA-1 that is published there beside it.

.venv/bin/python tools/node_jars.py
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.embedded_node.jars import VERSION  # noqa: E402

LIST = ROOT / "image_embeddings" / "embedded_node" / "jars.txt"
ROOTS = (f"org.elasticsearch:elasticsearch:{VERSION}", f"org.elasticsearch.plugin:transport-netty4:{VERSION}")


def resolve_coordinates(roots: Sequence[str] = ROOTS, *, repository: Path | None = None) -> list[str]:
    """Return the sorted coordinates of `roots` (default: Elasticsearch, its HTTP module) and of all they need to run.

    `repository` is the Maven repository for POM files (default: the user's).
    """
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repository, remote_repos={"central": MAVEN_CENTRAL_URL})
    inputs, others = context.resolver.resolve([context.create_dependency(coordinates) for coordinates in roots])
    needed = [*inputs, *(found for found in others if found.scope in ("compile", "runtime"))]
    return sorted({f"{found.groupId}:{found.artifactId}:{found.version}" for found in needed})


def read_sha256(coordinates: str) -> str:
    """Return the SHA-256 of a jar on Maven Central. Raise ValueError if the SHA-1 beside it is that of another file."""
    from jgo.constants import MAVEN_CENTRAL_URL

    group, artifact, version = coordinates.split(":")
    address = f"{MAVEN_CENTRAL_URL}/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"
    jar, published = (requests.get(f"{address}{suffix}", timeout=60) for suffix in ("", ".sha1"))
    jar.raise_for_status()
    published.raise_for_status()
    if hashlib.sha1(jar.content, usedforsecurity=False).hexdigest() != published.text.split()[0]:
        raise ValueError(f"{address} is not the file that its SHA-1 was made of.")
    return hashlib.sha256(jar.content).hexdigest()


def write_list(file: Path, roots: Sequence[str] = ROOTS) -> None:
    """Write the list of the jars that `roots` need: coordinates and SHA-256."""
    lines = (f"{found} {read_sha256(found)}\n" for found in resolve_coordinates(roots))
    file.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write_list(LIST)
