"""Values of the parameters of a search: valid ones, ones at the bounds, and nonsense.

What is not listed here comes from the fields of the schemas, so a new parameter has values, too.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from apiflask.fields import Boolean
from apiflask.validators import OneOf

PHOTOS = ("warm/red.png", "warm/yellow.png", "cold/deep/blue.png", "cold/deep/green.png")
FOLDERS = ("warm", "cold", "cold/deep")
COLOURS = ("red", "blue", "green", "yellow")
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
NUMBERS = ("", " ", "NaN", "inf", "-1", "1e999", "-0", "0x10", "1_0", "5e-324", "0.001", "0.01", "10", "10.1")
NONSENSE = (
    *NUMBERS,
    *("null", "true", "'", '"', "<script>alert(1)</script>", "{{7*7}}", "${x}", "*:* OR _id:[* TO *]", '{"$ne":null}'),
    *("../../etc/passwd", "..", "/", "//", "%", "%00", "%ff", "#", "=", "==", "x=", "=x"),
    "\udcff".encode("utf-8", "replace").decode(),
)
PHOTO_FIELDS = ("like", "unlike", "add", "id")
PIXEL_FIELDS = ("min_width", "min_height")


class Values:
    """Makes values. `fields` are the parameters, and `copies` are copies of uploads as pages carry them along."""

    def __init__(self, random: Random, *, fields: Mapping[str, Any], copies: Sequence[str]) -> None:
        self._random, self._fields, self._copies = random, fields, copies

    def valid(self, name: str) -> str:
        """Return a value that the parameter can have."""
        random = self._random
        listed: dict[str, Callable[[], str]] = {
            **dict.fromkeys(PHOTO_FIELDS, self._photo),
            **dict.fromkeys(("from", "to"), self._date),
            **dict.fromkeys(PIXEL_FIELDS, lambda: random.choice(("0", "1", "48", "64", "640", "2147483647"))),
            "folder": lambda: random.choice(FOLDERS),
            "column": lambda: random.choice(("shelf=3", "shelf=", "=", "a b=c=d")),
            "place": self._box,
            "k": lambda: random.choice(("1", "2", "20", "1000")),
            "offset": lambda: random.choice(("0", "0", "1", "20", "9990", "10000")),
            "weight": lambda: random.choice(("1", "0.5", "0.01", "10")),
            "collection": lambda: random.choice(("all", "in warm", "in cold/deep")),
            "picture": lambda: random.choice(self._copies) + self._fragment(),
            "lang": lambda: random.choice(("de", "fr", "ja")),
        }
        if name in listed:
            return listed[name]()
        field = self._fields.get(name)
        field = getattr(field, "inner", field)
        if isinstance(field, Boolean):
            return random.choice(("true", "false", "0", "1"))
        choices = [each.choices for each in getattr(field, "validators", ()) if isinstance(each, OneOf)]
        return random.choice(list(choices[0])) if choices else self._text()

    def odd(self, name: str) -> str:
        """Return a value near the bounds of the parameter, one of another parameter, or nonsense."""
        random = self._random
        chance = random.random()
        if chance < 0.2:
            return random.choice(NONSENSE)
        if chance < 0.35:
            return self.odd_text()
        if chance < 0.45:
            return self.valid(random.choice(list(self._fields)))
        listed: dict[str, Callable[[], str]] = {
            **dict.fromkeys(PHOTO_FIELDS, lambda: random.choice((*PHOTOS, "gone.jpg")) + self._odd_fragment()),
            **dict.fromkeys(("from", "to"), self._odd_date),
            **dict.fromkeys((*PIXEL_FIELDS, "k", "offset"), self._odd_whole_number),
            "folder": lambda: random.choice(("/warm/", "nowhere", "warm/", "cold//deep", "WARM", "")),
            "orientation": lambda: random.choice(("round", "Portrait", "portrait ")),
            "column": lambda: random.choice(("shelf", "", self._text(), "#" * 99, "x" * 101)) + "=" + self._text(),
            "place": self._odd_box,
            "sort": lambda: random.choice(("size", "Newest", "relevance,newest")),
            "weight": lambda: random.choice(("0", "1e-320", "10.000001", self._number())),
            "edit": lambda: self.edit(12),
            "collection": lambda: random.choice(("", "all x", "in", "in ", f"in {self._text()}")),
            "picture": lambda: random.choice((*self._copies, "data:image/webp;base64,AAAA")) + self._odd_fragment(),
            "lang": lambda: random.choice(("xx", "")),
        }
        return listed.get(name, self._odd_words)()

    def edit(self, parts: int) -> str:
        """Return a change of one of so many parts of the query."""
        random = self._random
        number = random.randrange(max(parts, 1))
        what = random.choice(("remove", "turn", "only", "weigh", "unfilter", "drop"))
        weight = random.choice(("0.5", "1", "10", self._number()))
        return what if what == "unfilter" else f"{what} {number} {weight}" if what == "weigh" else f"{what} {number}"

    def odd_text(self) -> str:
        """Return characters of all sorts, seldom so many that an address with them is too long."""
        random = self._random
        lengths, weights = (1, 2, 5, 20, 99, 101, 300, 1000, 1001, 3000), (6, 6, 6, 6, 3, 3, 2, 1, 1, 1)
        length = random.choices(lengths, weights)[0]
        return "".join(random.choices((*ODD_CHARACTERS, *WORDS), k=length))[:length]

    def _text(self) -> str:
        random = self._random
        return " ".join(random.choices((*COLOURS, *WORDS), k=random.choice((1, 1, 2, 3))))

    def _odd_words(self) -> str:
        random = self._random
        return random.choice(("", " ", "  ", "-", "\u3000")).join(
            random.choices(WORDS, k=random.choice((1, 2, 12, 40)))
        )

    def _photo(self) -> str:
        return self._random.choice(PHOTOS) + self._fragment()

    def _fragment(self) -> str:
        """Return a part of a photo, or the whole."""
        random = self._random
        if random.random() < 0.6:
            return ""
        left, top = random.choice(("0", "50", "33.333333")), random.choice(("0", "99", "12.5"))
        return f"#xywh=percent:{left},{top},{random.choice(('0.000001', '1', '50'))},{random.choice(('1', '0.5'))}"

    def _odd_fragment(self) -> str:
        random = self._random
        edges = [random.choice(("0", "50", "100", "0.000001", "33.333333", self._digits())) for _ in range(4)]
        return "#xywh=percent:" + ",".join(edges[: random.choice((4, 4, 4, 3))])

    def _digits(self) -> str:
        random = self._random
        return random.choice(("", "", "-", "+", " ")) + "".join(
            random.choices(DIGITS, weights=(9, 9, 9, 1, 1, 1, 1, 1, 1), k=random.choice((1, 2, 4, 30)))
        )

    def _odd_whole_number(self) -> str:
        return self._random.choice((self._digits(), "0", "1001", "10001", "2147483647", "2147483648", "1.0", "1e1"))

    def _number(self) -> str:
        random = self._random
        return random.choice(
            (f"{random.uniform(-400, 400):.3f}", str(random.randrange(-200, 200)), self._digits(), "1e-9")
        )

    def _date(self) -> str:
        random = self._random
        year, month, day = random.choice(("2024", "2023", "0001", "9999", "1970")), *random.choices(range(1, 13), k=2)
        return f"{year}-{month:02}-{day:02}"[: random.choice((4, 7, 10))]

    def _odd_date(self) -> str:
        random = self._random
        year = random.choice(("2024", "2023", "0000", "9999", self._digits()))
        month, day = f"{random.randrange(14):02}", f"{random.randrange(33):02}"
        return random.choice("-/").join((year, month, day)[: random.choice((1, 2, 3, 3))])

    def _box(self) -> str:
        random = self._random
        south, north = sorted(random.choices((-90, -12.5, 0, 0.0001, 47, 90), k=2))
        west, east = random.choices((-180, -0.0001, 0, 8, 179.9999, 180), k=2)  # over the date line as well
        return random.choice((",", ", ")).join(map(str, (south, west, north, east)))

    def _odd_box(self) -> str:
        random = self._random
        edges = [random.choice(("0", "90", "-90", "180", "-180", "0.0001", self._number())) for _ in range(4)]
        return random.choice((",", ",", ", ", ";")).join(edges[: random.choice((4, 4, 4, 4, 3))])
