"""Every parameter of the pages and the API: more and longer values cost no more than they are worth, on the real node.

The parameters are those of the schemas. Work is counted in calls of functions, so no test depends on a machine's speed.
"""

import cProfile
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import pairwise
from typing import ClassVar

import html5lib
import pytest
from apiflask.fields import File, List
from werkzeug.datastructures import ImmutableMultiDict, MultiDict

from app.search_request.page_form import PageSchema
from app.search_request.schemas import UploadSchema
from tests.server.web_client import colour_app, picture, shown, upload

pytestmark = pytest.mark.server

MOST_BYTES = 1_000_000  # of an answer
TIMES = 15  # how much more ten times the values or the length may cost
PHOTOS = ("warm/red.png", "warm/yellow.png", "cold/deep/blue.png")
FORM, ADDRESS, FILES = "application/x-www-form-urlencoded", "address", "multipart/form-data"
ROUTES = (
    ("/image_search", ADDRESS),
    ("/similar_image", ADDRESS),
    ("/similar_image", FORM),
    ("/similar_image", FILES),
    ("/api/v1/search", ADDRESS),
    ("/api/v1/search", FILES),
    ("/api/v1/searches", FILES),
)
BESIDE_SCHEMAS = ("lang", "v", "s", "original", "next", "password", "unknown")


def fields_of(schema):
    return {str(field.data_key or field.name): field for field in schema.load_fields.values()}


FIELDS = {**fields_of(UploadSchema()), **fields_of(PageSchema()), **dict.fromkeys(BESIDE_SCHEMAS)}
SEVERAL = [name for name, field in FIELDS.items() if isinstance(field, List)] + ["unknown"]


@dataclass
class Cost:
    """What the answer to a request takes."""

    again: Callable[[], object]  # sends the request
    calls: int
    counted_seconds: float  # while calls were counted, which takes time, too
    bytes: int

    @cached_property
    def seconds(self):
        return seconds_of(self.again)

    def is_dear(self, tenth, usual):
        """Return whether it costs too much; slow ones are sent again, because something else may have run meanwhile."""
        if self.calls > TIMES * max(tenth.calls, usual.calls):
            return True
        if self.counted_seconds <= TIMES * usual.seconds:
            return False
        most, tries = TIMES * max(tenth.seconds, usual.seconds), 5
        while self.seconds > most and tries:
            self.seconds, tries = min(self.seconds, seconds_of(self.again)), tries - 1
        return self.seconds > most


def seconds_of(send):
    begun = time.process_time()
    send()
    return time.process_time() - begun


@pytest.fixture(scope="module")
def web(cluster, tmp_path_factory):
    """The app over the colour photos; no test changes them."""
    with colour_app(cluster, tmp_path_factory.mktemp("cost"), name="test-cost") as app:
        yield app.test_client()


@pytest.fixture(scope="module")
def copies(web):
    """Copies of uploads as pages carry them along, each of another picture."""
    return [
        re.search(
            r'name="picture" value="([^"]+)"',
            web.post("/similar_image", data=upload(picture("red", size=(20 + n, 30)))).text,
        )[1]
        for n in range(10)
    ]


def value_of(name, number, copies):
    """Return a valid value of a parameter, another one for each number."""
    if name in ("like", "unlike", "add", "id"):
        return f"{PHOTOS[number % 3]}#xywh=percent:{number % 90},0,10,{1 + number // 90 % 99}"
    known = {
        "orientation": ("portrait", "square", "landscape")[number % 3],
        "column": f"shelf{number}=3",
        "weight": "1",
        "picture": copies[number % len(copies)] if copies else "",
        "text": f"red -w{number}",
    }
    return known.get(name, f"w{number}")


def repeated(name, length):
    """Return a value of that length."""
    start = {"like": PHOTOS[0], "column": "shelf=", "q": "red ", "text": "red ", "picture": "data:image/webp;base64,"}
    filling = {"q": "-w ", "text": "-w ", "not": "a ", "without": "a ", "from": "2", "place": "1,", "k": "1"}.get(
        name, "x"
    )
    return (start.get(name, "") + filling * length)[:length]


