"""The code of templates does what Jinja's own does."""

import pytest
from jinja2 import DictLoader, Environment, UndefinedError, pass_context
from jinja2.compiler import CodeGenerator
from markupsafe import Markup, escape

from app import create_app
from app.web.template_code import QuickCode, shown
from image_embeddings.config import load_settings

VALUES = {
    "text": '<b>"it\'s" & more</b>',
    "markup": Markup("<i>x</i>"),
    "number": 12,
    "none": None,
    "items": ["<a>", 2],
    "double": lambda value, times=2: value * times,
    "pair": {"class": "<c>"},
}
TEMPLATES = [
    "{{ text }}|{{ markup }}|{{ number }}|{{ none }}|{{ missing }}|{{ items }}",
    "{{ double(text) }}{{ double(text, times=3) }}{{ double(*items) }}{{ double(**{'value': number}) }}",
    "{{ markup ~ text }}{{ text | upper }}{{ text | safe }}",
    "{% macro bold(value, times=1) %}<b>{{ double(value, times) }}</b>{% endmacro %}{{ bold(markup, 2) }}",
    "{% macro boxed(name) %}<p>{{ caller(name) }}</p>{% endmacro %}{% call(who) boxed(text) %}{{ who }}{% endcall %}",
    "{% for item in items %}{{ loop.cycle('odd', 'even') }}{{ double(item) }}{% endfor %}",
    "{% set kept %}{{ text }}{% endset %}{{ kept }}{{ kept | length }}",
    "{% autoescape false %}{{ text }}{{ double(text) }}{% endautoescape %}",
    "{% filter upper %}{{ text }}{% endfilter %}{{ range(3) | list }}{{ pair.items() | list }}",
    "{% block a %}{{ text }}{% endblock %}{{ self.a() }}",
    "{{ seen(number) }}",
    "{{ number > 3 }}{{ 2.5 }}{{ -number }}",
    "{% include 'part' %}{% from 'part' import shout with context %}{{ shout(text) }}",
    "{% extends 'whole' %}{% block a %}<{{ super() }}{{ text }}>{% endblock %}",
    "{% extends 'whole' %}{% block b scoped %}{{ item }}{% endblock %}",
    "{% if number %}{% extends 'whole' %}{% endif %}{% block a %}{{ number }}{% endblock %}",
    "{% if none %}{% extends 'whole' %}{% endif %}{{ text }}{% block a %}{{ number }}{% endblock %}",
]
OTHERS = {
    "part": "{% macro shout(what) %}{{ what }}{{ text }}!{% endmacro %}<p>{{ markup }}</p>",
    "whole": "{{ text }}{% block a %}{{ markup }}{% endblock %}"
    "{% for item in items %}{% block b scoped %}{% endblock %}{% endfor %}",
}


@pass_context
def seen(context, value):
    return f"{context['text']}{value}"


def rendered(template, code):
    environment = Environment(autoescape=True, loader=DictLoader(OTHERS))
    environment.code_generator_class = code
    environment.globals["seen"] = seen
    return environment.from_string(template).render(VALUES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_give_what_they_give_by_jinjas_own_code(template):
    assert rendered(template, QuickCode) == rendered(template, CodeGenerator)


def test_a_function_that_is_missing_is_named():
    with pytest.raises(UndefinedError, match="'absent' is undefined"):
        rendered("{{ absent(1) }}", QuickCode)


def test_the_code_is_ours():
    environment = create_app(load_settings({})).jinja_env
    code = environment.compile("{{ text }}{{ double(text) }}", "a.html", raw=True)
    assert ("escape(" in code, "context.call" in code, "shown(" in code) == (False, False, True)


class Html:
    def __html__(self):
        return "<p>"


@pytest.mark.parametrize("value", [*"&<>\"'", "plain", "", "a&amp;b", Markup("<p>"), 1.5, None, True, [], Html()])
def test_values_are_escaped(value):
    assert shown(value) == escape(value)
