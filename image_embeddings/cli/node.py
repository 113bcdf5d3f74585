"""The commands `node start`, `node stop` and `node status`."""

from __future__ import annotations

import shlex
import sys

import click

from image_embeddings.cli.terminal import json_option, print_json, say, show_errors
from image_embeddings.config import load_settings
from image_embeddings.embedded_node.node import SETTLING_SECONDS
from image_embeddings.embedded_node.running import USER
from image_embeddings.embedded_node.state import TOKEN_NAME
from image_embeddings.es import opening


@click.group()
def node() -> None:
    """Start and stop the embedded Elasticsearch node."""


@node.command()
def start() -> None:
    """Start it, unless it runs."""
    with show_errors():
        node = opening.embedded_node(load_settings())
        running = node.start(notify=say)
        node.keep()
        click.echo(f"Elasticsearch runs at {running.url} (process {running.pid})")


@node.command()
@click.option("--if-unused", is_flag=True, help="Not while a web app or an indexing run is connected.")
def stop(if_unused: bool) -> None:
    """Stop it and wait until it is gone; its data stays."""
    with show_errors():
        node = opening.embedded_node(load_settings())
        has_stopped = node.stop(unless_used_within=SETTLING_SECONDS if if_unused else None)
        still = "Elasticsearch is in use and runs on" if node.status() else "Elasticsearch was not running"
        click.echo("Elasticsearch has stopped" if has_stopped else still)


@node.command()
@click.option("--unused", is_flag=True, help="Exit with 1 also where somebody is connected.")
@json_option
def status(unused: bool, as_json: bool) -> None:
    """Say whether it runs, and where; exits with 1 where it does not."""
    with show_errors():
        node = opening.embedded_node(load_settings())
        running = node.status()
        token_file = node.home / TOKEN_NAME
        if as_json:
            details = {"url": running.url, "pid": running.pid, "in_use": node.in_use()} if running else {}
            details |= {"user": USER, "token_file": str(token_file)} if running else {}
            print_json({"running": running is not None, **details})
        elif running:
            click.echo(f"Elasticsearch runs at {running.url} (process {running.pid})")
            click.echo(f"To ask it: curl -u {USER}:$(cat {shlex.quote(str(token_file))}) {running.url}/_cat/indices")
        else:
            click.echo("Elasticsearch is not running")
        sys.exit(1 if running is None or (unused and node.in_use()) else 0)
