"""Waits for an Elasticsearch that is away or overloaded, and asks it again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

from image_embeddings.errors import PASSING, RequestError, SlowError, UnreachableError

PATIENCE_SECONDS = 120.0

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def patiently(function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Calls the function; again where Elasticsearch is away or overloaded, with growing pauses, for PATIENCE_SECONDS.

    For what does no harm when it is done twice: each document replaces the one of its image_id. A request that takes
    all that time by itself is sent a second time.
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
    """Whether what failed may succeed later without anything being changed."""
    return isinstance(error, UnreachableError | SlowError) or (
        isinstance(error, RequestError) and error.status in PASSING
    )


def _say_what_is_waited_for(state: tenacity.RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome:
        log.warning("waiting up to %d s, for: %s", PATIENCE_SECONDS, state.outcome.exception())
