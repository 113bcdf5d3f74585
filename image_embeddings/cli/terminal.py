"""Functions that the commands share: lines for people, JSON for programs, the progress bar, errors and interrupts."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click
from tqdm import tqdm

from image_embeddings.config import share_cores
from image_embeddings.errors import ImageSearchError
from image_embeddings.log_format import printable
from image_embeddings.setting_values import is_url, plain_url

STOPPED = "Stopped."

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
k_option = click.option("-k", default=10, show_default=True, help="Photos wanted.")


class AddressType(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.3
    """The type of a folder, which may also be an address such as s3://BUCKET/PREFIX."""

    name = "path"

    def convert(self, value: Path | str, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Return the path, or the address in its usual form."""
        return plain_url(value) if isinstance(value, str) and is_url(value) else Path(value)


def say(line: str) -> None:
    """Print a line for the person at the terminal, on stderr, so that no program reads it."""
    click.echo(printable(line, plain="\n"), err=True)


def print_json(value: Any, *, in_one_line: bool = False) -> None:
    """Print `value` as JSON on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=None if in_one_line else 2))


def progress_bar(total: int, *, what: str, unit: str, leave: bool) -> tqdm[Any]:
    """Return a progress bar on stderr; it is not shown if there is nothing to do or stderr is no terminal.

    If `leave` is set, the bar stays on the screen after its end.
    """
    return tqdm(total=total, unit=unit, desc=what, disable=not total or not sys.stderr.isatty(), leave=leave)


@contextmanager
def progress_bars(what: str) -> Iterator[Callable[[int], tqdm[Any]]]:
    """Yield a function that opens a progress bar for a number of photos. The bars close at the end of the block."""
    with ExitStack() as bars:

        def open_bar(total: int) -> tqdm[Any]:
            bar = progress_bar(total, what=what, unit=" photos", leave=True)
            bars.callback(bar.close)
            return bar

        yield open_bar


def fail(message: str) -> NoReturn:
    """Print an error and exit with 1."""
    say(f"Error: {message}")
    sys.exit(1)


@contextmanager
def show_errors(*, stopped: str = STOPPED) -> Iterator[None]:
    """Print an error of ours as one line, and exit with 1.

    Ctrl-C and SIGTERM end the process at once, with the line `stopped`.
    """
    share_cores()
    on_interrupt(partial(end_process, stopped))
    try:
        yield
    except ImageSearchError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(stopped)


def end_process(message: str, *_signal: object) -> None:
    """Print an error and end the process now, with exit status 1; also usable as a signal handler.

    This raises no exception: libraries would take it for an error of their own, and threads might never end. Nothing is
    lost: all data is written in such a way that a kill does no harm.
    """
    os.write(sys.stderr.fileno(), f"Error: {message}\n".encode())  # click may be in the middle of a line
    os._exit(1)


@contextmanager
def finish_on_interrupt(stopped: str) -> Iterator[threading.Event]:
    """Give the context an event that the first Ctrl-C or SIGTERM sets; the second ends the process.

    `stopped` is the line that it ends with.
    """
    stop = threading.Event()

    def finish(number: int, frame: object) -> None:
        if stop.is_set():
            end_process(stopped)
        stop.set()
        say("Stopping: what is under way is still written. Once more ends it at once.")

    on_interrupt(finish)
    try:
        yield stop
    finally:
        on_interrupt(signal.default_int_handler)


def on_interrupt(handler: Callable[..., Any]) -> None:
    """Set the handler of Ctrl-C and SIGTERM; `make run` and containers send SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
