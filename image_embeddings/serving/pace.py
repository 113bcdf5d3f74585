"""How long a client may take to send a body, or to read an answer."""

import time

from image_embeddings.serving.limits import Limits


class Pace:
    """A deadline that moves on with the bytes that come or go. Who was fast once may not stop for long even so."""

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
        """When a client would have begun that has moved nothing yet, and has the same deadline."""
        return self.deadline - self._limits.grace_seconds
