"""The report of an indexing run in words, and the exit status that follows from it."""

from __future__ import annotations

import time

import click

from image_embeddings.cli.terminal import fail, say
from image_embeddings.indexing.report import IndexReport

SKIPPED_SHOWN = 20


def print_report(report: IndexReport) -> None:
    """Print the counts of an indexing run, and the reason for each skipped and each damaged file."""
    click.echo(f"{report.found} photos: {_counts_text(report)} ({report.seconds:.1f} s)")
    _print_skipped(report)
    _print_damaged(report)


def print_change(report: IndexReport) -> None:
    """Print in one line, with the time, what one of many runs did, and each file that it skipped or that is damaged."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    click.echo(f"{now}  {_counts_text(report, in_short=True)}: {report.found} photos ({report.seconds:.1f} s)")
    _print_skipped(report)
    _print_damaged(report)


def _counts_text(report: IndexReport, *, in_short: bool = False) -> str:
    """Return the counts in words; `in_short` leaves out zeros and the unchanged photos."""
    counts = {
        "encoded": report.encoded,
        "renamed or copied": report.reused,
        "unchanged": 0 if in_short else report.unchanged,
        "described anew": report.described,
        "removed": report.deleted - report.moved,
        "skipped": len(report.skipped),
    }
    optional = counts.keys() if in_short else {"described anew"}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count or what not in optional)


def _print_skipped(report: IndexReport) -> None:
    for skipped in report.skipped[:SKIPPED_SHOWN]:
        say(f"skipped {skipped.image_id!r}: {skipped.reason}")
    if len(report.skipped) > SKIPPED_SHOWN:
        say(f"… and {len(report.skipped) - SKIPPED_SHOWN} more: --json lists them all")


def _print_damaged(report: IndexReport) -> None:
    for damaged in report.damaged[:SKIPPED_SHOWN]:
        say(f"damaged {damaged.image_id!r}: indexed as far as it goes ({damaged.reason})")
    if len(report.damaged) > SKIPPED_SHOWN:
        say(f"… and {len(report.damaged) - SKIPPED_SHOWN} more that are damaged: --json lists them all")


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
