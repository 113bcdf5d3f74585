"""Keeps an index up to date with its folder: a run after each change, until it is ended from outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from image_embeddings.errors import (
    AuthenticationError,
    CertificateError,
    ImageSearchError,
    IndexForeignError,
    ModelError,
    PermissionDeniedError,
    SettingError,
)

# After these errors, somebody has to act before a run can succeed. Others may pass: drives and servers come back.
ENDING = (
    SettingError,
    ModelError,
    AuthenticationError,
    PermissionDeniedError,
    CertificateError,
    IndexForeignError,
)
FIRST_PAUSE = 5.0  # seconds after an error; each further pause is twice as long
LONGEST_PAUSE = 300.0

Result = TypeVar("Result")


class Changes(Protocol):
    """A source of changes; `sources.changes.FolderWatch` fits."""

    def wait(self, seconds: float = math.inf) -> bool:
        """Wait at most `seconds` for a change; return whether there is one that was not returned before."""

    def settle(self) -> None:
        """Wait until nothing changes any more."""


def keep_up(run: Callable[[], Result], *, changes: Changes, notify: Callable[[str], None]) -> Iterator[Result]:
    """Yield what `run` returns, each time after something has changed; this never ends by itself.

    A run that fails for a reason that may pass is repeated after the next change, and at the latest after a pause. The
    pauses grow. `notify` gets the error, unless it is the same as the time before, and a line when the error has
    passed.

    Raises:
        ImageSearchError: one of ENDING.
    """
    pause, last_error = math.inf, ""
    while True:
        if changes.wait(pause):
            changes.settle()
        try:
            result = run()
        except ENDING:
            raise
        except ImageSearchError as error:
            if str(error) != last_error:
                notify(f"Error: {error} Watching goes on.")
            last_error = str(error)
            pause = min(FIRST_PAUSE if pause == math.inf else 2 * pause, LONGEST_PAUSE)
            continue
        if last_error:
            notify("The error has passed: the index is up with the folder again.")
        pause, last_error = math.inf, ""
        yield result
