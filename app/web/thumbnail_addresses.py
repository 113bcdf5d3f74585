"""Signed addresses of thumbnails: for a thumbnail that a page shows, Elasticsearch is not asked.

A valid signature proves that this app has found the photo with that content in the index, and has shown it.
"""

import base64
import hmac

from flask import Flask, current_app

from app.services import services
from app.web.addresses import address_of
from app.web.keys import signing_key
from image_embeddings import ImageDocument

HASH, SIGNATURE = "v", "s"  # parameters of an address
BYTES = 15  # of a signature: 120 bits, 20 characters
PURPOSE = "addresses of thumbnails"


def init_app(app: Flask) -> None:
    """Let templates make addresses."""
    app.jinja_env.globals["thumbnail_address"] = thumbnail_address


def thumbnail_address(document: ImageDocument) -> str:
    """Return the address of the thumbnail of an indexed photo."""
    signature = _sign(document.image_id, document.content_hash)
    path = address_of("photos.thumbnail", image_id=document.image_id)
    return f"{path}?{HASH}={document.content_hash}&{SIGNATURE}={signature}"


def is_signed(image_id: str, content_hash: str, signature: str) -> bool:
    """Return whether this app has made the address of a thumbnail with these parts."""
    # Both are compared as bytes, because an address may have other characters than ASCII.
    return bool(signature) and hmac.compare_digest(_sign(image_id, content_hash).encode(), signature.encode())


def _sign(image_id: str, content_hash: str) -> str:
    signed = f"{content_hash}/{image_id}".encode(errors="surrogatepass")
    return base64.urlsafe_b64encode(hmac.digest(_key(), signed, "sha256")[:BYTES]).decode()


def _key() -> bytes:
    """Return the key, which is read or made when the app first needs it."""
    kept: bytes | None = current_app.extensions.get(PURPOSE)
    if kept is None:
        kept = current_app.extensions[PURPOSE] = signing_key(services().settings, PURPOSE)
    return kept
