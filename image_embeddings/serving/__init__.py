"""Serving the web app: the server, and a check that it can listen."""
