"""Answers are the JSON that Flask's own provider writes."""

import json
from datetime import datetime, timezone

import pytest
from flask import Flask
from flask.json.provider import DefaultJSONProvider
from markupsafe import Markup

from app.web import json_answers


class Text(str):
    """A kind of text."""


VALUES = [
    {"b": [1, 2.5, 1e-7, 0.1 + 0.2, None, True, "é", "🙂"], "a": {}},
    {"large": 2**70, "small": -(2**63)},
    {"broken name": "\udc80.jpg"},
    {1: "a number as a name"},
    {"markup": Markup("<b>"), "text": Text("x")},
    {"taken": datetime(2024, 5, 1, 12, tzinfo=timezone.utc)},
    (1, 2),
    "text",
    None,
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_an_answer_says_what_it_says_by_flasks_own_provider(value):
    app = Flask(__name__)
    json_answers.init_app(app)
    usual = DefaultJSONProvider(app)
    usual.sort_keys = False
    with app.test_request_context():
        answer, expected = app.json.response(value), usual.response(value)
    assert answer.mimetype == expected.mimetype == "application/json"
    assert list_of(answer.get_data()) == list_of(expected.get_data())


def list_of(data):
    """Return what the JSON says, with names in their order."""
    return json.loads(data, object_pairs_hook=list)


def test_characters_are_sent_as_utf8():
    app = Flask(__name__)
    json_answers.init_app(app)
    assert app.json.response({"name": "é"}).get_data() == '{"name":"é"}\n'.encode()


def test_what_cannot_be_json_is_an_error():
    app = Flask(__name__)
    json_answers.init_app(app)
    with pytest.raises(TypeError):
        app.json.response({"x": object()})
