"""The bytes of photos and thumbnails. Only photos that are in the index and inside IMAGE_DIR are served."""

from pathlib import Path

from flask import Blueprint, Response, request, send_file

from app.photo_files import decode_image, find_photo, make_rendition, read_photo
from app.services import services
from app.web.delivery import A_YEAR
from image_embeddings import RENDITION_TYPE, browser_type, content_hash, read_bytes

blueprint = Blueprint("photos", __name__)

# The browser shows a photo without a page by a viewer that has a style of its own. Nothing else may run, whatever the
# file contains.
BARE_PHOTO_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
DOWNLOAD = "application/octet-stream"


@blueprint.get("/image/<path:image_id>")
def image(image_id: str) -> Response:
    """Answer with the photo as it is on disk.

    If browsers cannot show it, or show it otherwise than the thumbnail, answer with a JPEG of it, unless the address
    asks for the `original`.
    """
    _, path = find_photo(image_id)
    with path.open("rb") as file:
        kind = browser_type(file)
    if kind is None and "original" not in request.args:
        response = _rendition(image_id, path)
    else:
        response = send_file(path, mimetype=kind or DOWNLOAD, conditional=True, max_age=0, as_attachment=kind is None)
    response.headers["Content-Security-Policy"] = BARE_PHOTO_POLICY
    return response


def _rendition(image_id: str, path: Path) -> Response:
    """Return a JPEG of the photo; it is not made again for a browser that has the JPEG of the same file."""
    status = path.stat()
    response = Response(mimetype=RENDITION_TYPE)
    response.set_etag(f"{RENDITION_TYPE}-{status.st_mtime_ns:x}-{status.st_size:x}")
    response.cache_control.no_cache = True
    response.make_conditional(request)
    if response.status_code == 200:
        data, _ = read_bytes(path, what=image_id)
        response.data = make_rendition(data, what=image_id)
    return response


@blueprint.get("/thumbnail/<path:image_id>")
def thumbnail(image_id: str) -> Response:
    """Answer with a small copy of the photo in WebP.

    Browsers keep it for good if the address names the content (`v`). Otherwise they ask for it again.
    """
    document = services().search.get(image_id)
    path = services().thumbnails.path(document.content_hash) if document.content_hash else None
    if path is None or not path.exists():
        path = _make_thumbnail(image_id)
    named = request.args.get("v") == document.content_hash[:12] and path.stem == document.content_hash
    response = send_file(path, mimetype="image/webp", conditional=True, max_age=A_YEAR if named else 0)
    if named:
        response.cache_control.immutable = True
    return response


def _make_thumbnail(image_id: str) -> Path:
    """Make a thumbnail and return its path.

    Its name comes from the present content of the file, which may have changed since it was indexed.
    """
    data = read_photo(image_id)
    return services().thumbnails.make(decode_image(data, what=image_id), content_hash=content_hash(data))
