"""The formats of log lines that LOG_FORMAT chooses from: text for people, or one JSON object a line."""

import json
import logging
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

LOG_FORMATS = ("text", "json")
CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: controls, lone surrogates, line and paragraph separators
DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # of text: they show it in another order
MAX_MESSAGE = 8_000  # characters; a path of a request, the longest part of one, has at most 4,094 bytes
MAX_TRACEBACK_LINE = 500
MAX_FRAMES = 30
MAX_EARLIER = 5  # errors that led to the one with the traceback
INDENT = "    "

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

Fields = Callable[[], Mapping[str, Any]]


def nothing_more() -> Mapping[str, Any]:
    """Return no fields."""
    return {}


def log_formatter(log_format: str, *, fields: Fields = nothing_more) -> logging.Formatter:
    """Return the formatter for one of LOG_FORMATS. `fields` returns the current fields, which every line gets.

    A record's own fields, `extra={"fields": {...}}`, are only in JSON: its message says the same to people.
    """
    return JsonLines(fields) if log_format == "json" else TextLines(fields)


class _Lines(logging.Formatter):
    """What both formats share: bounded messages, and one traceback for each error.

    Values of a request may be in an exception's text, and so in a traceback. So each line of it is cut, and is indented
    in a text: it cannot be taken for a line of the log. Of the errors that led to an error, only type, text and place
    are shown.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Other handlers may have formatted the record before, so nothing that they kept is used."""
        record.exc_text = None
        try:
            return super().format(record)
        finally:
            record.exc_text = None

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """Return the traceback of an error, followed by a line for each error that led to it."""
        error = ei[1]
        if error is None:
            return ""
        summary = traceback.TracebackException.from_exception(error, limit=-MAX_FRAMES)
        text = "".join(summary.format(chain=False)).rstrip("\n")
        return self.formatStack("\n".join([text, *_earlier_errors(error)]))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """Return a traceback with each line cut and without control characters."""
        return "\n".join(printable(cut(line, MAX_TRACEBACK_LINE)) for line in stack_info.split("\n"))


class TextLines(_Lines):
    """Lines such as gunicorn's own. A message is always one line, and cannot control the terminal."""

    def __init__(self, fields: Fields) -> None:
        super().__init__("%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S %z]")
        self._fields = fields

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line, without a traceback."""
        in_brackets = "".join(f"[{value}] " for value in self._fields().values())
        record.message = in_brackets + printable(cut(record.message, MAX_MESSAGE))
        return super().formatMessage(record)

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """Return a traceback with each line indented."""
        return "\n".join(INDENT + line for line in super().formatStack(stack_info).split("\n"))


class JsonLines(_Lines):
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
            "message": cut(record.getMessage(), MAX_MESSAGE),
            **self._fields(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def cut(text: str, length: int) -> str:
    """Return the first `length` characters of a text. If there are more, the end says so."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text):,} characters)"


def _earlier_errors(error: BaseException) -> Iterator[str]:
    """Yield a line for each error that led to this one, the latest first: its type, its text and its place."""
    for _ in range(MAX_EARLIER):
        earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if earlier is None:
            return
        error = earlier
        frames = traceback.extract_tb(error.__traceback__, limit=-1)
        place = f" ({frames[0].filename}:{frames[0].lineno})" if frames else ""
        yield f"after {type(error).__name__}: {error}{place}".replace("\n", " ")


def printable(text: str, *, plain: str = "") -> str:
    """Return `text` with all characters that control a terminal or the order of text escaped, except those in `plain`.

    File names and error messages may contain any characters.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if _is_control(char) and char not in plain else char for char in text
    )


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in CONTROLS or unicodedata.bidirectional(char) in DIRECTIONS
