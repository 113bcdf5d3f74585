"""An archive of Elasticsearch's classes, with which Java starts the tests' nodes in half the CPU time.

At each start, Java finds, checks and links about fourteen thousand classes in the jars. From the archive it takes them
as they are in memory. It takes nothing from an archive that does not belong to its version and to the jars, which it
knows by their paths.
"""

import hashlib
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from filelock import FileLock, Timeout

from image_embeddings.embedded_node.java import choose_java
from image_embeddings.embedded_node.node import EmbeddedNode
from image_embeddings.embedded_node.plugin import classpath
from tests.waiting import LONG

# Java compiles its code only once, quickly, and not again to make it fast: the tests' nodes live for a short time, and
# their indices are small. It does so earlier than by default, after 80 calls of a method in place of 200: eleven runs
# over an album took 17 CPU seconds of a node, and 23 by default. It is silent about an archive that it does not use.
OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:CompileThresholdScaling=0.4", "-Xlog:disable", "-Xlog:all=error:stderr")


def use_archive(jars: Path) -> None:
    """Let all nodes that this process starts from now on use an archive of the classes in the jars, beside them.

    Make it unless another process does that.
    """
    archive = archive_of(jars)
    try:
        with FileLock(f"{archive}.lock", timeout=0):
            if not archive.exists():
                _make(archive, jars=jars)
    except Timeout:
        pass  # until the other process is ready, Java goes without the archive
    set_options(f"-XX:SharedArchiveFile={archive}")


def archive_of(jars: Path) -> Path:
    """Return where the archive is. Copies of the jars elsewhere, or later ones, need another one."""
    files = [(str(jar), jar.stat().st_mtime_ns) for jar in classpath(jars)]
    belongs_to = repr((files, str(choose_java(None, notify=print).home)))
    return jars.with_name(f"classes-{hashlib.sha256(belongs_to.encode()).hexdigest()[:12]}.jsa")


def set_options(*options: str) -> None:
    """Set the options of all Javas that this process starts from now on."""
    os.environ["JAVA_TOOL_OPTIONS"] = " ".join(f'"{option}"' for option in (*OPTIONS, *options))


def _make(archive: Path, *, jars: Path) -> None:
    """Write the archive of the classes that a node loads while it starts."""
    java = choose_java(None, notify=print)
    with TemporaryDirectory(dir=archive.parent) as folder, pytest.MonkeyPatch.context() as changed:
        names, unfinished = Path(folder, "names.txt"), Path(folder, "classes.jsa")
        changed.setenv("JAVA_TOOL_OPTIONS", " ".join((*OPTIONS, f'"-XX:DumpLoadedClassList={names}"')))
        node = EmbeddedNode(Path(folder, "node"), heap="256m", jars=jars, start_timeout=LONG)
        node.start()
        node.stop()
        changed.delenv("JAVA_TOOL_OPTIONS")
        command = [java.home / "bin" / "java", "-Xshare:dump", "-XX:+UseSerialGC", "-Xlog:disable"]
        command += [f"-XX:SharedClassListFile={names}", f"-XX:SharedArchiveFile={unfinished}"]
        command += ["-cp", ":".join(map(str, classpath(jars)))]
        subprocess.run(command, check=True, timeout=LONG, stdout=subprocess.DEVNULL)
        unfinished.replace(archive)
