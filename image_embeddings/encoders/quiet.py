"""Silence for libraries that talk while they work."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.RLock()


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keeps the chatter of these loggers off the terminal, "" for that of all; errors still come through.

    Afterwards they are as they were, also where a library gave the root logger a handler meanwhile.
    """
    with _one_at_a_time:
        yield from _quiet([logging.getLogger(name) for name in names])


def _quiet(loggers: list[logging.Logger]) -> Iterator[None]:
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
