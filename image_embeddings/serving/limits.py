"""What the server allows clients: times, rates, numbers and memory."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one worker process."""

    head_seconds: float = 10.0  # from the connection, or the first byte of a further request, to the end of the head
    # A body may take these seconds, and further ones by the least rate; so may an answer until it is read. A phone that
    # sends 20 kB a second is served.
    grace_seconds: float = 15.0
    least_rate: float = 10_000.0  # bytes a second
    sender_credit_seconds: float = 30.0  # the most that a body can be ahead of the least rate, and so stand still
    reader_credit_seconds: float = 120.0  # the same for an answer; much of it may wait in the buffers of sockets
    wait_seconds: float = 5.0  # that a request waits for a thread
    # That a thread may compute while others wait for the interpreter. The main loop and health checks need it several
    # times for a request, and each time threads that make pages may come first. With Python's usual value, ten times as
    # long, /healthz took half as long again beside 64 clients (benchmarks/slow_clients.py).
    switch_seconds: float = 0.0005
    linger_seconds: float = 2.0  # that a client has to close its side after the last answer
    # Connections that hold no thread, because they wait for their client. If there are more, the oldest of the
    # address that has the most is closed. An upload that goes on counts as new.
    slow_clients: int = 256
    slow_clients_of_one: int = 128
    received_bytes: int = 128_000_000  # of bodies that are not complete, in all
    queued_bytes: int = 64_000_000  # of requests that wait for a thread, in each lane
    unsent_bytes: int = 128_000_000  # of answers that clients have not yet read, in all
    stream_bytes: int = 1_000_000  # of one answer that are kept for a slow reader, before its thread waits for him