def send(web, address, how, pairs):
    if how == ADDRESS:
        return web.get(address, query_string=pairs)
    fields = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    if how == FORM:
        return web.post(address, data=fields, content_type=FORM)
    files = fields.pop("image", None)
    images = [(BytesIO(picture("red")), f"{number}.png") for number in range(len(files or "1"))]
    return web.post(address, data={**fields, "image": images}, content_type=FILES)


def cost_of(web, address, how, pairs):
    """Return what the answer takes."""
    profile = cProfile.Profile(subcalls=False)  # written in C: to count in Python takes longer than the requests
    begun = time.process_time()
    answer = profile.runcall(send, web, address, how, pairs)
    seconds = time.process_time() - begun
    calls = sum(function.callcount for function in profile.getstats())
    assert answer.status_code not in (500, 503), (address, how, str(pairs)[:300])
    size = len(answer.data) + len(answer.headers.get("Location", ""))
    return Cost(lambda: send(web, address, how, pairs), calls, seconds, size)


def costs_of(web, address, how, several):
    """Return what the answer to each of these requests takes, once the first one has filled caches."""
    send(web, address, how, several[0])
    return [cost_of(web, address, how, pairs) for pairs in several]


@pytest.fixture(scope="module")
def usual(web):
    """What a plain search takes by each route; of cheap requests, one may cost much more than the other."""
    plain = [("q", "red"), ("id", PHOTOS[0])]
    return {(address, how): costs_of(web, address, how, [plain])[0] for address, how in ROUTES}


def check(costs, usual):
    """Check that each cost is within TIMES the one before, which has a tenth of the values."""
    dear = [(tenth, whole) for tenth, whole in pairwise(costs) if whole.is_dear(tenth, usual)]
    assert dear == []
    assert max(cost.bytes for cost in costs) <= MOST_BYTES


@pytest.mark.parametrize("name", SEVERAL)
def test_ten_times_the_values_cost_little_more_than_ten_times_as_much(web, usual, copies, name):
    for address, how in ROUTES:
        is_file = isinstance(getattr(FIELDS[name], "inner", None), File)
        counts = (1, 10, 100) if is_file else (5, 50, 500) if how == FILES else (5, 50, 500, 5000)
        asked = [[("q", "red"), *((name, value_of(name, n, copies)) for n in range(count))] for count in counts]
        check(costs_of(web, address, how, asked), usual[address, how])


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "image"])
def test_a_value_ten_times_as_long_costs_little_more_than_ten_times_as_much(web, usual, name):
    for address, how in ROUTES:
        asked = [[("like", PHOTOS[1]), (name, repeated(name, length))] for length in (100, 1000, 10_000, 100_000)]
        check(costs_of(web, address, how, asked), usual[address, how])


def other_routes(web):
    """Return the routes that take no search, with a photo in place of an image_id."""
    rules = [rule for rule in web.application.url_map.iter_rules() if rule.endpoint != "static"]
    found = {
        (rule.rule.replace("<path:image_id>", PHOTOS[0]), how)
        for rule in rules
        for how, method in ((ADDRESS, "GET"), (FORM, "POST"))
        if method in rule.methods
    }
    return sorted(found - {(address, how) for address, how in ROUTES} - {("/api/v1/searches", FORM)})


def test_all_parameters_together_cost_little_on_routes_that_take_no_search(web, copies):
    for address, how in other_routes(web):
        (plain,) = costs_of(web, address, how, [[]])
        several = [
            [(name, value_of(name, n, copies)) for name in FIELDS for n in range(count)] for count in (1, 10, 100)
        ]
        long = [[(name, repeated(name, length)) for name in FIELDS] for length in (10, 100, 1000)]
        for asked in (several, long):
            check(costs_of(web, address, how, asked), plain)


