"""The embedded node's small files. The commands and the node's own process read and write them.

Only their owner can read them.
"""

import json
import os
from pathlib import Path
from typing import Any

LOCK_NAME = "process.lock"
STATE_NAME = "process.json"
TOKEN_NAME = "token"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file at `path`, or an empty dict if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to the file at `path`. If this is interrupted, the file stays as it was."""
    write_file(path, json.dumps(content).encode())


def read_token(home: Path) -> str:
    """Return the secret of the node of `home`, or an empty text if its file is missing or damaged."""
    try:
        return (home / TOKEN_NAME).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return ""


def write_token(home: Path, token: str) -> None:
    """Keep the secret of the node of `home`."""
    write_file(home / TOKEN_NAME, token.encode())


def write_file(path: Path, content: bytes) -> None:
    """Replace the file at `path` by one that nobody else can read, not even while it is written.

    Who has opened the older file still reads that one.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
