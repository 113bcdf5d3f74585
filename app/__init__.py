"""The web app: HTTP in, HTML or JSON out."""

from apiflask import APIFlask

from app import photos
from app.api.views import ErrorSchema, health
from app.api.views import blueprint as api
from app.pages import tiles
from app.pages.views import blueprint as pages
from app.services import Services
from app.web import delivery, errors, languages, logs, metrics, request_record
from image_embeddings import Settings, load_settings

# The page runs its own script and style, and shows its own pictures: nothing else, from nowhere else.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create_app(settings: Settings | None = None, *, services: Services | None = None) -> APIFlask:
    """The app for these settings (default: from the environment). Nothing is connected or loaded until it is needed."""
    settings = settings or load_settings()
    # The photos of app/static/images are not static files: /image serves those that are in the index.
    app = APIFlask(
        __name__,
        title="Image search",
        version="1",
        static_folder=delivery.STATIC_FOLDER,
        static_url_path=delivery.static_url_path(),
        docs_path=None,
        spec_path="/api/openapi.json",
    )
    app.config.from_mapping(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=settings.max_content_length,
        TRUSTED_HOSTS=list(settings.trusted_hosts) if settings.trusted_hosts else None,
        OPENAPI_VERSION="3.1.0",
        SPEC_FORMAT="json",
        SYNC_LOCAL_SPEC=False,
        HTTP_ERROR_SCHEMA=ErrorSchema,
        VALIDATION_ERROR_SCHEMA=ErrorSchema,
        VALIDATION_ERROR_STATUS_CODE=400,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["services"] = services or Services(settings)
    logs.init_app(app, settings)  # the first here is the last after a request: the access line tells of all the others
    request_record.init_app(app)
    metrics.init_app(app)
    for blueprint in (pages, photos.blueprint, api, health):
        app.register_blueprint(blueprint)
    errors.init_app(app)
    tiles.init_app(app)
    delivery.init_app(app)
    languages.init_app(app)
    app.after_request(_with_security_headers)
    return app


def _with_security_headers(response):  # type: ignore[no-untyped-def]
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response
