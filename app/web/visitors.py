"""What visitors are told, and what only the operator is told, who runs this app.

Messages of the library name folders, addresses, settings and what Elasticsearch said, and the remedy. Visitors get
a sentence without any of that, and the log has the message, on a line with the id of the request. A new type of error
has the general sentence until it gets one here.
"""

import logging
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask, current_app, request

from app.web.languages import gettext
from image_embeddings import errors


def N_(text: str) -> str:  # noqa: N802  # gettext's own name for a text that is translated later
    """Return the text. Pages show it in the language of the reader."""
    return text


GENERAL = N_("This cannot be answered at the moment. The reason is in the log of the server.")
UNEXPECTED = N_("Something went wrong here. The server's log tells what; please report it.")
NO_SEARCH = N_("The photos cannot be searched at the moment. Try again in a while.")
NO_PHOTOS = N_("No photos are indexed yet.")
OTHER_TEXT_ENCODER = N_("Texts are not understood as well as usual at the moment, so the photos found may differ.")
SEE_LOG = "The reason is in the log of the server."

# The first row that fits counts.
_TEXTS: tuple[tuple[type[errors.ImageSearchError], str], ...] = (
    (errors.ImageNotFoundError, N_("There is no such photo. It may have been renamed or deleted.")),
    (errors.IndexMissingError, NO_PHOTOS),
    (errors.IndexEmptyError, NO_PHOTOS),
    (errors.IndexStateError, NO_SEARCH),
    (errors.ElasticsearchError, NO_SEARCH),
    (errors.EmbeddedNodeError, NO_SEARCH),
    (errors.TextModelInputError, N_("This text cannot be searched for. Try other words, or fewer.")),
    (errors.TextModelError, N_("Texts cannot be searched for at the moment. Try again in a while.")),
    (errors.ModelError, NO_SEARCH),
    (errors.ImageMemoryError, N_("There is too little memory for this photo at the moment. Try again in a while.")),
    (errors.DecodersBusyError, N_("Many photos are being opened at the moment. Try again in a few seconds.")),
    (errors.ImageError, N_("This photo cannot be used.")),
    (errors.CorpusError, N_("The file of this photo cannot be read at the moment.")),
)
# Their messages speak only of what the visitor has sent. Types derived from them may speak of more.
_ABOUT_THE_REQUEST = (
    errors.QueryError,
    errors.ImageUnreadableError,
    errors.ImageTooLargeError,
    errors.ImageSlowError,
)
_OF_PROXIES = ("Forwarded", "Via", "X-Real-Ip")  # and all that begin with X-Forwarded-
_OWN_NAMES = ("localhost", "127.0.0.1", "::1")

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Add `note_of` to the templates, which gives the note of a search and its language."""
    app.jinja_env.globals.update(note_of=lambda result: in_own_language(message_of_note(result.note)))


def message_of(error: errors.ImageSearchError, *, level: int = logging.INFO) -> str:
    """Return what the sender of the request is told of an error, in English. The log has the whole message."""
    if type(error) in _ABOUT_THE_REQUEST:
        return str(error)
    return choose_text(str(error), visitor_text(error), subject=error.code, level=level)


def visitor_text(error: errors.ImageSearchError) -> str:
    """Return what visitors are told of an error of this type, which is not about their own request."""
    return next((text for kind, text in _TEXTS if isinstance(error, kind)), GENERAL)


def message_of_note(note: str | None) -> str | None:
    """Return what the sender of the request is told of a search's note, in English; None without a note."""
    return note and choose_text(note, OTHER_TEXT_ENCODER, subject="note")


def choose_text(whole: str, short: str, *, subject: str, level: int = logging.INFO) -> str:
    """Return the whole message to the operator. To all others, return the short one, and log the whole one.

    A message of the level WARNING or higher is logged in any case.
    """
    if (shown := is_operator()) and level < logging.WARNING:
        return whole
    log.log(level, "%s: %s", subject, whole)
    return whole if shown else short


def in_own_language(message: str | None) -> tuple[str, str]:
    """Return a message in the reader's language if it is one of the texts above, and its language if it is not.

    The language is "en", or empty if the message has been translated.
    """
    shown = gettext(message) if message else ""
    return shown, "en" if shown == message else ""


def is_operator() -> bool:
    """Return whether the request comes from a program on this machine, by no proxy, and there is no login.

    A proxy on this machine may have no header of its own. It is recognised if it sends the name of the site.
    """
    return not _has_login() and _is_loopback() and not _has_passed_a_proxy()


def _has_login() -> bool:
    door = current_app.extensions.get("door")
    return door is not None and door.is_closed


def _is_loopback() -> bool:
    try:
        address = ip_address(request.remote_addr or "")
        name = urlsplit(f"//{request.environ.get('HTTP_HOST', '')}").hostname or ""
    except ValueError:
        return False
    return address.is_loopback and (name in _OWN_NAMES or name.endswith(".localhost"))


def _has_passed_a_proxy() -> bool:
    names = [name.title() for name in request.headers.keys()]  # noqa: SIM118  # it is no dict
    return any(name in _OF_PROXIES or name.startswith("X-Forwarded-") for name in names)
