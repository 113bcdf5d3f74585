"""What other sites are refused, and what caches may keep; `tests/browser/test_other_sites.py` tries it in Chromium."""

import pytest
from flask import Response

from app import create_app
from app.services import Services
from app.web.delivery import static_url_path
from image_embeddings.config import load_settings


def never(settings):
    raise AssertionError("a refused request looked something up")


def app_of(tmp_path, **settings):
    made = load_settings({"ES_HOST": "http://not.asked:9200", "DATA_DIR": str(tmp_path), **settings})
    app = create_app(made, services=Services(made, open_search=never, open_index=never))

    @app.route("/probe", methods=["GET", "POST", "PUT"])
    def probe():
        return "answered"

    return app


@pytest.fixture
def client(tmp_path):
    return app_of(tmp_path).test_client()


def fetch(site, mode, dest, **more):
    named = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, **more}
    return {name.replace("_", "-"): value for name, value in named.items()}


# What pages of other sites make browsers send, each with the method.
EMBEDDED = {
    "img": ("GET", fetch("cross-site", "no-cors", "image")),
    "video": ("GET", fetch("cross-site", "no-cors", "video", Range="bytes=0-")),
    "script": ("GET", fetch("cross-site", "no-cors", "script")),
    "module": ("GET", fetch("cross-site", "cors", "script", Origin="http://evil.example")),
    "style": ("GET", fetch("cross-site", "no-cors", "style")),
    "iframe": ("GET", fetch("cross-site", "navigate", "iframe")),
    "iframe, clicked": ("GET", fetch("cross-site", "navigate", "iframe", Sec_Fetch_User="?1")),
    "object": ("GET", fetch("cross-site", "navigate", "object")),
    "embed": ("GET", fetch("cross-site", "no-cors", "embed")),
    "fetch": ("GET", fetch("cross-site", "no-cors", "empty")),
    "fetch with cors": ("GET", fetch("cross-site", "cors", "empty", Origin="http://evil.example")),
    "posted by fetch": ("POST", fetch("cross-site", "no-cors", "empty", Origin="http://evil.example")),
    "preflight": ("OPTIONS", fetch("cross-site", "cors", "empty", Access_Control_Request_Method="PUT")),
    "form": ("POST", fetch("cross-site", "navigate", "document", Origin="http://evil.example")),
    "form of a frame": ("POST", fetch("cross-site", "navigate", "document", Origin="null")),
    "prefetch": ("GET", fetch("cross-site", "navigate", "document", Sec_Purpose="prefetch")),
    "prerender": ("GET", fetch("cross-site", "navigate", "document", Sec_Purpose="prefetch;prerender")),
    "img of another port": ("GET", fetch("same-site", "no-cors", "image")),
    "form of another port": ("POST", fetch("same-site", "navigate", "document", Origin="http://localhost:3000")),
    "frame of another port": ("GET", fetch("same-site", "navigate", "iframe")),
    "a site of a kind to come": ("GET", fetch("near-site", "no-cors", "image")),
    "without mode": ("GET", {"Sec-Fetch-Site": "cross-site"}),
}
# Without Fetch Metadata, so to a plain address of the network.
ORIGINS = (
    "http://evil.example",
    "null",
    "",
    "http://localhost:3000",
    "http://localhost.evil.example",
    "http://evil.example/localhost",
    "http://localhost@evil.example",
    "http://[",
    "http://192.168.1.5",
    "chrome-extension://abcdef",
)


@pytest.mark.parametrize("kind", EMBEDDED)
def test_other_sites_can_load_and_send_nothing(client, kind):
    method, headers = EMBEDDED[kind]
    for path in ("/probe", "/image/a.jpg", "/nowhere", "/healthz", "/api/v1/search?q=a"):
        assert client.open(path, method=method, headers=headers).status_code == 403, path


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_without_fetch_metadata_the_origin_tells(client, origin, method):
    assert client.open("/probe", method=method, headers={"Origin": origin}).status_code == 403


def test_every_address_is_refused_before_anything_is_looked_up(tmp_path):
    app = app_of(tmp_path)
    for rule in app.url_map.iter_rules():
        path = app.url_map.bind("localhost").build(rule.endpoint, dict.fromkeys(rule.arguments, "x"))
        for method in rule.methods:
            answer = app.test_client().open(path, method=method, headers=EMBEDDED["img"][1])
            assert answer.status_code == 403, rule


@pytest.mark.parametrize("path", ["/image/{}", "/thumbnail/{}", "/api/v1/images/{}", "/similar_image?id={}"])
def test_a_refusal_is_the_same_whatever_photo_it_names(client, path):
    told = set()
    for image_id in ("a.jpg", "cats/tiger.jpg", "../x", "%00", "x" * 900):
        answer = client.get(path.format(image_id), headers={**EMBEDDED["img"][1], "X-Request-ID": "mine"})
        told.add((answer.status_code, answer.data, *answer.headers))
    assert len(told) == 1
    assert answer.headers["Cache-Control"] == "no-store"


