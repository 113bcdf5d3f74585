"""The commands `text-model install` and `text-model status`."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from image_embeddings.cli.terminal import json_option, print_json, say, show_errors
from image_embeddings.config import hush_profiler, load_settings
from image_embeddings.text_model import setup
from image_embeddings.text_model.model import STATUS, TextModelStatus


@click.group("text-model")
def text_model() -> None:
    """Run the text model inside Elasticsearch, on a cluster with machine learning."""


@text_model.command()
@click.option("--model", metavar="NAME_OR_FOLDER", help="The model.  [TEXT_MODEL, or the one made for the image model]")
@click.option("--quantize", is_flag=True, help="8-bit weights: less memory, faster, almost the same embeddings.")
@click.option("--clear-previous", is_flag=True, help="Replace one of that id, or the rest of an upload.")
def install(model: str | None, quantize: bool, clear_previous: bool) -> None:
    """Load the text model into Elasticsearch and start it; one that is there already is only started."""
    with show_errors(stopped=f"Stopped. What is there now, and how to go on, says: {STATUS}"):
        hush_profiler()
        model_status = setup.install_text_model(
            load_settings(), model=model, quantize=quantize, clear_previous=clear_previous, notify=say
        )
        click.echo(_status_line(model_status))


@text_model.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether the text model is started, or what to do about it; exits with 1 where it is not."""
    with show_errors():
        model_status = setup.text_model_status(load_settings())
        if as_json:
            print_json({**asdict(model_status), "advice": str(model_status.error or "")})
        else:
            click.echo(_status_line(model_status))
        sys.exit(1 if model_status.error else 0)


def _status_line(status: TextModelStatus) -> str:
    if status.error:
        return f"{status.state}: {status.error}"
    return f"{status.state}: Elasticsearch encodes texts with '{status.model_id}' (TEXT_ENCODER=auto or elasticsearch)."
