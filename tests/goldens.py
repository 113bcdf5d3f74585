"""Golden files: what others read, as it was when someone last looked. Rewritten only by `pytest --rewrite-goldens`."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
rewrite = False  # set by conftest.py


def check_golden(name: str, value: Any) -> None:
    """Asserts that `value` (text, or what JSON can hold) is what the file of that name says; a missing file fails."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    path = FOLDER / name
    if rewrite:
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"golden file {name} is missing: pytest --rewrite-goldens"
    assert text == path.read_text(encoding="utf-8")
