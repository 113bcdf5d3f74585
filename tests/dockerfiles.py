"""Readers of the Docker files, for the tests: instructions, ignore rules, and compose's ${VARIABLE} syntax."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<operator>[-?])(?P<rest>[^}]*))?\})")


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return (instruction, arguments) in order, with continued lines joined and comments removed."""
    lines = [line for line in dockerfile.read_text().splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def in_build_context(path: str, dockerignore: Path) -> bool:
    """Return whether .dockerignore includes `path`: the last rule that matches it or a parent decides."""
    pure = PurePosixPath(path)
    candidates = [str(pure), *map(str, pure.parents)]
    kept = True
    for rule in dockerignore.read_text().splitlines():
        if rule and not rule.startswith("#"):
            pattern = rule.removeprefix("!")
            patterns = {pattern, pattern.removeprefix("**/")}
            if any(_matches(candidate, each) for candidate in candidates for each in patterns):
                kept = rule.startswith("!")
    return kept


def _matches(path: str, pattern: str) -> bool:
    """Match as Docker does: a star does not match a slash."""
    parts, pattern_parts = path.split("/"), pattern.split("/")
    if pattern_parts[0] == "**":
        return any(_matches("/".join(parts[start:]), "/".join(pattern_parts[1:])) for start in range(len(parts)))
    return len(parts) == len(pattern_parts) and all(map(fnmatchcase, parts, pattern_parts)) and path != "."


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` with ${A}, ${A:-default}, ${A:?message} and $$ replaced as docker compose does.

    Raises:
        LookupError: a required variable is empty.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        value = environ.get(match["name"], "")
        if match["operator"] == "?" and not value:
            raise LookupError(f"{match['name']}: {match['rest']}")
        return value or (match["rest"] if match["operator"] == "-" else "")

    return VARIABLE.sub(replacement, text)


def env_file(path: Path) -> dict[str, str]:
    """Return the variables of a .env file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
