"""Random requests to the pages and the search API: valid values, values at the bounds, and nonsense, in all mixtures.

The parameters come from the schemas, and the pages from the app's routes, so new ones are covered by themselves. A
request depends only on the seed and its number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from random import Random

from apiflask.fields import List
from flask import Flask

from app.search_request.page_form import PageSchema
from app.search_request.schemas import UploadSchema
from tests.server.web_client import picture

BLUEPRINTS = ("pages", "photos", "api")
PHOTOS = ("warm/red.png", "warm/yellow.png", "cold/deep/blue.png", "cold/deep/green.png", "gone.jpg")
FOLDERS = ("warm", "cold", "cold/deep", "/warm/", "nowhere", "")
WORDS = (
    "red",
    "blue",
    "a",
    "the",
    "-red",
    "+blue",
    "−people",
    "–",
    "-",
    "IMG_0007",
    "l'été",
    "猫と犬",
    "の",
    "😀",
    "-5",
)
DIGITS = ("0", "1", "9", "\u0660", "\u0967", "\uff11", "²", "½", "Ⅷ")
ODD_CHARACTERS = (
    "\0\t\n\r\x1b\x1f\x7f\x85\u00a0\u200b\u202e\u2028\ufeff\ufffd\uffff\U0001f469\u200d\u0301'\"<>&%#?/\\;=+ []{}()*~^:"
)
NONSENSE = (
    *(
        "",
        " ",
        "null",
        "true",
        "NaN",
        "inf",
        "-1",
        "1e999",
        "-0",
        "0x10",
        "1_0",
        "5e-324",
        "0.001",
        "0.01",
        "10",
        "10.1",
    ),
    *(
        "'",
        '"',
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${x}",
        "*:* OR _id:[* TO *]",
        '{"$ne":null}',
        "../../etc/passwd",
    ),
    *("..", "/", "//", "%", "%00", "%ff", "#", "=", "==", "x=", "=x", "\udcff".encode("utf-8", "replace").decode()),
)


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
        """Return the answer."""
        data: dict[str, list[object]] = {}
        for name, value in self.form:
            data.setdefault(name, []).append(value)
        for name, content, filename in self.files:
            data.setdefault(name, []).append((BytesIO(content), filename))
        kind = "multipart/form-data" if self.is_multipart or self.files else "application/x-www-form-urlencoded"
        body = {"data": data, "content_type": kind} if self.method == "POST" else {}
        return client.open(self.address, method=self.method, query_string=self.query, headers=self.headers, **body)


class Grammar:
    """Makes requests for an app. `copies` are copies of uploads as its pages carry them along."""

    def __init__(self, app: Flask, *, seed: int, copies: Sequence[str]) -> None:
        self._seed, self._copies = seed, copies
        self._random = Random(seed)
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.split(".")[0] in BLUEPRINTS]
        self._routes = sorted((rule.rule, method) for rule in rules for method in rule.methods & {"GET", "POST"})
        loaded = {**UploadSchema().load_fields, **PageSchema().load_fields}
        fields = {str(each.data_key or each.name): isinstance(each, List) for each in loaded.values()}
        self._fields = {**fields, "lang": False, "v": False, "original": False, "image": True}

    def make(self, number: int) -> Sent:
        """Return the request of that number."""
        random = self._random = Random(f"{self._seed} {number}")
        rule, method = random.choice(self._routes)
        if random.random() < 0.6:  # the pages of results have most of the parameters
            rule, method = random.choice(
                (("/image_search", "GET"), ("/similar_image", "GET"), ("/similar_image", "POST"))
            )
        address = rule.replace("<path:image_id>", self._encoded(self._value("like")))
        pairs = self._pairs()
        cut = random.randrange(len(pairs) + 1) if method == "POST" else 0
        return Sent(
            method="HEAD" if method == "GET" and random.random() < 0.03 else method,
            address=address,
            query=pairs[cut:] if cut else pairs if method == "GET" else [],
            form=pairs[:cut],
            files=self._files() if method == "POST" else [],
            is_multipart=random.random() < 0.7,
            headers={"Accept-Language": random.choice(("en", "de", "fr", "ja", "xx;q=2"))},
        )

    def _pairs(self) -> list[tuple[str, str]]:
        random = self._random
        names = random.choices(list(self._fields), k=random.choice((0, 1, 2, 3, 4, 6, 10)))
        if random.random() < 0.5:
            names.append(random.choice(("q", "like", "folder")))
        pairs = []
        for name in names:
            times = random.choice((1, 1, 1, 2, 3, 11, 51)) if self._fields[name] or random.random() < 0.1 else 1
            pairs += [(self._misspelt(name), self._value(name)) for _ in range(times)]
        random.shuffle(pairs)
        return pairs

    def _misspelt(self, name: str) -> str:
        return self._odd_text() if self._random.random() < 0.02 else name

    def _value(self, name: str) -> str:
        """Return a value of a parameter: mostly one of its own kind, else one of another, or anything."""
        random, kind = self._random, name
        chance = random.random()
        if chance < 0.08:
            return random.choice(NONSENSE)
        if chance < 0.14:
            return self._odd_text()
        if chance < 0.18:
            kind = random.choice(list(self._fields))
        return self._kinds().get(kind, self._text)()

    def _kinds(self) -> dict[str, Callable[[], str]]:
        random = self._random
        pixels = lambda: random.choice((self._digits(), "0", "1", "640", "2147483647", "2147483648"))  # noqa: E731
        return {
            **dict.fromkeys(("like", "unlike", "add", "id"), self._photo),
            **dict.fromkeys(("from", "to"), self._date),
            **dict.fromkeys(("min_width", "min_height"), pixels),
            **dict.fromkeys(("words", "facets", "verdict", "fold"), lambda: random.choice(("true", "false", "0", "x"))),
            "folder": lambda: random.choice(FOLDERS),
            "orientation": lambda: random.choice(("landscape", "portrait", "square", "round")),
            "column": lambda: random.choice(("shelf", "", self._text(), "#" * 99, "x" * 101)) + "=" + self._text(),
            "place": self._box,
            "k": lambda: random.choice((self._digits(), "1", "2", "20", "1000", "1001")),
            "offset": lambda: random.choice((self._digits(), "0", "1", "20", "9990", "10000")),
            "sort": lambda: random.choice(("relevance", "newest", "oldest", "size")),
            "weight": lambda: random.choice(("1", "0.5", "0.01", "10", "0", "1e-320", self._number())),
            "edit": self._edit,
            "collection": lambda: random.choice(("", "all", "in warm", "in ", "all x", f"in {self._text()}")),
            "picture": lambda: random.choice((*self._copies, "data:image/webp;base64,AAAA")) + self._fragment(),
            "lang": lambda: random.choice(("de", "fr", "xx", "")),
        }

    def _text(self) -> str:
        random = self._random
        words = random.choices(WORDS, k=random.choice((1, 1, 2, 3, 12)))
        return random.choice(("", " ")).join(words) if random.random() < 0.1 else " ".join(words)

    def _odd_text(self) -> str:
        random = self._random
        length = random.choice((1, 2, 5, 20, 99, 101, 300, 1000, 1001, 3000))
        return "".join(random.choices((*ODD_CHARACTERS, *WORDS), k=length))[:length]

    def _digits(self) -> str:
        random = self._random
        return random.choice(("", "", "-", "+", " ")) + "".join(
            random.choices(DIGITS, weights=(9, 9, 9, 1, 1, 1, 1, 1, 1), k=random.choice((1, 2, 4, 30)))
        )

    def _number(self) -> str:
        random = self._random
        return random.choice(
            (f"{random.uniform(-400, 400):.3f}", str(random.randrange(-200, 200)), self._digits(), "1e-9")
        )

    def _date(self) -> str:
        random = self._random
        year = random.choice(("2024", "2023", "0001", "9999", "0000", "1970", self._digits()))
        month, day = f"{random.randrange(14):02}", f"{random.randrange(33):02}"
        return "-".join((year, month, day)[: random.choice((1, 2, 3, 3))])

    def _box(self) -> str:
        random = self._random
        edges = [random.choice(("0", "90", "-90", "180", "-180", "0.0001", self._number())) for _ in range(4)]
        return random.choice((",", ",", ", ", ";")).join(edges[: random.choice((4, 4, 4, 4, 3))])

    def _photo(self) -> str:
        return self._random.choice(PHOTOS) + self._fragment()

    def _fragment(self) -> str:
        random = self._random
        if random.random() < 0.6:
            return ""
        edges = [random.choice(("0", "50", "100", "0.000001", "33.333333", self._digits())) for _ in range(4)]
        return "#xywh=percent:" + ",".join(edges)

    def _edit(self) -> str:
        random = self._random
        what = random.choice(("remove", "turn", "only", "weigh", "unfilter", "drop"))
        return " ".join((what, str(random.randrange(12)), self._number())[: random.choice((1, 2, 3))])

    def _files(self) -> list[tuple[str, bytes, str]]:
        random = self._random
        colour = random.choice(("red", "green", "blue"))
        whole = picture(colour, size=(random.choice((1, 30, 64)), random.choice((1, 40))))
        contents = (whole, whole, whole[: random.randrange(len(whole))], b"", b"no photo", b"GIF89a")
        names = ("a.png", "", "x" * 500, "../a\n.png", "ü'\"<b>.jpg")
        return [
            (random.choice(("image", "image", "image", "picture", "q")), random.choice(contents), random.choice(names))
            for _ in range(random.choice((0, 1, 1, 2, 3, 21)))
        ]

    @staticmethod
    def _encoded(image_id: str) -> str:
        from urllib.parse import quote

        return quote(image_id)
