"""Threads that answer requests, one after the other each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue
from threading import Thread

log = logging.getLogger(__name__)
Job = tuple[Callable[[], bool], Callable[[bool], object]]


class Threads:
    """Threads that make calls. Only the worker's main loop uses the object; it asks for no more at a time than it may.

    The thread that has become free last makes the next call: what it needs is still in the processor's caches. That,
    and the lack of locks, is the difference to a `ThreadPoolExecutor`.
    """

    def __init__(self, name: str) -> None:
        """Begin without threads. Each has this name and a number."""
        self._name = name
        self._numbers = count()
        self._free: list[SimpleQueue[Job | None]] = []  # what each free thread waits for, the latest last
        self._is_closed = False

    def run(self, call: Callable[[], bool], *, then: Callable[[bool], object]) -> None:
        """Let a thread make a call, and then another one with the result; it is False if the call has failed."""
        inbox = self._free.pop() if self._free else self._start()
        inbox.put((call, then))

    def close(self) -> None:
        """Let each thread end as soon as it is free."""
        self._is_closed = True
        while self._free:
            self._free.pop().put(None)

    def _start(self) -> SimpleQueue[Job | None]:
        inbox: SimpleQueue[Job | None] = SimpleQueue()
        Thread(target=self._work, args=(inbox,), name=f"{self._name}_{next(self._numbers)}").start()
        return inbox

    def _work(self, inbox: SimpleQueue[Job | None]) -> None:
        while job := inbox.get():
            call, then = job
            try:
                result = call()
            except BaseException:
                log.exception("A request has failed.")
                result = False
            self._free.append(inbox)  # before the main loop hears of it
            then(result)
            del job, call, then  # a free thread keeps no request
            if self._is_closed:  # perhaps `close` has not seen that this thread is free
                return
