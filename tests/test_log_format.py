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


def broken():
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        return sys.exc_info()


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
    broke = record("it broke")
    broke.exc_info = broken()
    assert log_formatter("text").format(broke).endswith("ValueError: first\nsecond")
