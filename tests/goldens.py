"""Golden files: output for readers, as it was last reviewed. Only `pytest --rewrite-goldens` rewrites them."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
rewrite = False  # set by conftest.py


def check_golden(name: str, value: Any) -> None:
    """Assert that `value` (text, or JSON data) equals the file of that name; a missing file fails."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path = FOLDER / name
    if rewrite:
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"golden file {name} is missing: pytest --rewrite-goldens"
    assert text == path.read_text(encoding="utf-8")
