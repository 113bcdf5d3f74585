"""Keeps an index up with its folder: a run whenever something has changed there, until it is ended from outside."""

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

# What somebody has to set right before a run can succeed again. All else may pass: drives and servers come back.
ENDING = (
    SettingError,
    ModelError,
    AuthenticationError,
    PermissionDeniedError,
    CertificateError,
    IndexForeignError,
)
FIRST_PAUSE = 5.0  # seconds after an error; each next one twice as long
LONGEST_PAUSE = 300.0

Result = TypeVar("Result")


class Changes(Protocol):
    """What tells of changes; `changes.FolderWatch` fits."""

    def wait(self, seconds: float = math.inf) -> bool:
        """Whether anything has changed since it was last said; waits for it, but no longer than so many seconds."""

    def settle(self) -> None:
        """Waits until no more is changing."""


def keep_up(run: Callable[[], Result], *, changes: Changes, notify: Callable[[str], None]) -> Iterator[Result]:
    """What `run` gives, each time after something has changed; for ever.

    A run that fails for what may pass is repeated: after the next change, and at the latest after a pause, which grows.
    `notify` gets the error, unless it is the one of the time before, and a line when it has passed.

    Raises:
        ImageSearchError: one of ENDING.
    """
    pause, said = math.inf, ""
    while True:
        if changes.wait(pause):
            changes.settle()
        try:
            result = run()
        except ENDING:
            raise
        except ImageSearchError as error:
            if str(error) != said:
                notify(f"Error: {error} Watching goes on.")
            said = str(error)
            pause = min(FIRST_PAUSE if pause == math.inf else 2 * pause, LONGEST_PAUSE)
            continue
        if said:
            notify("The error has passed: the index is up with the folder again.")
        pause, said = math.inf, ""
        yield result
