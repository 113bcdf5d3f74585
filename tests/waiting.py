"""Waiting for what comes: on a busy machine it may come late, and no test fails for that."""

import time
from collections.abc import Callable

LONG = 600.0  # seconds: for what comes, more than any machine needs; a test that waits so long has failed


def wait_for(condition: Callable[[], object], *, what: Callable[[], object] = lambda: "it has not come") -> None:
    """Return as soon as `condition` holds; fail after LONG, and tell `what`."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
