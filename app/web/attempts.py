"""How often a password may be tried."""

import ipaddress
import math
import threading
import time
from collections import deque
from collections.abc import Callable

SECONDS = 60.0
OF_ONE_SENDER = 10  # attempts within that time
OF_ALL = 60


class Attempts:
    """The attempts of the last minute. Each sender may make a few, and all senders together may make some more.

    Only the attempts that were allowed are kept, so there are at most `of_all` of them. Each process counts for itself.
    """

    def __init__(
        self,
        *,
        of_one_sender: int = OF_ONE_SENDER,
        of_all: int = OF_ALL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._of_one_sender = of_one_sender
        self._of_all = of_all
        self._clock = clock
        self._granted: deque[tuple[float, str]] = deque()  # time and sender, the oldest first
        self._lock = threading.Lock()

    def take(self, address: str) -> int:
        """Take an attempt for the sender at this address. Return 0, or the seconds to wait if there is none left."""
        sender, now = sender_of(address), self._clock()
        with self._lock:
            while self._granted and self._granted[0][0] <= now - SECONDS:
                self._granted.popleft()
            own = [moment for moment, other in self._granted if other == sender]
            if len(own) >= self._of_one_sender:
                return _seconds_until(own[0] + SECONDS, now)
            if len(self._granted) >= self._of_all:
                return _seconds_until(self._granted[0][0] + SECONDS, now)
            self._granted.append((now, sender))
            return 0


def sender_of(address: str) -> str:
    """Return what counts as one sender: an IPv4 address, or the network of an IPv6 address, which one customer has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def _seconds_until(moment: float, now: float) -> int:
    return max(1, math.ceil(moment - now))
