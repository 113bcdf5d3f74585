"""Calls that are repeated while other machines are away or busy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


def call_patiently(function: Callable[..., Result], *arguments: Any, seconds: float, **options: Any) -> Result:
    """Call the function and return its result. Repeat the call for `seconds` while it raises an error that `passes`.

    The log says what is waited for.
    """

    def report_first(state: tenacity.RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            _log.warning("%s Waiting for up to %.0f s.", state.outcome.exception(), seconds)

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: getattr(error, "passes", False)),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        stop=tenacity.stop_before_delay(seconds),
        before_sleep=report_first,
        reraise=True,
    )
    return attempts(function, *arguments, **options)
