"""The web app: HTTP in, HTML or JSON out."""

from collections.abc import Callable
from typing import Any

from apiflask import APIFlask

from app import photos
from app.api.schemas import ErrorSchema
from app.api.views import blueprint as api
from app.api.views import health
from app.pages import tiles
from app.pages.views import blueprint as pages
from app.services import Services
from app.web import (
    addresses,
    browser_walls,
    delivery,
    errors,
    forms,
    hosts,
    json_answers,
    languages,
    login,
    metrics,
    proxies,
    request_limits,
    request_record,
    templates,
    thumbnail_addresses,
    visitors,
)
from image_embeddings import Settings, data_dir_warning, load_settings


class App(APIFlask):
    """Flask, whose functions are all synchronous here. It need not find that out at each call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function."""
        return func


def create_app(settings: Settings | None = None, *, services: Services | None = None) -> APIFlask:
    """Return the app for these settings, or for those of the environment if none are given.

    It connects to nothing and loads no model before that is needed.
    """
    settings = settings or load_settings()
    # The photos of app/static/images are not static files: /image serves those that are in the index.
    app = App(
        __name__,
        title="Image search",
        version="1",
        static_folder=delivery.STATIC_FOLDER,
        static_url_path=delivery.static_url_path(),
        docs_path=None,
        spec_path=None,  # health.openapi answers with it
    )
    app.config.from_mapping(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=settings.max_content_length,
        OPENAPI_VERSION="3.1.0",
        SPEC_FORMAT="json",
        SYNC_LOCAL_SPEC=False,
        AUTO_SERVERS=False,
        HTTP_ERROR_SCHEMA=ErrorSchema,
        VALIDATION_ERROR_SCHEMA=ErrorSchema,
        VALIDATION_ERROR_STATUS_CODE=400,
    )
    app.security_schemes = {"token": {"type": "http", "scheme": "bearer", "description": "One of API_TOKENS."}}
    json_answers.init_app(app)
    app.extensions["services"] = services or Services(settings)
    templates.init_app(app)  # before the others: they add to the templates
    # The record is set up first: so it runs last after a request, and counts and logs all of it.
    request_record.init_app(app, settings, metrics.init_app(app))
    # They refuse requests before anything else, and change the headers that others have set.
    hosts.init_app(app, settings)
    browser_walls.init_app(app, settings)
    # Then the door: nothing else runs for a visitor who may not come in.
    login.init_app(app, settings)
    for blueprint in (pages, photos.blueprint, api, health):
        app.register_blueprint(blueprint)
    errors.init_app(app)
    tiles.init_app(app)
    delivery.init_app(app)
    languages.init_app(app)
    forms.init_app(app)
    visitors.init_app(app)
    addresses.init_app(app)
    thumbnail_addresses.init_app(app)
    proxies.init_app(app, settings)
    request_limits.init_app(app)  # after what sees to uploads, because it reads forms
    if warning := data_dir_warning(settings.data_dir, photos=settings.image_dir):
        app.logger.warning(warning)
    return app
