"""Our commands, run in this process, which has loaded the libraries, or in a process of their own, as people do."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import click
from click.testing import CliRunner, Result

from image_embeddings import cli
from tests.waiting import LONG

ROOT = Path(__file__).resolve().parent.parent
MODULE = ("-m", "image_embeddings")
SCRIPT = ("image_embeddings/create-image-embeddings.py",)


def run_here(
    environ: Mapping[str, str], *arguments: str, command: click.Command = cli.main, columns: int = 80
) -> Result:
    """Run a command in this process and return its result; undo its changes to environment and signals.

    An exception that would be a traceback is raised. click takes the terminal to be `columns` wide, whatever COLUMNS
    says.
    """
    runner = CliRunner(catch_exceptions=False)
    width = columns - 2  # as click reckons it for a terminal
    with mock.patch.dict(os.environ, environ), _signals_kept():
        return runner.invoke(command, arguments, prog_name="python -m image_embeddings", terminal_width=width)


def run_process(
    environ: Mapping[str, str], *arguments: str, command: tuple[str, ...] = MODULE
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own and return its result."""
    return subprocess.run(
        [sys.executable, *command, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LONG,
        check=False,
    )


@contextmanager
def _signals_kept() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
