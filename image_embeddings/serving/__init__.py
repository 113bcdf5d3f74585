"""Serving the web app: the server, and whether it can listen."""
