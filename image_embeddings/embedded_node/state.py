"""The embedded node's small files. The commands and the node's own process read and write them."""

import json
import os
from pathlib import Path
from typing import Any

LOCK_NAME = "process.lock"
STATE_NAME = "process.json"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in the file at `path`, or an empty dict if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to the file at `path`. If this is interrupted, the file stays as it was."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
