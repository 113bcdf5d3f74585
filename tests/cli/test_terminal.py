"""Lines, JSON and errors as the terminal shows them; each test puts signals and environment back."""

import signal

import pytest

from image_embeddings.cli.terminal import on_interrupt, print_json, progress_bar, say, show_errors
from image_embeddings.errors import QueryError


@pytest.fixture(autouse=True)
def put_back(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # as `show_errors` sets it
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_lines_for_people_go_to_stderr_without_control_characters(capsys):
    say("a\x1b[31m\nb")
    assert capsys.readouterr() == ("", "a\\x1b[31m\nb\n")


def test_json_goes_to_stdout_with_letters_as_they_are(capsys):
    print_json({"a": "ü"}, in_one_line=True)
    print_json({"a": 1})
    assert capsys.readouterr().out == '{"a": "ü"}\n{\n  "a": 1\n}\n'


def test_an_error_of_ours_is_one_line_and_exit_status_one(capsys):
    with pytest.raises(SystemExit) as ended, show_errors():
        raise QueryError("The text is empty.")
    assert (ended.value.code, capsys.readouterr().err) == (1, "Error: The text is empty.\n")


def test_a_bug_is_not_shown_as_an_error_for_the_user():
    with pytest.raises(ZeroDivisionError), show_errors():
        _ = 1 / 0


def test_a_keyboard_interrupt_is_shown_as_an_error_too(capsys):
    with pytest.raises(SystemExit) as ended, show_errors(stopped="Stopped. It goes on later."):
        raise KeyboardInterrupt
    assert (ended.value.code, capsys.readouterr().err) == (1, "Error: Stopped. It goes on later.\n")


def test_both_signals_get_the_handler():
    def handler(number, frame):
        raise AssertionError

    on_interrupt(handler)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == [handler, handler]


def test_there_is_no_progress_bar_without_a_terminal(capsys):
    with progress_bar(3, what="Indexing", unit=" photos", leave=True) as bar:
        bar.update(3)
    assert bar.disable
    assert capsys.readouterr() == ("", "")
