"""The key that this app signs with. All its processes have the same one, and a restart does not change it."""

from __future__ import annotations

import hmac
import logging
import secrets
from pathlib import Path

from image_embeddings import Settings, errors, keep_key

FILE = "signing-key"  # in DATA_DIR

log = logging.getLogger(__name__)


def signing_key(settings: Settings, purpose: str) -> bytes:
    """Return the key for one purpose, 32 bytes. Keys for other purposes cannot be told from it.

    It is made from SECRET_KEY, or else from random bytes that are kept in DATA_DIR, where only their owner may read
    them. If they cannot be kept there, the key is random as well, but only this process has it.
    """
    secret = settings.secret_key or _kept_key(settings.data_dir / FILE)
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")


def _kept_key(path: Path) -> str:
    try:
        return keep_key(path)
    except errors.DataDirError as error:
        log.warning("No key can be kept in %s, so each process and each start has another. %s", path, error)
        return secrets.token_hex(32)
