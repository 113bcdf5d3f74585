"""Write the list of the embedded node's jars anew, for the version in image_embeddings/embedded_node/jars.py.

.venv/bin/python tools/node_jars.py
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.embedded_node.jars import VERSION  # noqa: E402

LIST = ROOT / "image_embeddings" / "embedded_node" / "jars.txt"
ROOTS = (f"org.elasticsearch:elasticsearch:{VERSION}", f"org.elasticsearch.plugin:transport-netty4:{VERSION}")


def resolve_coordinates(repository: Path | None = None) -> list[str]:
    """Return the sorted coordinates of Elasticsearch, of its HTTP module, and of all that they need to run.

    `repository` is the Maven repository for POM files (default: the user's).
    """
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=repository, remote_repos={"central": MAVEN_CENTRAL_URL})
    inputs, others = context.resolver.resolve([context.create_dependency(coordinates) for coordinates in ROOTS])
    needed = [*inputs, *(found for found in others if found.scope in ("compile", "runtime"))]
    return sorted({f"{found.groupId}:{found.artifactId}:{found.version}" for found in needed})


if __name__ == "__main__":
    LIST.write_text("".join(f"{coordinates}\n" for coordinates in resolve_coordinates()), encoding="utf-8")
