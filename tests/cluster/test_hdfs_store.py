"""Files in a real HDFS are there as wholes, or not at all."""

import uuid

import pytest

from image_embeddings.config import load_settings
from image_embeddings.file_stores.choice import store_at
from tests.file_stores.contract import (  # noqa: F401
    test_a_file_is_listed_read_opened_and_copied,
    test_a_file_is_removed,
    test_a_file_is_replaced_only_if_that_is_meant,
    test_a_file_that_is_not_there_is_told,
    test_after_an_error_nothing_is_there_and_what_was_there_stays,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def store(hdfs):
    address = hdfs.web_url.replace("http://", f"webhdfs://{hdfs.user}@")
    return store_at(f"{address}/{uuid.uuid4().hex}/out", load_settings({}))
