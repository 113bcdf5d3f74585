"""The embedded node's small files, which the commands and the node's own process both read or write."""

import json
import os
from pathlib import Path
from typing import Any

LOCK_NAME = "process.lock"
STATE_NAME = "process.json"


def read_json(path: Path) -> dict[str, Any]:
    """What `path` holds, or nothing where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Leaves `path` with `content` or, if interrupted, as it was."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
