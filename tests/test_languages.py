"""The interface speaks the reader's language."""

import pytest

from app import create_app
from app.languages import language
from image_embeddings.config import load_settings


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("ja-JP", "ja"),
        ("pt,fr;q=0.5,en;q=0.1", "fr"),
        ("en-GB", "en"),
        ("tlh", "en"),
        ("", "en"),
    ],
)
def test_the_language_that_the_browser_prefers(asked, expected):
    app = create_app(load_settings({}))
    with app.test_request_context(headers={"Accept-Language": asked}):
        assert language() == expected
