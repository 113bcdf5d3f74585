"""How long a client may take to send a body, or to read an answer."""

import time

from image_embeddings.serving.limits import Limits


class Pace:
    """A deadline that moves on with each byte that is received or sent, but only up to a limit."""

    def __init__(self, limits: Limits, *, credit_seconds: float) -> None:
        """Begin now."""
        self._limits = limits
        self._credit_seconds = credit_seconds
        self.deadline = time.monotonic() + limits.grace_seconds

    def move(self, moved_bytes: int) -> None:
        """Let the deadline move on by the time that these bytes may take."""
        moved = self.deadline + moved_bytes / self._limits.least_rate
        self.deadline = max(self.deadline, min(moved, time.monotonic() + self._credit_seconds))

    @property
    def since(self) -> float:
        """The moment at which a client with this deadline has begun, if it has sent and read nothing yet."""
        return self.deadline - self._limits.grace_seconds
