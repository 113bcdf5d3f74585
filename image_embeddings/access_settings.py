"""The form of the settings that say who may come in: the password, the tokens of programs, the header of a proxy.

These parsers raise ValueError with a text that says what is wrong, and never with the value: it is a secret.
"""

import re
import unicodedata

MIN_PASSWORD = 8  # characters
MAX_PASSWORD = 1000
MIN_TOKEN = 16
# What a program may send after "Authorization: Bearer" (RFC 6750, section 2.1).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# Browsers send these headers themselves, so they say nothing of who sits before the browser.
BROWSERS_HEADERS = re.compile(
    r"accept.*|authorization|cache-control|connection|content-.*|cookie|dnt|forwarded|host|if-.*|origin|pragma|priority|"
    r"range|referer|sec-.*|te|upgrade.*|user-agent|via|x-forwarded-(for|host|port|prefix|proto)|x-real-ip|x-request-id",
    re.I,
)


def plain_password(text: str) -> str:
    """Return a password in the form in which it is compared: systems write one and the same letter in several ways."""
    return unicodedata.normalize("NFC", text)


def parse_password(value: str) -> str:
    """Return the password. Raise ValueError if it is too short or too long."""
    if len(value) < MIN_PASSWORD:
        raise ValueError(f"Too short: use {MIN_PASSWORD} characters or more")
    if len(value) > MAX_PASSWORD:
        raise ValueError(f"Too long: use {MAX_PASSWORD:,} characters at most")
    return plain_password(value)


def parse_tokens(value: str) -> tuple[str, ...]:
    """Return the tokens, which have commas, spaces or ends of lines between them. Raise ValueError if one is no token.

    A token is too long to be guessed: attempts are not counted.
    """
    tokens = tuple(re.split(r"[\s,]+", value.strip(", \t\r\n"))) if value.strip(", \t\r\n") else ()
    for number, token in enumerate(tokens, 1):
        if len(token) < MIN_TOKEN or not TOKEN.fullmatch(token):
            raise ValueError(
                f"Number {number} is not a token: use {MIN_TOKEN} or more of A-Z, a-z, 0-9, '.', '_', '~', '+', '/' "
                "and '-', such as the output of openssl rand -hex 32"
            )
    return tokens


def parse_header(value: str) -> str:
    """Return the name of a header. Raise ValueError if it is no name, or if browsers send such a header."""
    if not HEADER.fullmatch(value):
        raise ValueError("Not the name of a header: use letters, digits and '-', such as Remote-User")
    if BROWSERS_HEADERS.fullmatch(value):
        raise ValueError("Browsers send this header themselves: use one that only your proxy sets, such as Remote-User")
    return value
