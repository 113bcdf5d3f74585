"""The words of an indexing run for people, without a node."""

import pytest

from image_embeddings.cli.index_report import (
    KINDS_SHOWN,
    SKIPPED_SHOWN,
    exit_by_report,
    print_change,
    print_report,
    stopped_message,
)
from image_embeddings.indexing.report import Damaged, IndexReport
from image_embeddings.photos.sidecars import SidecarFault
from image_embeddings.sources.skipped import Skipped


def skipped(count):
    return [Skipped(image_id=f"{number}.jpg", reason="is empty") for number in range(count)]


def test_the_report_counts_all_outcomes_and_leaves_out_rare_ones_that_are_zero(capsys):
    print_report(IndexReport(found=9, encoded=3, unchanged=5, deleted=2, moved=1, skipped=skipped(1), seconds=1.25))
    out, err = capsys.readouterr()
    assert out == "9 photos: 3 encoded, 0 renamed or copied, 5 unchanged, 1 removed, 1 skipped (1.2 s)\n"
    assert err == "skipped '0.jpg': is empty\n"


def test_damaged_photos_are_named(capsys):
    damaged = [Damaged(image_id=f"{number}.jpg", reason="its end is missing") for number in range(SKIPPED_SHOWN + 1)]
    print_report(IndexReport(found=99, encoded=99, damaged=damaged))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "damaged '0.jpg': indexed as far as it goes (its end is missing)"
    assert lines[-1] == "… and 1 more that are damaged: --json lists them all"
    assert len(lines) == SKIPPED_SHOWN + 1


def test_photos_that_are_described_anew_are_counted_if_there_are_any(capsys):
    print_report(IndexReport(found=5, unchanged=5, described=2))
    assert "5 unchanged, 2 described anew, 0 removed" in capsys.readouterr().out


def test_a_change_is_a_line_with_its_time_and_no_zeros(capsys):
    print_change(IndexReport(found=9, encoded=1, unchanged=8, seconds=0.5))
    time, _, rest = capsys.readouterr().out.partition("  ")
    assert len(time) == len("2026-01-31 12:00:00")
    assert rest == "1 encoded: 9 photos (0.5 s)\n"


def test_only_the_first_skipped_files_are_named(capsys):
    print_report(IndexReport(skipped=skipped(SKIPPED_SHOWN + 2)))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == SKIPPED_SHOWN + 1
    assert lines[-1] == "… and 2 more: --json lists them all"


def test_what_was_passed_over_is_counted_by_kind(capsys):
    counts = {
        "other_files": {".psd": 20, ".mov": 10, "": 1},
        "linked_folders": 2,
        "left_out": {"@eaDir": 3, "EXCLUDE": 1},
    }
    print_report(IndexReport(**counts))
    assert capsys.readouterr().err.splitlines() == [
        "31 other files: 20 .psd, 10 .mov, 1 without a suffix",
        "2 linked folders not followed",
        "left out: 3 @eaDir, 1 EXCLUDE",
    ]


def test_broken_sidecars_are_named_with_the_remedy(capsys):
    faults = [
        SidecarFault(file=f"{number}.xmp", reason="it is damaged: remove it") for number in range(SKIPPED_SHOWN + 1)
    ]
    print_report(IndexReport(sidecar_faults=faults))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "sidecar '0.xmp': used as far as it can be read (it is damaged: remove it)"
    assert lines[-1] == "… and 1 more sidecars: --json lists them all"


def test_one_of_a_kind_is_in_the_singular_and_rare_kinds_are_summed(capsys):
    print_report(IndexReport(other_files={".txt": 1}, linked_folders=1))
    assert capsys.readouterr().err == "1 other file: 1 .txt\n1 linked folder not followed\n"
    print_report(IndexReport(other_files={f".k{number}": 1 for number in range(KINDS_SHOWN + 3)}))
    assert capsys.readouterr().err.endswith(f"1 .k{KINDS_SHOWN - 1}, 3 more (--json lists them all)\n")


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (IndexReport(waiting="The old index still serves."), "Error: The old index still serves.\n"),
        (IndexReport(waiting="It still serves.", stopped=True), "Error: Stopped. It still serves.\n"),
        (IndexReport(found=5, encoded=2, stopped=True), f"Error: {stopped_message(left=3)}\n"),
        (IndexReport(found=1, skipped=skipped(1)), "Error: No photo could be indexed; the reasons stand above.\n"),
    ],
)
def test_a_run_without_success_exits_with_one(report, message, capsys):
    with pytest.raises(SystemExit) as ended:
        exit_by_report(report)
    assert ended.value.code == 1
    assert capsys.readouterr().err == message


def test_a_run_of_many_may_skip_every_photo():
    exit_by_report(IndexReport(found=1, skipped=skipped(1)), is_only_run=False)


def test_the_advice_is_the_same_command_but_without_deleting_the_index():
    assert stopped_message(left=1200).startswith("Stopped with 1,200 photos left. What was indexed stays;")
    assert "the same command without --delete-existing goes on" in stopped_message(delete_existing=True)
