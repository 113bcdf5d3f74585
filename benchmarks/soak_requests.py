"""What the visitors of benchmarks/soak.py ask for: pages, JSON, photos, uploads and logins, mixed at random."""

import http.client
import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from threading import Lock
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from PIL import Image

TEXTS = (
    "bird",
    "Vögel im Wasser",
    "un chat noir",
    "fleurs",
    "雪山",
    "perro",
    "red car -people",
    "il mare di notte",
    "海",
)
WORDS = ("old", "small", "white", "green", "night", "garden", "river", "stone", "wood", "sleeping", "flying", "round")
FOLDERS = ("birds", "cats", "dogs", "changing")
FORM = "application/x-www-form-urlencoded"
LONG = 120.0  # seconds


class Sent(NamedTuple):
    """A request."""

    kind: str
    path: str
    body: bytes = b""
    content_type: str = ""


class Answer(NamedTuple):
    """What came of a request; its status is 0 if the connection was lost."""

    status: int
    headers: http.client.HTTPMessage | None = None
    body: bytes = b""


class Counts:
    """The answers by kind of request and status, and the faults among them. Threads share it."""

    def __init__(self) -> None:
        self.by_kind: Counter[tuple[str, int]] = Counter()
        self.faults: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, sent: Sent, answer: Answer) -> None:
        """Count an answer. Those of 5xx, and none at all, are faults."""
        with self._lock:
            self.by_kind[sent.kind, answer.status] += 1
            if not 0 < answer.status < 500:
                self.faults[f"{sent.kind}: {answer.status or 'no answer'}, {_code_of(answer)}"] += 1


def _code_of(answer: Answer) -> str:
    """Return the code of an error, which JSON answers have, or the begin of the answer."""
    try:
        return str(json.loads(answer.body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return answer.body[:80].decode(errors="replace")


class Uploads:
    """Files to upload: photos, damaged ones, and ones that are too large."""

    def __init__(self, photos: Sequence[bytes]) -> None:
        self.good = list(photos)
        self.damaged = [data[: len(data) // 3] for data in photos] + [b"", b"no photo", b"\xff\xd8\xff" + b"x" * 9_000]
        self.huge = [_one_colour(14_000, "PNG"), _one_colour(9_000, "WEBP"), b"\xff\xd8\xff" + bytes(21_000_000)]


def _one_colour(side: int, kind: str) -> bytes:
    """Return a small file of a large picture."""
    buffer = BytesIO()
    Image.new("1" if kind == "PNG" else "L", (side, side)).save(buffer, kind)
    return buffer.getvalue()


class Visitor:
    """Somebody who logs in, and then asks for one thing after another."""

    def __init__(self, app: str, *, password: str, image_ids: Sequence[str], uploads: Uploads, seed: int) -> None:
        self._at, self._password, self._image_ids, self._uploads = urlsplit(app), password, image_ids, uploads
        self._random = random.Random(seed)
        self._cookie = ""
        self._kinds: dict[Callable[[], Sent], int] = {  # with the share of each
            self._page: 4,
            self._similar: 3,
            self._filtered: 3,
            self._json: 4,
            self._thumbnail: 8,
            self._photo: 3,
            lambda: self._upload("upload", self._uploads.good): 2,
            lambda: self._upload("damaged upload", self._uploads.damaged): 1,
            lambda: self._upload("huge upload", self._uploads.huge): 1,
            self._other: 3,
            self._refused: 2,
        }

    def log_in(self, counts: Counts, *, password: str | None = None) -> None:
        """Send the form of the login."""
        data = {"password": self._password if password is None else password}
        sent = Sent("login", "/login", urlencode(data).encode(), FORM)
        answer = self._ask(sent)
        counts.add(sent, answer)
        if answer.status == 303 and answer.headers:
            self._cookie = (answer.headers.get("Set-Cookie") or "").partition(";")[0]

    def log_out(self, counts: Counts) -> None:
        """End the session."""
        sent = Sent("logout", "/logout", b"x=1", FORM)
        counts.add(sent, self._ask(sent))

    def ask(self, counts: Counts) -> None:
        """Ask for something."""
        (make,) = self._random.choices(list(self._kinds), list(self._kinds.values()))
        sent = make()
        counts.add(sent, self._ask(sent))

    def _ask(self, sent: Sent) -> Answer:
        client = http.client.HTTPConnection(self._at.hostname or "", self._at.port, timeout=LONG)
        headers = {"Cookie": self._cookie, "Accept-Language": self._random.choice(("en", "de", "fr", "ja"))}
        if sent.body:
            headers["Content-Type"] = sent.content_type
        try:
            client.request("POST" if sent.body else "GET", sent.path, sent.body or None, headers)
            answer = client.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, None, repr(error).encode())
        finally:
            client.close()

    def _text(self) -> str:
        """Return a text, most often one that nobody has searched for yet."""
        text = self._random.choice(TEXTS)
        return text if self._random.random() < 0.3 else f"{text} {' '.join(self._random.choices(WORDS, k=3))}"

    def _image_id(self) -> str:
        return quote(self._random.choice(self._image_ids))

    def _page(self) -> Sent:
        return Sent("page", f"/image_search?{urlencode({'q': self._text(), 'k': self._random.choice((20, 50))})}")

    def _similar(self) -> Sent:
        return Sent("more like this", f"/similar_image?id={self._image_id()}")

    def _filtered(self) -> Sent:
        filters = {"folder": self._random.choice(FOLDERS), "min_width": "100", "sort": "newest", "facets": "true"}
        page = self._random.choice(("/image_search", "/api/v1/search"))
        return Sent("filters", f"{page}?{urlencode({**filters, 'q': self._text()})}")

    def _json(self) -> Sent:
        if self._random.random() < 0.5:
            return Sent("JSON", f"/api/v1/search?like={self._image_id()}&verdict=true")
        return Sent("JSON", f"/api/v1/search?{urlencode({'q': self._text(), 'without': 'people'})}")

    def _thumbnail(self) -> Sent:
        return Sent("thumbnail", f"/thumbnail/{self._image_id()}")

    def _photo(self) -> Sent:
        return Sent("photo", f"/image/{self._image_id()}")

    def _upload(self, kind: str, files: Sequence[bytes]) -> Sent:
        boundary = uuid.UUID(int=self._random.getrandbits(128)).hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'.encode()
        body = head + self._random.choice(files) + f"\r\n--{boundary}--\r\n".encode()
        path = self._random.choice(("/similar_image", "/api/v1/search"))
        return Sent(kind, path, body, f"multipart/form-data; boundary={boundary}")

    def _other(self) -> Sent:
        paths = ("/", "/collections", "/api/v1/status", "/api/v1/collections", "/metrics", "/readyz", "/healthz")
        return Sent("other", self._random.choice(paths))

    def _refused(self) -> Sent:
        paths = ("/image/gone.jpg", "/image_search?q=a&from=2024-5", "/nowhere", "/api/v1/search?q=a&k=0")
        return Sent("refused", self._random.choice(paths))
