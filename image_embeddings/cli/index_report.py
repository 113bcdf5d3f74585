"""The report of an indexing run in words, and the exit status that follows from it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from image_embeddings.cli.terminal import fail, say
from image_embeddings.indexing.report import IndexReport

SKIPPED_SHOWN = 20
KINDS_SHOWN = 8


def print_report(report: IndexReport) -> None:
    """Print the counts of an indexing run, the reason for each skipped or damaged file, and what it passed over."""
    click.echo(f"{report.found} photos: {_counts_text(report)} ({report.seconds:.1f} s)")
    _print_skipped(report)
    _print_damaged(report)
    _print_sidecars(report)
    for line in passed_over_lines(report):
        say(line)


def print_change(report: IndexReport) -> None:
    """Print in one line, with the time, what one of many runs did, and each file that it skipped or that is damaged."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    click.echo(f"{now}  {_counts_text(report, in_short=True)}: {report.found} photos ({report.seconds:.1f} s)")
    _print_skipped(report)
    _print_damaged(report)
    _print_sidecars(report)


def _counts_text(report: IndexReport, *, in_short: bool = False) -> str:
    """Return the counts in words; `in_short` leaves out zeros and the unchanged photos."""
    counts = {
        "encoded": report.encoded,
        "with embeddings from files": report.taken,
        "renamed or copied": report.reused,
        "unchanged": 0 if in_short else report.unchanged,
        "described anew": report.described,
        "removed": report.deleted - report.moved,
        "skipped": len(report.skipped),
    }
    optional = counts.keys() if in_short else {"described anew", "with embeddings from files"}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count or what not in optional)


def _print_skipped(report: IndexReport) -> None:
    for skipped in report.skipped[:SKIPPED_SHOWN]:
        say(f"skipped {skipped.image_id!r}: {skipped.reason}")
    if len(report.skipped) > SKIPPED_SHOWN:
        say(f"… and {len(report.skipped) - SKIPPED_SHOWN} more: --json lists them all")


def passed_over_lines(report: IndexReport) -> list[str]:
    """Return lines that say what the run passed over in the folder, as far as there is any."""
    others, folders, left_out = sum(report.other_files.values()), report.linked_folders, report.left_out
    lines = {
        f"{others} other {'file' if others == 1 else 'files'}: {_kinds_text(report.other_files)}": others,
        f"{folders} linked {'folder' if folders == 1 else 'folders'} not followed": folders,
        f"left out: {_kinds_text(left_out)}": len(left_out),
    }
    return [line for line, count in lines.items() if count]


def _kinds_text(counts: Mapping[str, int]) -> str:
    shown = [f"{count} {kind or 'without a suffix'}" for kind, count in list(counts.items())[:KINDS_SHOWN]]
    rest = sum(list(counts.values())[KINDS_SHOWN:])
    return ", ".join([*shown, f"{rest} more (--json lists them all)"] if rest else shown)


def _print_damaged(report: IndexReport) -> None:
    for damaged in report.damaged[:SKIPPED_SHOWN]:
        say(f"damaged {damaged.image_id!r}: indexed as far as it goes ({damaged.reason})")
    if len(report.damaged) > SKIPPED_SHOWN:
        say(f"… and {len(report.damaged) - SKIPPED_SHOWN} more that are damaged: --json lists them all")


def _print_sidecars(report: IndexReport) -> None:
    for fault in report.sidecar_faults[:SKIPPED_SHOWN]:
        say(f"sidecar {fault.file!r}: used as far as it can be read ({fault.reason})")
    if len(report.sidecar_faults) > SKIPPED_SHOWN:
        say(f"… and {len(report.sidecar_faults) - SKIPPED_SHOWN} more sidecars: --json lists them all")


def exit_by_report(report: IndexReport, *, is_only_run: bool = True, delete_existing: bool = False) -> None:
    """Exit with 1 if the run was stopped, if a rebuild waits, or if the only run skipped every photo."""
    if report.waiting:
        fail(f"Stopped. {report.waiting}" if report.stopped else report.waiting)
    if report.stopped:
        fail(stopped_message(delete_existing=delete_existing, left=report.left))
    if is_only_run and report.skipped and not report.indexed:
        fail("No photo could be indexed; the reasons stand above.")


def stopped_message(*, delete_existing: bool = False, left: int = 0) -> str:
    """Return the message for an indexing run that was stopped; `left` photos were still to do, if that is known."""
    without = " without --delete-existing" if delete_existing else ""
    photos = f" with {left:,} photos left" if left else ""
    return f"Stopped{photos}. What was indexed stays; the same command{without} goes on from there."
