"""The options that an indexing run has, whether this machine does the work or Spark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from image_embeddings.cli.terminal import json_option
from image_embeddings.config import Settings
from image_embeddings.indexing.report import IndexOptions

Command = Callable[..., Any]


def _flag(name: str, about: str) -> Callable[[Command], Command]:
    return click.option(name, is_flag=True, help=about)


def _number(name: str, default: int, about: str) -> Callable[[Command], Command]:
    return click.option(name, default=default, show_default=True, type=click.IntRange(1), help=about)


def run_options(*, thread_count: int) -> Callable[[Command], Command]:
    """Return a decorator that adds the options; `thread_count` is the default of the one of that name."""
    options = (
        _flag("--delete-existing", "Build the index anew, for another model say."),
        _flag("--rebuild", "Fill a new index beside the old one, which answers until it is full."),
        click.option(
            "--metadata",
            type=click.Path(path_type=Path),
            help="CSV of file, label, caption and any columns, for the documents.",
        ),
        _flag("--reread", "Read again what all photos say of themselves; keep their embeddings."),
        _flag("--prune", "Remove photos that are gone even if they are most of the index."),
        _number("--batch-size", 32, "Images per encode call."),
        _number("--chunk-size", 500, "Documents per request."),
        _number("--thread-count", thread_count, "Threads that read photos."),
        json_option,
    )

    def add_options(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add_options


def check_choices(*, delete_existing: bool, rebuild: bool, discard: bool = False, reread: bool) -> None:
    """Raise UsageError if these do not go together."""
    if delete_existing + rebuild + discard > 1:
        raise click.UsageError("Give one of --delete-existing, --rebuild and --discard-rebuild.")
    if reread and (delete_existing or rebuild):
        raise click.UsageError("A new index reads all photos in any case: leave out --reread.")


def index_options(settings: Settings, *, batch_size: int, chunk_size: int, thread_count: int) -> IndexOptions:
    """Return the options of a run as the library takes them."""
    return IndexOptions(
        batch_size=batch_size, chunk_size=chunk_size, thread_count=thread_count, max_pixels=settings.max_image_pixels
    )
