"""The command `make-password`."""

from __future__ import annotations

import click

from image_embeddings.cli.terminal import say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.serving.access import has_access, keep_made_password


@click.command()
def make_password() -> None:
    """Make a password for the web app, and keep it in DATA_DIR.

    Print the name of its file, for APP_PASSWORD_FILE. Print nothing if the settings say already who may come in. A new
    password is shown once, on stderr. The Docker image calls this at each start.
    """
    with show_errors():
        settings = load_settings()
        if has_access(settings):
            return
        file, password, is_new = keep_made_password(settings)
        if is_new:
            say(f"The password of the web app is: {password}")
            say(f"It was made now, is kept in {file}, and is not shown again. APP_PASSWORD sets one of your own.")
        click.echo(file)
