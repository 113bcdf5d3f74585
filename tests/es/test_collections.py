"""The setting that defines collections. The collections themselves are tested in tests/server/test_collections.py."""

import pytest

from image_embeddings.config import load_settings
from image_embeddings.errors import SettingError


@pytest.mark.parametrize("value", ["folder", "label", "none", "column:album", "column:a b:c"])
def test_a_known_kind_of_collection_is_accepted(value):
    assert load_settings({"COLLECTIONS": value}).collections == value


@pytest.mark.parametrize("value", ["folders", "column", "column:", "label:x", "none:x"])
def test_an_unknown_kind_is_refused_with_a_list_of_the_known_ones(value):
    with pytest.raises(SettingError, match=r"COLLECTIONS has value .* use folder, label, none, or column:"):
        load_settings({"COLLECTIONS": value})
