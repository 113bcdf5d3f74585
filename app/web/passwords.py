"""The password and the tokens, kept as hashes, and compared in constant time."""

import hashlib
import hmac
import threading
from collections.abc import Sequence

from werkzeug.security import check_password_hash

from image_embeddings import MAX_PASSWORD, plain_password

# Parameters of scrypt: 32 MiB and some 0.1 s for each attempt (OWASP Password Storage Cheat Sheet asks for half of it).
COST, BLOCK, PARALLEL = 2**15, 8, 1
_MEMORY = 132 * COST * BLOCK * PARALLEL  # bytes; what werkzeug allows scrypt to use


class Password:
    """The password of the app, as a hash by scrypt.

    The salt depends on `secret`, which differs from installation to installation. So all processes, and each later
    start, have the same hash until the password or the secret changes, although it is not kept anywhere.
    """

    def __init__(self, password: str, *, secret: str) -> None:
        salt = derive(secret, "salt of the password").hex()
        digest = hashlib.scrypt(password.encode(), salt=salt.encode(), n=COST, r=BLOCK, p=PARALLEL, maxmem=_MEMORY)
        self._hash = f"scrypt:{COST}:{BLOCK}:{PARALLEL}${salt}${digest.hex()}"
        self._one_at_a_time = threading.Lock()  # each attempt takes memory and a core
        # A session is signed by this key, so a new password ends all sessions.
        self.session_key = derive(secret, f"sessions of {self._hash}")

    def is_right(self, typed: str) -> bool:
        """Return whether this is the password."""
        if not typed or len(typed) > MAX_PASSWORD or "\0" in typed:  # scrypt ignores zeros at the end
            return False
        with self._one_at_a_time:
            return check_password_hash(self._hash, plain_password(typed))


class Tokens:
    """The tokens of programs, as hashes by SHA-256: they are random and long, so that nobody can guess them."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._digests = [_digest(token) for token in tokens]

    def has(self, sent: str) -> bool:
        """Return whether this is one of the tokens; it takes the same time for each of them."""
        digest = _digest(sent)
        return sum([hmac.compare_digest(digest, known) for known in self._digests]) > 0


def derive(secret: str, purpose: str) -> bytes:
    """Return 32 bytes for one purpose.

    Neither the secret nor the bytes for another purpose can be computed from them.
    """
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
