"""A client of the image search's JSON API (api.md), to copy and change. It needs only `requests`.

python client.py "a dog in the snow" --like dogs/husky.jpg --without people
"""

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

TOKEN = (
    "IMAGE_SEARCH_TOKEN"  # the variable of the environment with the token; other users do not see it, unlike --token
)


class ApiError(Exception):
    """An error of the server: `code` is stable, the message is for people, `request_id` is in the server's log."""

    def __init__(self, *, code: str, message: str, request_id: str) -> None:
        super().__init__(f"{message} [{code}, request {request_id}]")
        self.code, self.request_id = code, request_id


class Client:
    """One server, which lets us in by a token of its API_TOKENS if it has a password.

    Methods return its JSON, and raise ApiError or what `requests` raises.
    """

    def __init__(self, url: str = "http://127.0.0.1:5001", *, token: str | None = None, timeout: float = 60) -> None:
        self.url, self.timeout = url.rstrip("/"), timeout
        self.session = requests.Session()
        if token:
            self.session.auth = partial(_send_token, token)

    def search(self, *texts: str, image: Path | None = None, **parameters: Any) -> dict[str, Any]:
        """Return one page of hits for texts, a photo of yours, and any parameter of /api/v1/search: `like`, `k`, …

        A list gives a parameter several times. `from` is a word of Python, so write `**{"from": "2024"}`.
        """
        query = {"q": texts, **{name: _parameter(value) for name, value in parameters.items()}}
        if image is None:
            return self._json("GET", "/api/v1/search", params=query)
        return self._json("POST", "/api/v1/search", data=query, files={"image": (image.name, image.read_bytes())})

    def hits(self, *texts: str, most: int = 1_000, page_size: int = 100, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield the hits of all pages, `most` at most."""
        for offset in range(0, most, page_size):
            size = min(page_size, most - offset)
            found = self.search(*texts, k=size, offset=offset, **parameters)["hits"]
            yield from found
            if len(found) < size:
                return

    def photo(self, image_id: str) -> dict[str, Any]:
        """Return what is known of one photo."""
        return self._json("GET", f"/api/v1/images/{quote(image_id)}")

    def file(self, image_id: str) -> bytes:
        """Return the photo itself, as it is on the server's disk."""
        return self._answer("GET", f"/image/{quote(image_id)}", params={"original": ""}).content

    def status(self) -> dict[str, Any]:
        """Return what is indexed, and with which model."""
        return self._json("GET", "/api/v1/status")

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._answer(method, path, **request).json()
        return found

    def _answer(self, method: str, path: str, **request: Any) -> requests.Response:
        answer = self.session.request(method, self.url + path, timeout=self.timeout, **request)
        if not answer.ok and answer.headers.get("Content-Type", "").startswith("application/json"):
            raise ApiError(**answer.json()["error"])
        answer.raise_for_status()
        return answer


def _send_token(token: str, request: requests.PreparedRequest) -> requests.PreparedRequest:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _parameter(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def main() -> None:
    """Print similarity and image_id of the nearest photos."""
    parser = argparse.ArgumentParser(description="Search photos by text, by a photo, or by both.")
    parser.add_argument("text", nargs="*", help="what the photo shows")
    parser.add_argument("--image", type=Path, help="a photo to find others like")
    parser.add_argument("--like", action="append", help="image_id of an indexed photo to find others like")
    parser.add_argument("--without", action="append", help="what the photo should not show")
    parser.add_argument("-k", type=int, default=10, help="photos wanted")
    parser.add_argument("--url", default="http://127.0.0.1:5001")
    parser.add_argument(
        "--token", default=os.environ.get(TOKEN), help=f"token of the server's API_TOKENS; default: ${TOKEN}"
    )
    given = parser.parse_args()
    client = Client(given.url, token=given.token)
    try:
        found = client.search(
            *given.text, image=given.image, like=given.like, without=given.without, k=given.k, verdict=True
        )
    except ApiError as error:
        raise SystemExit(f"Error: {error}") from None
    if found.get("relevant") == 0:
        print("Nothing here really matches. The nearest photos:")
    for hit in found["hits"]:
        print(f"{hit['similarity']:.3f}  {hit['image_id']}")


if __name__ == "__main__":
    main()
