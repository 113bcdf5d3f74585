"""The command `serve`."""

from __future__ import annotations

import click

from image_embeddings.cli.terminal import say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.serving import web_server


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 lets others in.")
@click.option("--port", default=5001, show_default=True, type=click.IntRange(1, 65535), help="Port to listen at.")
def serve(host: str, port: int) -> None:
    """Serve the web app until Ctrl-C.

    If IMAGE_DIR is not set, the photos are those of the folder that was indexed last.
    """
    with show_errors():
        web_server.serve(load_settings(), host=host, port=port, notify=say)
