"""The sessions of visitors who have logged in. Each is a signed cookie. The server keeps only those that were ended."""

import hashlib
import json
import logging
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock
from flask import request
from itsdangerous import BadSignature, TimestampSigner
from werkzeug.wrappers import Response

from app.web.cookies import delete_cookie, set_cookie

LIFETIME = 30 * 24 * 3600  # seconds, from the login on
ENDED_FILE = "ended-sessions.json"  # in DATA_DIR

log = logging.getLogger(__name__)


class Sessions:
    """The sessions whose cookies are signed by `key`. A new key ends all of them."""

    def __init__(self, key: bytes, *, cookie: str, ended: "EndedSessions") -> None:
        self._signer = TimestampSigner(key, salt="session", digest_method=hashlib.sha256, key_derivation="hmac")
        self._cookie = cookie
        self._ended = ended

    def begin(self, response: Response) -> None:
        """Let the answer begin a session."""
        value = self._signer.sign(secrets.token_hex(16)).decode()
        set_cookie(response, self._cookie, value, max_age=LIFETIME)

    def current(self) -> str | None:
        """Return the id of the session that the request belongs to, or None if it belongs to none."""
        sent = request.cookies.get(self._cookie)
        if not sent:
            return None
        try:
            session = self._signer.unsign(sent, max_age=LIFETIME).decode()
        except BadSignature:  # also if it has expired
            return None
        return None if self._ended.has(session) else session

    def end(self, response: Response) -> None:
        """End the session of the request. Its cookie has no effect any more, even if somebody has a copy of it."""
        if session := self.current():
            self._ended.add(session)
        delete_cookie(response, self._cookie)


class EndedSessions:
    """The sessions that visitors have ended, in a file that all processes of the server share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None  # the file that `_until` was read from
        self._until: dict[str, float] = {}  # when each session would have ended by itself

    def has(self, session: str) -> bool:
        """Return whether this session was ended."""
        self._read_again()
        return session in self._until

    def add(self, session: str) -> None:
        """End a session. If the file cannot be written, the session ends in this process only, and the log says so."""
        now = time.time()
        try:
            with FileLock(self._path.with_name(f".{self._path.name}.lock")):
                self._read_again()
                kept = {name: until for name, until in self._until.items() if until > now}
                self._write({**kept, session: now + LIFETIME})
        except OSError as error:
            log.warning("That a session has ended cannot be kept: %s", error.strerror or error)
            self._until = {**self._until, session: now + LIFETIME}

    def _read_again(self) -> None:
        """Read the file again if it has changed."""
        try:
            status = self._path.stat()
        except OSError:  # nobody has logged out yet
            return
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen == self._seen:
            return
        with suppress(OSError, ValueError):
            self._until = {str(name): float(until) for name, until in json.loads(self._path.read_bytes()).items()}
        self._seen = seen

    def _write(self, until: dict[str, float]) -> None:
        unfinished = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                json.dump(until, file)
            unfinished.replace(self._path)
        finally:
            unfinished.unlink(missing_ok=True)
