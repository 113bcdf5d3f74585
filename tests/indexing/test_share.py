"""The parts into which several processes divide a run."""

import pytest

from image_embeddings.documents import FileState
from image_embeddings.indexing.plan import make_plan
from image_embeddings.indexing.share import Share, parse_share
from image_embeddings.sources.folder_source import FolderSource
from tests.pictures import save


def shares(of):
    return [Share(number=number, of=of) for number in range(1, of + 1)]


@pytest.mark.parametrize("of", [1, 2, 16])
def test_each_photo_is_in_one_part_and_parts_are_of_like_size(of):
    photos = [f"2024/IMG_{number:04}.jpg" for number in range(4000)]
    owners = [[share.number for share in shares(of) if share.has(photo)] for photo in photos]
    assert all(len(numbers) == 1 for numbers in owners)
    sizes = [sum(share.has(photo) for photo in photos) for share in shares(of)]
    assert max(sizes) < 1.3 * 4000 / of


def test_a_share_is_read_as_it_is_written():
    assert parse_share(" 3/16 ") == Share(number=3, of=16)
    assert str(parse_share("16/16")) == "16/16"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3", "Write its number and how many"),
        ("a/b", "Write its number and how many"),
        ("1/2/3", "Write its number and how many"),
        ("-1/4", "Write its number and how many"),
        ("0/4", "no part 0 of 4"),
        ("5/4", "no part 5 of 4"),
        ("1/0", "not 0"),
        ("1/99999", "not 99,999"),
    ],
)
def test_what_is_no_part_is_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_share(text)


def test_the_parts_of_a_plan_are_the_plan(tmp_path):
    for number in range(30):
        save(tmp_path / "photos" / f"{number}.png", colour=(number, 0, 0))
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    (tmp_path / "photos" / "notes.txt").write_text("other")
    source = FolderSource(tmp_path / "photos")
    state = FileState(bytes=1, mtime_ns=1, content_hash="0" * 64)
    plan = make_plan(source, indexed={"gone.png": state, "1.png": state, "2.png": state}, prune=True)
    parts = [plan.part(share) for share in shares(4)]
    assert sorted(file.image_id for part in parts for file in part.to_encode) == sorted(
        file.image_id for file in plan.to_encode
    )
    assert sum(part.found for part in parts) == plan.found
    assert ([part.to_delete for part in parts], [*plan.to_delete]) == ([{}] * 4, ["gone.png"])
    assert frozenset().union(*(part.changed for part in parts)) == plan.changed
    assert sum((part.skipped for part in parts), ()) == plan.skipped
    assert sum((part.passed.other_files for part in parts), start=type(plan.passed.other_files)()) == (
        plan.passed.other_files
    )
