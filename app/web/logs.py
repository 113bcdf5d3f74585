"""Log lines of the web app: those of a request carry its id, and each request leaves one access line."""

import logging
from urllib.parse import quote

from apiflask import APIFlask
from flask import Response, request

from app.web.request_record import record, request_fields
from image_embeddings import Settings, log_formatter

IN_A_PATH = "/:@!$&'()*+,;=~"  # what stands there unquoted
WERKZEUGS_ACCESS_LINE = '"%s" %s %s'  # the end of its message, before the values are put in

access = logging.getLogger("app.access")


def init_app(app: APIFlask, settings: Settings) -> None:
    """Has log lines printed as the settings say, unless somebody has set up logging before."""
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter(settings.log_format, fields=request_fields))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("app").setLevel(logging.INFO)
    logging.getLogger("werkzeug").addFilter(_is_no_access_line)

    @app.after_request
    def tell(response: Response) -> Response:
        if access.isEnabledFor(logging.INFO):
            _tell(response.status_code, with_query=settings.log_queries)
        return response


def _tell(status: int, *, with_query: bool) -> None:
    """The access line. The query may be a person's search: it is left out unless it is wanted."""
    seen = record()
    path = quote(request.path, safe=IN_A_PATH)
    if with_query and request.query_string:
        path += "?" + quote(request.query_string, safe=IN_A_PATH + "?%")
    milliseconds = round(seen.milliseconds, 2)
    fields = {
        "method": request.method,
        "path": path,
        "status": status,
        "ms": milliseconds,
        "endpoint": request.endpoint,
        "error": seen.error_code,
    }
    code = f" {seen.error_code}" if seen.error_code else ""
    access.info("%s %s %d %.1f ms%s", request.method, path, status, milliseconds, code, extra={"fields": fields})


def _is_no_access_line(line: logging.LogRecord) -> bool:
    """False for what `flask run` prints of each request by itself, query and all."""
    return not str(line.msg).endswith(WERKZEUGS_ACCESS_LINE)
