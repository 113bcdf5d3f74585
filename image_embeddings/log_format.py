"""The formats of log lines that LOG_FORMAT chooses from: text for people, or one JSON object a line."""

import json
import logging
import time
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

LOG_FORMATS = ("text", "json")
CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: controls, lone surrogates, line and paragraph separators

Fields = Callable[[], Mapping[str, Any]]


def nothing_more() -> Mapping[str, Any]:
    """Return no fields."""
    return {}


def log_formatter(log_format: str, *, fields: Fields = nothing_more) -> logging.Formatter:
    """Return the formatter for one of LOG_FORMATS. `fields` returns the current fields, which every line gets.

    A record's own fields, `extra={"fields": {...}}`, are only in JSON: its message says the same to people.
    """
    return JsonLines(fields) if log_format == "json" else TextLines(fields)


class TextLines(logging.Formatter):
    """Lines such as gunicorn's own. A message is always one line, and cannot control the terminal."""

    def __init__(self, fields: Fields) -> None:
        super().__init__("%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S %z]")
        self._fields = fields

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line, without a traceback."""
        in_brackets = "".join(f"[{value}] " for value in self._fields().values())
        record.message = in_brackets + printable(record.message)
        return super().formatMessage(record)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the fields."""

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._fields(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def printable(text: str, *, plain: str = "") -> str:
    """Return `text` with all characters that control a terminal escaped, except those in `plain`.

    File names and error messages may contain any characters.
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in CONTROLS and char not in plain else char
        for char in text
    )
