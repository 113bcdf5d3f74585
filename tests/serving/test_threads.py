"""Threads that make calls: as few as are needed, and the one that was free last."""

import threading
from queue import SimpleQueue

from image_embeddings.serving.threads import Threads
from tests.waiting import LONG, wait_for


def run(threads, call):
    """Let a thread make a call, and return a queue that will have its result."""
    results = SimpleQueue()
    threads.run(call, then=results.put)
    return results


def named():
    return threading.current_thread().name


def test_a_free_thread_makes_the_next_call():
    threads = Threads("a")
    assert [run(threads, named).get(timeout=LONG) for _ in range(3)] == ["a_0"] * 3
    threads.close()


def test_the_thread_that_has_become_free_last_makes_the_next_call():
    threads, gates = Threads("a"), [threading.Event(), threading.Event()]
    results = [run(threads, lambda gate=gate: (gate.wait(LONG), named())[1]) for gate in gates]
    for gate, result in zip(reversed(gates), reversed(results), strict=True):
        gate.set()
        assert result.get(timeout=LONG) in ("a_0", "a_1")
    assert run(threads, named).get(timeout=LONG) == "a_0"
    threads.close()


def test_a_call_that_fails_gives_false_and_its_thread_goes_on(caplog):
    threads = Threads("a")
    assert run(threads, lambda: 1 // 0).get(timeout=LONG) is False
    assert "ZeroDivisionError" in caplog.text
    assert run(threads, named).get(timeout=LONG) == "a_0"
    threads.close()


def test_threads_end_once_they_are_free():
    threads, gate = Threads("ending"), threading.Event()
    free, busy = run(threads, named), run(threads, lambda: gate.wait(LONG))
    free.get(timeout=LONG)
    threads.close()
    gate.set()
    assert busy.get(timeout=LONG) is True
    wait_for(lambda: not any(thread.name.startswith("ending") for thread in threading.enumerate()))
