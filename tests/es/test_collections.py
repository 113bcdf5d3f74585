"""The setting that says what a collection is; the collections themselves: tests/server/test_collections.py."""

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError


@pytest.mark.parametrize("value", ["folder", "label", "none", "column:album", "column:a b:c"])
def test_a_kind_of_collection_is_taken(value):
    assert load_settings({"COLLECTIONS": value}).collections == value


@pytest.mark.parametrize("value", ["folders", "column", "column:", "label:x", "none:x"])
def test_another_one_is_refused_with_those_that_there_are(value):
    with pytest.raises(SettingError, match=r"COLLECTIONS has value .* use folder, label, none, or column:"):
        load_settings({"COLLECTIONS": value})
