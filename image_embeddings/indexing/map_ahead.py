"""A map whose results are computed ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class MapAhead:
    """A map that keeps the order of the items; up to `waiting` results are in work by threads or ready."""

    threads: int
    waiting: int

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Yield the results; if the caller stops taking them, cancel the calls that have not begun."""
        futures: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for item in items:
                    futures.append(pool.submit(function, item))
                    if len(futures) >= self.waiting:
                        yield futures.popleft().result()
                while futures:
                    yield futures.popleft().result()
            finally:
                for future in futures:
                    future.cancel()
