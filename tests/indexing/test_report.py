"""The outcome of each photo, and the report that counts the outcomes."""

import pytest

from image_embeddings.indexing.report import Damaged, IndexReport, Outcome, PhotoOutcome, RunCounts
from image_embeddings.sources.skipped import Skipped


def outcome(kind, *, content_hash=""):
    return PhotoOutcome(image_id="a.png", outcome=kind, content_hash=content_hash)


def skipped(image_id="bad.png", **choices):
    return Skipped(image_id=image_id, reason="is empty", **choices)


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        (Outcome.NEW, {"encoded": 1}),
        (Outcome.CHANGED, {"encoded": 1}),
        (Outcome.TAKEN, {"taken": 1}),
        (Outcome.REUSED, {"reused": 1}),
        (Outcome.COMPLETED, {"unchanged": 1, "described": 1}),
        (Outcome.UNCHANGED, {"unchanged": 1}),
        (Outcome.DESCRIBED, {"described": 1}),
        (Outcome.REMOVED, {"deleted": 1}),
    ],
)
def test_each_outcome_has_its_place_in_the_report(kind, counted):
    counts = RunCounts(found=7)
    counts.add(outcome(kind))
    assert counts.report() == IndexReport(found=7, **counted)


def test_a_damaged_photo_is_counted_and_listed():
    counts = RunCounts(found=1)
    counts.add(PhotoOutcome(image_id="a.png", outcome=Outcome.NEW, damage="its end is missing"))
    damaged = [Damaged(image_id="a.png", reason="its end is missing")]
    assert counts.report() == IndexReport(found=1, encoded=1, damaged=damaged)


def test_the_test_above_has_all_outcomes():
    assert len(Outcome) == 8  # a further one belongs in the test above


def test_the_numbers_of_the_plan_are_counted_from_the_beginning():
    counts = RunCounts(found=3, unchanged=2, skipped=[skipped()])
    assert counts.report() == IndexReport(found=3, unchanged=2, skipped=[skipped()])
    assert counts.report().indexed == 2


def test_a_removed_photo_whose_bytes_have_another_name_counts_as_moved():
    counts = RunCounts(found=1)
    counts.add_all([outcome(Outcome.REUSED, content_hash="1"), outcome(Outcome.NEW, content_hash="2")])
    counts.add_all([outcome(Outcome.REMOVED, content_hash=content_hash) for content_hash in ("1", "2", "")])
    assert (counts.report().deleted, counts.report().moved) == (3, 1)


def test_skipped_files_keep_their_order():
    counts = RunCounts(found=2, skipped=[skipped("b.png")])
    counts.add(skipped("a.png"))
    assert [item.image_id for item in counts.report().skipped] == ["b.png", "a.png"]
    assert counts.skipped_ids == {"a.png", "b.png"}


def test_a_report_does_not_change_when_the_run_goes_on():
    counts = RunCounts(found=2)
    early = counts.report()
    counts.add_all([outcome(Outcome.NEW), skipped()])
    assert early == IndexReport(found=2)


def test_photos_without_an_outcome_are_left():
    report = IndexReport(found=10, encoded=3, unchanged=2, skipped=[skipped(), skipped("cold", is_folder=True)])
    assert report.left == 4


def test_the_written_documents_are_those_that_changed_in_the_index():
    assert IndexReport(encoded=1, reused=2, unchanged=8, described=4, deleted=16).written == 23
