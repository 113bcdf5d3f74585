"""Which connections are closed if there are too many, or if they hold too much."""

from dataclasses import dataclass, field

import pytest

from image_embeddings.serving.limits import Limits
from image_embeddings.serving.pace import Pace
from image_embeddings.serving.slow_clients import SlowClients, origin

LIMITS = Limits(slow_clients=4, slow_clients_of_one=3, received_bytes=100, unsent_bytes=100, head_seconds=10)


@dataclass
class Outgoing:
    unsent_bytes: int = 0


@dataclass(eq=False)
class Connection:
    """As much of a connection as matters here."""

    address: str
    since: float = 0.0
    received_bytes: int = 0
    outgoing: Outgoing = field(default_factory=Outgoing)

    @property
    def client(self):
        return self.address, 1234


def closed_one(*connections):
    """Return which of the connections is closed when the last one comes."""
    clients = SlowClients(LIMITS)
    for connection in connections:
        clients.add(connection)
    return clients.surplus(connections[-1])


def test_there_may_be_as_many_as_the_limits_say():
    assert closed_one(*(Connection("10.0.0.1", n) for n in range(3))) is None


def test_one_address_has_a_limit_of_its_own():
    first, *others = (Connection("10.0.0.1", n) for n in range(4))
    assert closed_one(first, *others) is first


def test_the_address_with_the_most_connections_loses_one():
    lonely = Connection("10.0.0.2", 0)
    crowd = [Connection("10.0.0.1", n) for n in (5, 3, 4)]
    assert closed_one(lonely, *crowd, Connection("10.0.0.3", 1)) is crowd[1]


@pytest.mark.parametrize("kind", ["received", "unsent"])
def test_memory_is_taken_from_those_that_hold_the_most(kind):
    def connection(address, size):
        return (
            Connection(address, received_bytes=size)
            if kind == "received"
            else Connection(address, 1, 0, Outgoing(size))
        )

    small, empty, *large = (
        connection("10.0.0.2", 30),
        connection("10.0.0.1", 0),
        *(connection("10.0.0.1", 50) for _ in "ab"),
    )
    clients = SlowClients(LIMITS)
    for each in (small, empty, *large):
        clients.add(each)
    assert list(clients.too_large()) == [large[0]]
    assert list(clients) == [small, empty, large[1]]


@pytest.mark.parametrize(
    ("address", "same"),
    [
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff", 2, 0, 0)),
        (("::ffff:10.0.0.1", 1, 0, 0), ("10.0.0.1", 2)),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::2", 1, 0, 0)),
        ("", b""),
    ],
)
def test_addresses_of_one_customer_count_together(address, same):
    assert origin(address) == origin(same)


def test_other_addresses_count_apart():
    assert len({origin((address, 1)) for address in ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1")}) == 4


@pytest.fixture
def clock(monkeypatch):
    """The monotonic seconds that a pace sees."""
    now = [1000.0]
    monkeypatch.setattr("image_embeddings.serving.pace.time.monotonic", lambda: now[0])
    return now


def test_who_sends_at_more_than_the_least_rate_may_take_long(clock):
    pace = Pace(Limits(grace_seconds=15, least_rate=10_000), credit_seconds=30)
    for _ in range(1000):  # 20 MB at 20 kB a second
        clock[0] += 1
        assert pace.deadline > clock[0]
        pace.move(20_000)
        assert pace.since > clock[0] - 15
    assert pace.deadline == clock[0] + 30


def test_who_sends_at_less_may_not(clock):
    pace = Pace(Limits(grace_seconds=15, least_rate=10_000), credit_seconds=30)
    while pace.deadline > clock[0]:
        clock[0] += 1
        pace.move(5_000)
    assert clock[0] == 1030


def test_who_was_fast_once_must_not_stop_for_long(clock):
    pace = Pace(Limits(grace_seconds=15, least_rate=10_000), credit_seconds=30)
    pace.move(19_000_000)
    assert pace.deadline == 1030