class RecordedNames(ImmutableMultiDict):
    """The fields of a request. It records the names for which the app looks."""

    names: ClassVar[set[str]] = set()

    def __contains__(self, key):
        self.names.add(key)
        return super().__contains__(key)

    def __getitem__(self, key):
        self.names.add(key)
        return super().__getitem__(key)

    def getlist(self, key, *args, **options):
        self.names.add(key)
        return super().getlist(key, *args, **options)


def test_every_parameter_that_the_app_looks_for_is_one_of_these(web, monkeypatch):
    monkeypatch.setattr(web.application.request_class, "parameter_storage_class", RecordedNames)
    for address, how in (*ROUTES, *other_routes(web)):
        send(web, address, how, [("q", "red"), ("id", PHOTOS[0])])
    assert {"next", "lang", "q", "image", "k"} <= RecordedNames.names
    assert RecordedNames.names - set(FIELDS) == set()
    described = web.get("/api/openapi.json").json["paths"]
    parameters = [
        each["name"] for path in described.values() for of in path.values() for each in of.get("parameters", ())
    ]
    bodies = [
        of["requestBody"]["content"] for path in described.values() for of in path.values() if "requestBody" in of
    ]
    assert {"q", "like"} <= set(parameters)
    assert len(bodies) == 2
    assert set(parameters) - set(FIELDS) == {"image_id"}


def test_a_page_whose_filters_are_all_used_up_is_answered_and_small(web):
    names = [name for name in SEVERAL if name in ("folder", "label", "camera", "column")]
    pairs = [(name, value_of(name, n, [])) for n in range(50) for name in names]
    answer = send(web, "/image_search", ADDRESS, [("q", "red"), ("folder", "warm"), *pairs[4:]])
    assert (answer.status_code, len(answer.data) < MOST_BYTES / 2) == (200, True)
    assert set(shown(answer)) == set()


def test_many_long_filters_leave_no_links_but_can_be_removed(web):
    long = [("folder", "warm"), *(("folder", f"{number}{'x' * 190}") for number in range(35))]
    page = send(web, "/image_search", ADDRESS, [("q", "red"), *long])
    assert set(shown(page)) == {"warm/red.png", "warm/yellow.png", "warm/magenta.png"}
    assert page.text.count('<span class="tag">') == len(long)
    assert 'href="/image_search?q=red&amp;k=20">Remove all' in page.text
    short = send(web, "/image_search", ADDRESS, [("q", "red"), ("folder", "warm"), ("folder", "cold")])
    assert short.text.count('<a class="tag"') == 2


def test_a_search_too_long_for_an_address_is_refused_before_the_redirect(web):
    fields = [("q", f"{number} {'ä' * 900}") for number in range(5)]
    answer = web.post("/similar_image", data=MultiDict([*fields, ("picture", "")]))
    assert (answer.status_code, "8,000 at most" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("q=red&from=2024-5&to=2024", {"q": ["red"], "to": ["2024"]}),
        ("q=red&place=1,2,3&folder=warm", {"q": ["red"], "folder": ["warm"]}),
        ("q=red&orientation=round&orientation=square", {"q": ["red"], "orientation": ["square"]}),
        ("q=red&like=warm/red.png%23xywh=percent:0,0,0,0", {"q": ["red"]}),
        ("q=red&weight=0&label=x", {"q": ["red"], "label": ["x"]}),
        ("q=red&label=x&k=0&" + "&".join(f"folder=f{n}" for n in range(300)), {"q": ["red"], "label": ["x"]}),
        ("folder=warm&text=a+" + "+-b".join(map(str, range(60))), {"folder": ["warm"]}),
    ],
)
def test_a_refused_page_keeps_the_valid_values_and_no_others(web, asked, kept):
    page = web.get(f"/image_search?{asked}")
    tree = html5lib.parse(page.text, namespaceHTMLElements=False).find(".//form[@id='ask']")
    sent = {}
    for field in tree.iter("input"):
        if field.get("type") in ("hidden", "search") and field.get("value"):
            sent.setdefault(field.get("name"), []).append(field.get("value"))
    assert (page.status_code, {"q" if name == "text" else name: values for name, values in sent.items()}) == (400, kept)
