"""Lanes: which threads a path has, and how many requests may wait for them."""

from dataclasses import dataclass

import pytest

from image_embeddings.serving.lanes import Lane, Lanes


@dataclass(eq=False)
class Request:
    """A request that waits."""

    received_bytes: int = 1
    wait_until: float = 0.0


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/login", "logins"),
        ("GET", "/healthz", "health"),
        ("GET", "/metrics", "health"),
        ("GET", "/readyz", "readiness"),
        ("GET", "/static/abc/main.css", "small_files"),
        ("GET", "/thumbnail/a.jpg", "small_files"),
        ("GET", "/image/a.jpg", "usual"),
        ("GET", "/login", "usual"),
        ("GET", "/healthz/", "usual"),
        ("GET", "/", "usual"),
        ("GET", "", "usual"),
    ],
)
def test_what_must_not_wait_for_searches_has_threads_of_its_own(method, path, name):
    lanes = Lanes(threads=2, queue_bytes=1)
    assert lanes.of(method, path) is getattr(lanes, name)


def test_a_lane_has_so_many_threads():
    lane = Lane("a", threads=2, queue=1, queue_bytes=9)
    assert [lane.take_thread() for _ in range(3)] == [True, True, False]
    lane.give_thread_back()
    assert lane.take_thread()


def test_so_many_requests_wait_and_the_overdue_leave():
    lane = Lane("a", threads=1, queue=2, queue_bytes=9)
    first, second, third = Request(), Request(), Request()
    assert [lane.queue_up(request, until=n) for n, request in enumerate((first, second, third))] == [True, True, False]
    assert list(lane.pop_overdue(0.5)) == [first]
    assert list(lane.waiting) == [second]


def test_large_requests_wait_only_as_far_as_there_is_memory():
    lane = Lane("a", threads=1, queue=9, queue_bytes=10)
    assert [lane.queue_up(Request(size), until=1) for size in (8, 3, 2)] == [True, False, True]
    assert Lane("b", threads=1, queue=9, queue_bytes=10).queue_up(Request(99), until=1)  # alone
