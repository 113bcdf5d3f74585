"""Hadoop's jars for tests, fetched once from Maven Central into pytest's cache.

hadoop_jars.txt has their coordinates and SHA-256. After a change of ROOT, `python -m tests.cluster.hadoop_jars` writes
it anew.
"""

import hashlib
from pathlib import Path

from filelock import FileLock

ROOT = "org.apache.hadoop:hadoop-client-minicluster:3.5.0"
_LIST = Path(__file__).with_name("hadoop_jars.txt")


def fetch_jars(folder: Path) -> list[Path]:
    """Return the jars, each from the Maven repository at `folder` or else from Maven Central.

    Fail if one is not that of the list, byte for byte.
    """
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    with FileLock(folder / "fetch.lock"):  # jgo's downloads are not safe beside one another
        context = MavenContext(repo_cache=folder, remote_repos={"central": MAVEN_CENTRAL_URL})
        lines = [line.split() for line in _LIST.read_text("utf-8").splitlines()]
        return [_fetch(context.create_dependency(coordinates).artifact, sha256) for coordinates, sha256 in lines]


def _fetch(artifact, sha256: str) -> Path:
    jar = Path(artifact.resolve())
    if _sha256(jar) != sha256:  # an interrupted download has the final name, too
        jar.unlink()
        jar = Path(artifact.resolve())
    assert _sha256(jar) == sha256, f"{jar} is not the file of {_LIST}"
    return jar


def _sha256(jar: Path) -> str:
    return hashlib.sha256(jar.read_bytes()).hexdigest()


if __name__ == "__main__":
    from tools.node_jars import write_list

    write_list(_LIST, [ROOT])
