"""Silence for libraries that print and log while they work."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.RLock()


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keep messages of these loggers off the terminal, but let errors through; "" is the root logger.

    Afterwards the loggers are as before, even if a library has added a handler meanwhile.
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
