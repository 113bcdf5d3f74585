"""The command `serve`."""

from __future__ import annotations

import click

from image_embeddings.cli.terminal import say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.serving import web_server


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 lets others in.")
@click.option("--port", default=5001, show_default=True, type=click.IntRange(1, 65535), help="Port to listen at.")
@click.option("--check", is_flag=True, help="Only check whether it may and can listen there.")
def serve(host: str, port: int, check: bool) -> None:
    """Serve the web app until Ctrl-C.

    If IMAGE_DIR is not set, the photos are those of the folder that was indexed last. If other machines could reach the
    web app, it needs a password: APP_PASSWORD.
    """
    with show_errors():
        if check:
            web_server.check_address(load_settings(), host=host, port=port)
            return
        web_server.serve(load_settings(), host=host, port=port, notify=say)
