from concurrent.futures import ThreadPoolExecutor

import pytest

from app.web.attempts import OF_ALL, OF_ONE_SENDER, Attempts, sender_of


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def attempts(clock):
    return Attempts(clock=clock)


def test_a_sender_has_ten_attempts_a_minute(attempts, clock):
    for _ in range(10):
        assert attempts.take("192.0.2.1") == 0
        clock.now += 1
    assert attempts.take("192.0.2.1") == 50  # seconds until the first is a minute old
    assert attempts.take("192.0.2.2") == 0
    clock.now += 49.5
    assert attempts.take("192.0.2.1") == 1
    clock.now += 0.5
    assert attempts.take("192.0.2.1") == 0
    assert attempts.take("192.0.2.1") == 1


def test_refused_attempts_do_not_make_the_wait_longer(attempts, clock):
    for _ in range(100):
        attempts.take("192.0.2.1")
    clock.now += 60
    assert attempts.take("192.0.2.1") == 0


def test_all_senders_together_have_a_bound_and_little_is_kept(attempts, clock):
    granted = [attempts.take(f"192.0.{number // 250}.{number % 250}") for number in range(10_000)].count(0)
    assert granted == OF_ALL
    assert len(attempts._granted) == OF_ALL
    assert attempts.take("198.51.100.1") == 60
    clock.now += 60
    assert attempts.take("198.51.100.1") == 0
    assert len(attempts._granted) == 1


def test_attempts_at_the_same_time_are_counted(attempts):
    with ThreadPoolExecutor(8) as threads:
        waits = list(threads.map(attempts.take, ["192.0.2.1"] * 200))
    assert waits.count(0) == OF_ONE_SENDER


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("2001:db8::1", "2001:0DB8:0:0:1::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_addresses_of_one_network_are_one_sender(one, other):
    assert sender_of(one) == sender_of(other)


@pytest.mark.parametrize(
    ("one", "other"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("", "::1")]
)
def test_other_addresses_are_other_senders(one, other):
    assert sender_of(one) != sender_of(other)
