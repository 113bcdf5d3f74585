"""Uploads are kept in memory only: photos that people search by are private, and leave no trace on a disk."""

from io import BytesIO
from typing import IO

from flask import Flask, Request


class RequestInMemory(Request):
    """A request whose files are in memory. MAX_CONTENT_LENGTH bounds them all together.

    By default, Werkzeug writes files of more than 500 kB to a temporary file.
    """

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
