"""Waiting for events: on a busy machine they may come late, and no test fails because of that."""

import time
from collections.abc import Callable

LONG = 300.0  # seconds; more than any machine needs for anything, so a test that waits this long has failed


def wait_for(condition: Callable[[], object], *, what: Callable[[], object] = lambda: "it has not come") -> None:
    """Return as soon as `condition` is true; fail after LONG seconds, and name `what`."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
