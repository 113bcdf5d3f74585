"""A check that a server can listen at an address.

It imports nothing of ours, because `make run` runs this file by itself before it starts anything.
"""

import os
import socket
import sys


def listening_error(host: str, port: int | str) -> str | None:
    """Return why no server can listen at `host` and `port`, or None if one can."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, int(port)), family=family).close()
    except (OSError, OverflowError, ValueError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        return f"Nothing can be served at {host}:{port} ({reason}). Choose another port:"
    return None


if __name__ == "__main__" and (error := listening_error(*sys.argv[1:3])):
    raise SystemExit(f"{error} make run PORT=5002")
