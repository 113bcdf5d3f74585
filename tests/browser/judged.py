"""Result pages that the index of the tests cannot produce: the app's own templates, filled with hits made here."""

from base64 import b64encode
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from app import create_app
from image_embeddings import Collections, Hit, ImageDocument, SearchResult, load_settings
from tests.browser.webapp import PHOTOS


@dataclass(frozen=True, kw_only=True)
class OneSearch:
    """Services whose search returns the same result for every query."""

    result: SearchResult
    settings: object = field(default_factory=lambda: load_settings({}))

    @property
    def search(self):
        return self

    def indexing(self):
        return None

    def indexing_failure(self):
        return ""

    def collections(self, *, total, needed):
        return Collections(by="none", total=total, found=())

    def by_parts(self, parts, **page):
        return self.result


def photo(image_id: str) -> ImageDocument:
    """A sample photo as an indexed document."""
    with Image.open(PHOTOS / image_id) as image:
        small = BytesIO()
        image.resize((16, 16 * image.height // image.width)).save(small, "WEBP", quality=30)
        size = {"width": image.width, "height": image.height}
    preview = b64encode(small.getvalue()).decode()
    return ImageDocument(image_id=image_id, **size, bytes=1, mtime_ns=1, content_hash="0" * 64, preview=preview)


def judged(
    *image_ids: str, relevant: int | None = None, folded: tuple[str, ...] = (), understood: bool = True
) -> SearchResult:
    """Return hits of those photos; the last ones are folded under the first."""
    under = tuple(Hit(rank=1, score=0.7, document=photo(image_id)) for image_id in folded)
    hits = [
        Hit(
            rank=rank,
            score=0.7,
            document=photo(image_id),
            matches=None if relevant is None else rank <= relevant,
            folded=under if rank == 1 else (),
        )
        for rank, image_id in enumerate(image_ids, start=1)
    ]
    about = {"total": 158, "matching": 158, "model_id": "conse", "text_encoder": "local", "understood": understood}
    return SearchResult(hits=tuple(hits), **about)


def page_of(result: SearchResult, *, query: str = "q=a+cat") -> str:
    """Return the page of results that the app makes."""
    app = create_app(load_settings({}), services=OneSearch(result=result))  # type: ignore[arg-type]
    answer = app.test_client().get(f"/image_search?{query}")
    assert answer.status_code == 200, answer.text
    return answer.text
