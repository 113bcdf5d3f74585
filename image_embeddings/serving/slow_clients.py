"""The connections that wait for their client, with bounds for their number, memory and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from image_embeddings.serving.limits import Limits

if TYPE_CHECKING:
    from image_embeddings.serving.connection import Connection

_IPV6_NETWORK_BITS = 64  # of an address: one customer has all addresses that share them


class SlowClients:
    """The connections that wait for their client, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._origins: dict[Connection, str] = {}

    def __iter__(self) -> Iterator[Connection]:
        """Yield those that are there now."""
        return iter(tuple(self._origins))

    def add(self, client: Connection) -> None:
        """Add a connection, unless it is there. It is the newest."""
        if client not in self._origins:
            self._origins[client] = origin(client.client)

    def remove(self, client: Connection) -> None:
        """Remove a connection that waits no more."""
        self._origins.pop(client, None)

    def overdue(self, now: float) -> list[Connection]:
        """Return the connections whose deadline has passed."""
        return [client for client in self._origins if client.deadline <= now]

    def surplus(self, newest: Connection) -> Connection | None:
        """Return the connection to close because `newest` has come, or None if there is room for all."""
        of_one = [client for client in self._origins if self._origins[client] == self._origins[newest]]
        if len(of_one) > self._limits.slow_clients_of_one:
            return _oldest(of_one)
        return self.to_close() if len(self._origins) > self._limits.slow_clients else None

    def too_large(self) -> Iterator[Connection]:
        """Remove and yield connections until the others take no more memory than they may."""
        for limit, size in (
            (self._limits.received_bytes, lambda client: client.received_bytes),
            (self._limits.unsent_bytes, lambda client: client.outgoing.unsent_bytes),
        ):
            while sum(map(size, self._origins)) > limit and (client := self.to_close(size)):
                self.remove(client)
                yield client

    def to_close(self, size: Callable[[Any], int] = lambda client: 1) -> Connection | None:
        """Return the oldest connection of the address that has the most, or None if there is none.

        So the connections of one address, however many they are, close none of another address. An upload that goes on
        counts as new.
        """
        totals: Counter[str] = Counter()
        for client, of in self._origins.items():
            totals[of] += size(client)
        largest = max(totals, key=totals.__getitem__, default="")
        return _oldest([client for client, of in self._origins.items() if of == largest and size(client)])


def _oldest(clients: list[Connection]) -> Connection | None:
    return min(clients, key=lambda client: client.since, default=None)


def origin(address: Any) -> str:
    """Return whose connection it is: an IPv4 address, the network of an IPv6 address, or "local" for a Unix socket."""
    if not isinstance(address, tuple):
        return "local"
    ip = ip_address(str(address[0]).partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None:
        return str(int(ip) >> (128 - _IPV6_NETWORK_BITS))
    return str(getattr(ip, "ipv4_mapped", None) or ip)
