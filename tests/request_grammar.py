"""Random requests to the pages and the search API.

Most of them are such as people and programs send, and half of these have an odd value or two beside valid ones. The
rest are wild: any parameters, as many as come, with any values.

The parameters come from the schemas, and the pages from the app's routes, so new ones are covered by themselves. A
request depends only on the seed and its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from random import Random
from urllib.parse import quote

from apiflask.fields import List
from flask import Flask

from app.search_request.page_form import PageSchema
from app.search_request.request import PART_NAMES
from app.search_request.schemas import QuerySchema, UploadSchema
from image_embeddings import MAX_PARTS
from tests.request_values import PHOTOS, Values
from tests.server.web_client import picture

BLUEPRINTS = ("pages", "photos", "api")
WILD, ODD = 0.15, 0.4  # shares of all requests
RESULTS = ("/image_search", "/similar_image", "/api/v1/search")  # have most of the parameters
OF_PATHS = {"lang": None, "v": None, "original": None}  # parameters that are in no schema


@dataclass
class Sent:
    """One request."""

    method: str
    address: str
    query: list[tuple[str, str]] = field(default_factory=list)
    form: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, bytes, str]] = field(default_factory=list)  # field, content, name of the file
    is_multipart: bool = True
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, client):
        """Return the answer, after redirects."""
        data: dict[str, list[object]] = {}
        for name, value in self.form:
            data.setdefault(name, []).append(value)
        for name, content, filename in self.files:
            data.setdefault(name, []).append((BytesIO(content), filename))
        kind = "multipart/form-data" if self.is_multipart or self.files else "application/x-www-form-urlencoded"
        body = {"data": data, "content_type": kind} if self.method == "POST" else {}
        return client.open(
            self.address,
            method=self.method,
            query_string=self.query,
            headers=self.headers,
            follow_redirects=True,
            **body,
        )


class Grammar:
    """Makes requests for an app. `copies` are copies of uploads as its pages carry them along."""

    def __init__(self, app: Flask, *, seed: int, copies: Sequence[str]) -> None:
        self._seed = seed
        self._random = Random(seed)
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.split(".")[0] in BLUEPRINTS]
        self._routes = sorted((rule.rule, method) for rule in rules for method in rule.methods & {"GET", "POST"})
        self._results = [route for route in self._routes if route[0] in RESULTS]
        self._api, self._api_upload, self._page = map(_fields_of, (QuerySchema(), UploadSchema(), PageSchema()))
        self._all = {**self._api_upload, **self._page, **OF_PATHS}
        self._values = Values(self._random, fields=self._all, copies=copies)

    def make(self, number: int) -> Sent:
        """Return the request of that number."""
        random = self._random
        random.seed(f"{self._seed} {number}")
        chance = random.random()
        address, method = random.choice(self._results if random.random() < 0.75 else self._routes)
        is_wild = chance < WILD
        pairs = self._any_pairs() if is_wild else self._usual_pairs(address, method)
        if not is_wild and chance < WILD + ODD:
            self._spoil(pairs)
        files = []
        if method == "POST":
            files = self._any_files() if is_wild or random.random() < 0.1 else self._usual_files(address)
        in_form = len(pairs) if method == "POST" else 0
        if is_wild or random.random() < 0.2:
            in_form = random.randint(0, in_form)
        return Sent(
            method="HEAD" if method == "GET" and random.random() < 0.03 else method,
            address=address.replace("<path:image_id>", quote(self._photo(is_wild))),
            query=pairs[in_form:],
            form=pairs[:in_form],
            files=files,
            is_multipart=random.random() < 0.7,
            headers={"Accept-Language": random.choice(("en", "de", "fr", "ja", "xx;q=2"))},
        )

    def _photo(self, is_wild: bool) -> str:
        return self._values.odd("like") if is_wild or self._random.random() < 0.2 else self._random.choice(PHOTOS)

    # Requests as they are usual

    def _usual_pairs(self, address: str, method: str) -> list[tuple[str, str]]:
        """Return valid values of parameters that go together, those of a form's buttons only now and then."""
        random = self._random
        if address not in (*RESULTS, "/api/v1/searches"):
            return [(name, self._values.valid(name)) for name in random.sample(list(OF_PATHS), random.randrange(2))]
        is_page = not address.startswith("/api/")
        known = self._page if is_page else self._api_upload if method == "POST" else self._api
        if method == "GET" and address == "/similar_image":
            first = ["id"]
        else:
            wanted = ("like", "text", "id", "picture") if is_page else ("like",)
            first = ["q" if random.random() < 0.6 else random.choice(wanted)]
        others = [name for name in known if name not in ("image", "weight", "edit", *first)]
        pairs = []
        for name in (*first, *random.sample(others, random.choice((0, 1, 2, 3, 5)))):
            times = random.choice((1, 1, 1, 2, 3)) if isinstance(known[name], List) else 1
            pairs += [(name, self._values.valid(name)) for _ in range(times)]
        parts = sum(name in (*PART_NAMES, "picture") for name, _ in pairs)
        if 0 < parts <= MAX_PARTS and random.random() < 0.15:
            pairs += [("weight", self._values.valid("weight")) for _ in range(parts)]
        if is_page and random.random() < 0.1:
            pairs.append(("edit", self._values.edit(parts)))
        random.shuffle(pairs)
        return pairs

    def _spoil(self, pairs: list[tuple[str, str]]) -> None:
        """Make one or two of the values odd, or add such a value, or spell a name wrong."""
        random = self._random
        for _ in range(random.choice((1, 1, 2))):
            place = random.randrange(len(pairs) + 1)
            if place == len(pairs):
                name = random.choice(list(self._all))
                pairs.append((name, self._values.odd(name)))
            else:
                name = pairs[place][0]
                is_misspelt = random.random() < 0.05
                pairs[place] = (self._values.odd_text() if is_misspelt else name, self._values.odd(name))

    def _usual_files(self, address: str) -> list[tuple[str, bytes, str]]:
        random = self._random
        colours = random.choices(("red", "green", "blue"), k=random.choice((0, 1, 1, 1, 2, 4)))
        if address == "/api/v1/searches":
            colours.append("red")
        return [("image", picture(colour, size=(64, random.choice((1, 40)))), "a.png") for colour in colours]

    # Wild ones

    def _any_pairs(self) -> list[tuple[str, str]]:
        random = self._random
        pairs = []
        for name in random.choices(list(self._all), k=random.choice((0, 1, 2, 3, 4, 6, 10))):
            times = random.choice((1, 1, 1, 2, 3, 11, 51)) if random.random() < 0.4 else 1
            make = self._values.odd if random.random() < 0.4 else self._values.valid
            pairs += [(self._values.odd_text() if random.random() < 0.02 else name, make(name)) for _ in range(times)]
        random.shuffle(pairs)
        return pairs

    def _any_files(self) -> list[tuple[str, bytes, str]]:
        random = self._random
        whole = picture(random.choice(("red", "green")), size=(random.choice((1, 30, 64)), random.choice((1, 40))))
        contents = (whole, whole, whole[: random.randrange(len(whole))], b"", b"no photo", b"GIF89a")
        names = ("a.png", "", "x" * 500, "../a\n.png", "ü'\"<b>.jpg")
        return [
            (random.choice(("image", "image", "image", "picture", "q")), random.choice(contents), random.choice(names))
            for _ in range(random.choice((0, 1, 1, 2, 3, 21)))
        ]


def _fields_of(schema):
    return {str(each.data_key or each.name): each for each in schema.load_fields.values()}
