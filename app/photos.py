"""The bytes of photos and thumbnails. Only photos that are in the index and inside IMAGE_DIR are served."""

import unicodedata
from contextlib import ExitStack
from typing import BinaryIO

from flask import Blueprint, Response, request, send_file
from werkzeug.datastructures import Range

from app.photo_files import check_not_removed, decode_photo, find_photo, make_rendition
from app.services import services
from app.web.delivery import A_YEAR
from app.web.thumbnail_addresses import HASH, SIGNATURE, is_signed
from image_embeddings import RENDITION_TYPE, PhotoFile, browser_type

blueprint = Blueprint("photos", __name__)

# The browser shows a photo without a page by a viewer that has a style of its own. Nothing else may run, whatever the
# file contains.
BARE_PHOTO_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
DOWNLOAD = "application/octet-stream"
KEPT_FOR_GOOD = f"private, max-age={A_YEAR}, immutable"
SHORT_HASH = 12  # characters of a content hash that an address has to have at least


@blueprint.get("/image/<path:image_id>")
def image(image_id: str) -> Response:
    """Answer with the photo as it is stored.

    If browsers cannot show it, or show it otherwise than the thumbnail, answer with a JPEG of it, unless the address
    asks for the `original`. Nothing is read for a browser that has the photo or the JPEG already.
    """
    photo = find_photo(image_id)
    response = _not_modified(photo) or _original_or_rendition(photo)
    response.headers["Content-Security-Policy"] = BARE_PHOTO_POLICY
    return response


def _not_modified(photo: PhotoFile) -> Response | None:
    """Return the answer for a browser that has the photo or the JPEG of it; None for another."""
    for etag in (photo.version, _etag_of_rendition(photo)):
        if request.if_none_match.contains_weak(etag):
            response = Response(status=304)
            response.set_etag(etag)
            response.cache_control.no_cache = True
            return response
    return None


def _original_or_rendition(photo: PhotoFile) -> Response:
    with ExitStack() as open_files:
        content = open_files.enter_context(services().photos.open(photo))
        kind = browser_type(content)
        if kind is None and "original" not in request.args:
            return _rendition(photo)
        response = _original(photo, content, kind)
        open_files.pop_all()  # the server closes it when the answer is sent
        return response


def _original(photo: PhotoFile, content: BinaryIO, kind: str | None) -> Response:
    """Return the photo as it is stored, or the range of it that the request asks for."""
    content.seek(0)
    response = send_file(
        content,
        mimetype=kind or DOWNLOAD,
        conditional=False,  # send_file does not know the size
        etag=photo.version,
        last_modified=photo.mtime_ns / 1e9,
        max_age=0,
        as_attachment=kind is None,
        download_name=_file_name(photo.image_id),
    )
    response.content_length = photo.bytes
    environ = dict(request.environ)
    if asked := _single_range(request.range, size=photo.bytes):
        environ["HTTP_RANGE"] = asked
    else:
        environ.pop("HTTP_RANGE", None)
    response.make_conditional(environ, accept_ranges=True, complete_length=photo.bytes)
    return response


def _single_range(asked: Range | None, *, size: int) -> str:
    """Return the range that a photo of `size` bytes is asked for, as a header; an empty text for all of it.

    By RFC 9110, section 14.2, a server may ignore a range, and has to if it does not know the unit. Here, several
    ranges at once are ignored. If a photo has fewer bytes than the last ones that are asked for, all are the range.
    """
    if asked is None or asked.units != "bytes" or len(asked.ranges) > 1:
        return ""
    ((begin, _end),) = asked.ranges
    return "bytes=0-" if begin < -size else asked.to_header()


def _file_name(image_id: str) -> str:
    """Return the name for a download, without what a header cannot hold: an older index may have such names."""
    name = image_id.rpartition("/")[2]
    return "".join("_" if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in name)


def _rendition(photo: PhotoFile) -> Response:
    """Return a JPEG of the photo."""
    response = Response(make_rendition(photo), mimetype=RENDITION_TYPE)
    response.set_etag(_etag_of_rendition(photo))
    response.cache_control.no_cache = True
    return response


def _etag_of_rendition(photo: PhotoFile) -> str:
    return f"{RENDITION_TYPE}-{photo.version}"


@blueprint.get("/thumbnail/<path:image_id>")
def thumbnail(image_id: str) -> Response:
    """Answer with a small copy of the photo in WebP.

    Only an address without a valid signature is looked up in the index. Browsers keep the thumbnail for good if the
    address names its content (`v`). Otherwise they ask for it again.
    """
    named = request.args.get(HASH, "")
    signed = is_signed(image_id, named, request.args.get(SIGNATURE, ""))
    content_hash = named if signed else services().search.get(image_id).content_hash
    check_not_removed(image_id)
    data = services().thumbnails.read(content_hash)
    if data is None:
        data, content_hash = _make_thumbnail(image_id)
    response = Response(data, mimetype="image/webp")
    response.add_etag()
    is_named = len(named) >= SHORT_HASH and content_hash.startswith(named)
    response.headers["Cache-Control"] = KEPT_FOR_GOOD if is_named else "private, no-cache"
    response.make_conditional(request)
    return response


def _make_thumbnail(image_id: str) -> tuple[bytes, str]:
    """Make a thumbnail; return it and the hash of the present content of the file.

    The file may have changed since it was indexed.
    """
    image, made = decode_photo(find_photo(image_id))
    return services().thumbnails.keep(image, content_hash=made), made