VISITS = {
    "no browser": ("POST", {}),
    "typed": ("GET", fetch("none", "navigate", "document")),
    "its own page": ("GET", fetch("same-origin", "navigate", "document")),
    "its own picture": ("GET", fetch("same-origin", "no-cors", "image")),
    "its own form": ("POST", fetch("same-origin", "navigate", "document", Origin="http://localhost")),
    "its own form without metadata": ("POST", {"Origin": "http://localhost"}),
    "its own script without metadata": ("GET", {"Origin": "http://LOCALHOST"}),
    "a link": ("GET", fetch("cross-site", "navigate", "document", Sec_Fetch_User="?1")),
    "a script that leads here": ("GET", fetch("cross-site", "navigate", "document")),
    "a link of another port": ("GET", fetch("same-site", "navigate", "document")),
}


@pytest.mark.parametrize("kind", VISITS)
def test_visitors_and_programs_are_answered(client, kind):
    method, headers = VISITS[kind]
    assert client.open("/probe", method=method, headers=headers).text == "answered"


def test_the_origin_may_be_one_of_the_trusted_hosts_if_a_proxy_names_another(tmp_path):
    client = app_of(tmp_path, TRUSTED_HOSTS="photos.example, .home.example").test_client()
    for origin, status in {
        "https://photos.example": 200,
        "http://photos.example:8443": 200,
        "http://a.home.example": 200,
        "http://x.photos.example": 403,
        "http://127.0.0.1": 403,
        "http://evil.example": 403,
    }.items():
        assert client.post("/probe", headers={"Origin": origin, "Host": "127.0.0.1:5001"}).status_code == status, origin


def test_behind_a_trusted_proxy_the_origin_is_compared_with_the_forwarded_name(tmp_path):
    client = app_of(tmp_path, TRUSTED_PROXIES="127.0.0.1", TRUSTED_HOSTS="example.org").test_client()
    forwarded = {"X-Forwarded-Host": "example.org", "X-Forwarded-Proto": "https"}
    assert client.post("/probe", headers={"Origin": "https://example.org", **forwarded}).status_code == 200
    assert client.post("/probe", headers={"Origin": "https://evil.example", **forwarded}).status_code == 403


@pytest.mark.parametrize(
    "path", ["/probe", "/nowhere", "/healthz", "/metrics", "/api/v1/nope", "/image/x", "/static/x"]
)
@pytest.mark.parametrize("headers", [{}, EMBEDDED["img"][1], {"Host": "evil.example"}])
def test_every_answer_has_the_walls(client, path, headers):
    answer = client.get(path, headers=headers)
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers.get("Cross-Origin-Opener-Policy") == (None if path == "/image/x" else "same-origin")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_a_policy_of_a_views_own_forbids_frames_too(tmp_path):
    app = app_of(tmp_path)

    @app.get("/own")
    def own():
        return Response("x", headers={"Content-Security-Policy": "default-src 'none'; sandbox"})

    policy = app.test_client().get("/own").headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; sandbox; frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("set_by_view", "kind", "sent"),
    [
        (None, "text/html", "no-cache, private"),
        (None, "application/json", "no-store"),
        (None, "text/plain", "no-store"),
        (None, "image/webp", "no-store"),
        ("public, max-age=60, immutable", "image/webp", "max-age=60, immutable, private"),
        ("public", "image/webp", "no-store"),
        ("no-cache, max-age=0", "image/jpeg", "no-cache, max-age=0, private"),
        ("no-cache", "application/json", "no-cache, private"),
        ("no-store", "text/html", "no-store"),
        ("public, no-store", "text/html", "no-store"),
        ("public, s-maxage=60, max-age=60", "text/html", "max-age=60, private"),
    ],
)
def test_only_the_visitors_own_browser_keeps_answers(tmp_path, set_by_view, kind, sent):
    app = app_of(tmp_path)

    @app.get("/own")
    def own():
        return Response("x", content_type=kind, headers={"Cache-Control": set_by_view} if set_by_view else {})

    told = app.test_client().get("/own").headers["Cache-Control"]
    assert set(told.split(", ")) == set(sent.split(", "))


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/nowhere", {"no-cache", "private"}),
        ("/favicon.ico", {"no-cache", "private"}),
        ("/?lang=de", {"no-cache", "private"}),
        ("/healthz", {"no-store"}),
        ("/metrics", {"no-store"}),
        ("/api/openapi.json", {"no-store"}),
        ("/api/v1/nope", {"no-store"}),
        (f"{static_url_path()}/main.js", {"public", "max-age=31536000", "immutable"}),
    ],
)
def test_what_caches_are_told_of_the_apps_own_answers(client, path, sent):
    with client.get(path) as answer:
        assert set(answer.headers["Cache-Control"].split(", ")) == sent
