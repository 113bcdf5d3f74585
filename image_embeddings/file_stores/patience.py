"""Calls that are repeated while other machines are away or busy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import tenacity

Result = TypeVar("Result")


def call_patiently(function: Callable[..., Result], *arguments: Any, seconds: float, **options: Any) -> Result:
    """Call the function and return its result. Repeat the call for `seconds` while it raises an error that `passes`."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: getattr(error, "passes", False)),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        stop=tenacity.stop_before_delay(seconds),
        reraise=True,
    )
    return attempts(function, *arguments, **options)
