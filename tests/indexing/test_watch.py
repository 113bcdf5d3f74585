"""Runs after changes, by a script of changes; no folder, no index."""

import math

import pytest

from image_embeddings import errors
from image_embeddings.indexing import watch


class Script:
    """Reports changes by a plan: "change" or "pause" for each wait. Then the watching is ended, as by Ctrl-C."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.done = []

    def wait(self, seconds=math.inf):
        self.done.append(seconds)
        if not self.steps:
            raise KeyboardInterrupt
        step = self.steps.pop(0)
        assert step == "change" or seconds < math.inf
        return step == "change"

    def settle(self):
        self.done.append("settled")


class Runs:
    """Returns or raises one outcome after the other."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)

    def __call__(self):
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def kept_up(script, run):
    """Return the results of the runs and the lines for the user, until the script is at its end."""
    results, said = [], []
    try:
        for result in watch.keep_up(run, changes=script, notify=said.append):
            results.append(result)
    except KeyboardInterrupt:
        return results, said


def test_a_run_follows_each_change_once_it_has_settled():
    script = Script("change", "change")
    assert kept_up(script, Runs(1, 2)) == ([1, 2], [])
    assert script.done == [math.inf, "settled", math.inf, "settled", math.inf]


AWAY = errors.UnreachableError("Nothing answers.")


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        errors.SlowError("x"),
        errors.RequestError("x", status=503),
        errors.ServerVersionError("a proxy answers"),
        errors.CorpusError("There are no photos."),
        errors.MetadataError("line 3"),
        errors.DataDirError("full"),
        errors.IndexMissingError("replaced meanwhile"),
        errors.NodeStartError("x"),
    ],
    ids=lambda error: error.code,
)
def test_an_error_that_may_pass_is_reported_and_the_run_repeated_after_a_pause(error):
    script = Script("change", "pause", "change")
    results, said = kept_up(script, Runs(error, 1, 2))
    assert results == [1, 2]
    assert said[0] == f"Error: {error} Watching goes on."
    assert "has passed" in said[1]
    assert script.done == [math.inf, "settled", watch.FIRST_PAUSE, math.inf, "settled", math.inf]


def test_a_change_ends_the_pause():
    assert kept_up(Script("change", "change"), Runs(AWAY, 1))[0] == [1]


def test_pauses_grow_up_to_the_longest_and_an_error_is_reported_once():
    script = Script("change", *["pause"] * 9)
    results, said = kept_up(script, Runs(*[AWAY] * 10))
    assert results == []
    assert len(said) == 1
    pauses = script.done[2:]
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses[-2:] == [watch.LONGEST_PAUSE] * 2


def test_pauses_begin_anew_when_the_error_has_passed():
    script = Script("change", "pause", "pause", "change", "pause")
    assert kept_up(script, Runs(AWAY, AWAY, 1, AWAY, 2))[0] == [1, 2]
    assert script.done[-2:] == [watch.FIRST_PAUSE, math.inf]


def test_another_error_is_reported_too():
    said = kept_up(Script("change", "pause"), Runs(AWAY, errors.CorpusError("No photos.")))[1]
    assert len(said) == 2


@pytest.mark.parametrize("kind", watch.ENDING, ids=lambda kind: kind.code)
def test_an_error_that_somebody_has_to_correct_ends_the_watching(kind):
    with pytest.raises(kind):
        kept_up(Script("change"), Runs(kind("x")))


def test_a_bug_ends_the_watching():
    with pytest.raises(ZeroDivisionError):
        kept_up(Script("change"), Runs(ZeroDivisionError()))
