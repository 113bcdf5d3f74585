"""Ends with a word on what to do where the web server could not listen: before photos are indexed for it."""

import socket
import sys

host, port = sys.argv[1:]
try:
    socket.create_server((host, int(port))).close()
except (OSError, OverflowError, ValueError) as error:
    reason = getattr(error, "strerror", None) or error
    sys.exit(f"Nothing can be served at {host}:{port} ({reason}). Choose another port: make run PORT=5002")
