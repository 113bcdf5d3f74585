import json
import logging
import sys

import pytest

from image_embeddings.log_format import log_formatter


def record(message, *values, **fields):
    made = logging.LogRecord("app.access", logging.INFO, "", 0, message, values, None)
    made.created, made.msecs = 0.25, 250.0
    made.__dict__.update({"fields": fields} if fields else {})
    return made


def broken(text="first\nsecond", after=""):
    try:
        try:
            raise KeyError(after)
        except KeyError:
            if after:
                raise ValueError(text)  # noqa: B904  # a real handler may fail as well
        raise ValueError(text)
    except ValueError:
        return sys.exc_info()


def logged(error, *, log_format="text"):
    broke = record("it broke")
    broke.exc_info = error
    return log_formatter(log_format).format(broke)


def test_a_line_for_people_has_time_process_level_fields_and_message():
    line = log_formatter("text", fields=lambda: {"request_id": "abc"}).format(record("%s photos", 3))
    assert line.startswith("[1970-01-01 ") or line.startswith("[1969-12-31 ")
    assert line.endswith(" [INFO] [abc] 3 photos")


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\x00", "\x85", "\x9b"])
def test_a_message_for_people_stays_one_line_without_control_characters(sign):
    line = log_formatter("text").format(record("a%sb", sign))
    assert line.endswith(f"a{sign.encode('unicode_escape').decode()}b")


def test_words_of_all_languages_stay_unchanged():
    assert log_formatter("text").format(record("Hündin 犬")).endswith("Hündin 犬")


def test_a_json_line_is_an_object_with_the_fields_of_context_and_record():
    formatter = log_formatter("json", fields=lambda: {"request_id": "abc"})
    assert json.loads(formatter.format(record("%s photos", 3, status=200))) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "info",
        "logger": "app.access",
        "message": "3 photos",
        "request_id": "abc",
        "status": 200,
    }


def test_a_json_line_stays_one_line_even_with_a_traceback():
    broke = record("a\nb")
    broke.exc_info = broken()
    line = log_formatter("json").format(broke)
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: first\nsecond")


def test_a_line_for_people_ends_with_the_traceback():
    assert logged(broken()).endswith("\n    ValueError: first\n    second")


FORGED = "x\n[2026-11-28 22:30:00 +0000] [1] [INFO] [deadbeef] GET /admin 200 1.0 ms\n"


@pytest.mark.parametrize("error", [broken(FORGED), broken("late", after=FORGED)])
def test_no_value_in_a_traceback_looks_like_a_line_of_the_log(error):
    first, *others = logged(error).split("\n")
    assert first.endswith("it broke")
    assert all(line.startswith("    ") for line in others)


CONTROLS = [*map(chr, [*range(10), *range(11, 32), *range(127, 160)]), *"\u2028\u2029\u202e\u2066"]


@pytest.mark.parametrize("sign", CONTROLS)
def test_no_value_controls_the_terminal(sign):
    text = logged(broken(sign, after=sign)) + log_formatter("text").format(record("%s", sign))
    assert text.count(sign.encode("unicode_escape").decode()) == 3
    assert sign not in text


def test_a_line_of_a_stack_is_indented_too():
    asked = record("asked")
    asked.stack_info = f"Stack:\n{FORGED}"
    assert all(line.startswith("    ") for line in log_formatter("text").format(asked).split("\n")[1:])


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_error_has_one_short_traceback_however_much_led_to_it(log_format):
    text = logged(broken("x" * 100_000, after="y" * 100_000), log_format=log_format)
    assert text.count("Traceback (most recent call last)") == 1
    assert "ValueError: xxx" in text
    assert "after KeyError: 'yyy" in text
    assert len(text) < 5_000


def test_a_deep_traceback_is_cut():
    def deeper(depth):
        return deeper(depth - 1) if depth else 1 / 0

    try:
        deeper(500)
    except ZeroDivisionError:
        text = logged(sys.exc_info())
    assert 5 < text.count("\n") < 150


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_long_message_is_cut(log_format):
    line = log_formatter(log_format).format(record("%s", "x" * 1_000_000))
    assert "(1,000,000 characters)" in json.loads(line)["message"] if log_format == "json" else line
    assert len(line) < 10_000


def test_a_traceback_that_another_handler_has_formatted_is_not_used():
    broke = record("it broke")
    broke.exc_info = broken(FORGED)
    logging.Formatter().format(broke)
    assert "\n[2026" not in log_formatter("text").format(broke)
