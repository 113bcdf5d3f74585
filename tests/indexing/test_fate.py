"""What is to be done with one photo."""

from dataclasses import replace

import pytest

from image_embeddings.documents import ETAG_SINCE, FileState
from image_embeddings.indexing.fate import Fate, decide
from image_embeddings.sources.sidecar_files import SidecarFile
from image_embeddings.sources.source import PhotoFile

SIDECAR = SidecarFile(file="a.jpg.xmp", bytes=3, mtime_ns=4)
FILE = PhotoFile(image_id="a.jpg", bytes=1, mtime_ns=2, ctime_ns=3, inode=4, sidecars=(SIDECAR,))
STATE = FileState(
    bytes=1, mtime_ns=2, content_hash="0", ctime_ns=3, inode=4, sidecar_state=FILE.sidecar_state, format=ETAG_SINCE
)


def test_a_photo_of_the_index_alone_is_removed_and_one_of_the_source_alone_is_encoded():
    assert (decide(None, STATE), decide(FILE, None)) == (Fate.REMOVE, Fate.ENCODE)


def test_a_photo_of_both_is_left_unless_all_are_read_again():
    assert decide(FILE, STATE) is Fate.LEAVE
    assert decide(FILE, STATE, reread=True) is Fate.ENCODE_ANEW


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": 9},
        {"mtime_ns": 9},
        {"ctime_ns": 9},
        {"inode": 9},
        {"etag": "a"},
        {"sidecars": ()},
        {"sidecars": (replace(SIDECAR, mtime_ns=9),)},
    ],
)
def test_a_file_or_sidecar_that_differs_is_read_again(change):
    assert decide(replace(FILE, **change), STATE) is Fate.ENCODE_ANEW
