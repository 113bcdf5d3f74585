"""How long each stage of a search takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """The milliseconds spent in each stage, and in total since the stopwatch was made."""

    def __init__(self) -> None:
        self._begin = perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a stage, even if the block fails."""
        begin = perf_counter()
        try:
            yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + (perf_counter() - begin) * 1000

    def took_ms(self) -> dict[str, float]:
        """Return the milliseconds of each stage so far. `total` is the time since the stopwatch was made."""
        stages = {**self._stages, "total": (perf_counter() - self._begin) * 1000}
        return {name: round(milliseconds, 2) for name, milliseconds in stages.items()}
