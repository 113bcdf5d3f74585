"""Repeat requests while Elasticsearch is away or overloaded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

from image_embeddings.errors import PASSING, BlockedError, RequestError, SlowError, UnreachableError

PATIENCE_SECONDS = 120.0

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def patiently(function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Call the function and return its result. Repeat the call while Elasticsearch is away or overloaded.

    Pauses between calls grow. Raise the last error after PATIENCE_SECONDS. A request that takes all that time by itself
    is still sent a second time. Use this only for calls that do no harm if they are repeated. To write documents is one
    such call: each document replaces the one with its image_id.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passes),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        stop=tenacity.stop_all(tenacity.stop_before_delay(PATIENCE_SECONDS), tenacity.stop_after_attempt(2)),
        before_sleep=_say_what_is_waited_for,
        reraise=True,
    )
    return attempts(function, *arguments, **options)


def passes(error: BaseException) -> bool:
    """Return whether a request that failed may succeed later, without any change to it."""
    if isinstance(error, BlockedError):
        return False
    return isinstance(error, UnreachableError | SlowError) or (
        isinstance(error, RequestError) and error.status in PASSING
    )


def _say_what_is_waited_for(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome:
        log.warning("waiting up to %d s, for: %s", PATIENCE_SECONDS, state.outcome.exception())
