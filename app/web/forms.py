"""How the forms of requests are read: into memory only, and as a whole or not at all.

Photos that people search by are private, and leave no trace on a disk.
"""

from io import BytesIO
from typing import IO, Any

from flask import Flask, Request
from werkzeug.exceptions import BadRequest
from werkzeug.formparser import FormDataParser

MALFORMED = "The body of the request is malformed, so it cannot be read."


class WholeForms(FormDataParser):
    """A parser that refuses malformed forms. Werkzeug takes them for empty ones, and visitors are told of no photo."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, silent=False)

    def parse(self, *arguments: Any, **more: Any) -> Any:
        """Return the stream of the request, its fields and its files. Raise BadRequest if the form is malformed."""
        try:
            return super().parse(*arguments, **more)
        except ValueError as error:
            raise BadRequest(MALFORMED) from error


class RequestInMemory(Request):
    """A request whose files are in memory. MAX_CONTENT_LENGTH bounds them all together.

    By default, Werkzeug writes files of more than 500 kB to a temporary file.
    """

    form_data_parser_class = WholeForms

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return BytesIO()


def init_app(app: Flask) -> None:
    """Let the app read requests in this way."""
    app.request_class = RequestInMemory
