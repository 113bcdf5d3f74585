"""Templates whose texts are in the reader's language already when they are compiled.

A page has hundreds of texts. So there is one set of compiled templates for each language, and in it a text of a
template is a constant: `_("Search")` becomes the German word in the German set. The templates know nothing of it.
"""

import re
from collections.abc import Iterator
from typing import Any, cast

import flask
from flask import Flask, current_app
from flask.templating import Environment
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from app.web.languages import Reader, reader, translate_markup
from app.web.template_code import QuickCode

CALL = "_"  # how templates name the function that translates a text
_NAMED_VALUE = re.compile(r"%\((\w+)\)s")


class TranslatedEnvironment(Environment):
    """The templates of one language. Only requests in this language compile them: the texts are those of the reader.

    A cache of compiled templates has to tell languages apart.
    """

    code_generator_class = QuickCode
    language: str | None = None  # without one, texts are looked up when a template is rendered

    def _parse(self, *args: Any, **options: Any) -> nodes.Template:
        parsed: nodes.Template = super()._parse(*args, **options)
        return _Translator().visit(parsed) if self.language else parsed


class _Translator(NodeTransformer):
    """Replaces the calls that translate a constant text."""

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802  # Jinja's name for it
        """Put out the parts of a text and the values in it one after the other, without making one text of them."""
        self.generic_visit(node)
        node.nodes = [part for child in node.nodes for part in _parts_of(child)]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802  # Jinja's name for it
        """Return the text in place of a call. If it has values, they are put into it, and escaped, at each use."""
        self.generic_visit(node)
        is_text = isinstance(node.node, nodes.Name) and node.node.name == CALL and len(node.args) == 1
        if not is_text or node.dyn_args or node.dyn_kwargs or not isinstance(node.args[0], nodes.Const):
            return node
        text = nodes.Const(translate_markup(node.args[0].value), lineno=node.lineno)
        if not node.kwargs:
            return text
        values = [nodes.Pair(nodes.Const(value.key), value.value, lineno=node.lineno) for value in node.kwargs]
        return nodes.Mod(text, nodes.Dict(values, lineno=node.lineno), lineno=node.lineno)


def _parts_of(node: nodes.Expr) -> Iterator[nodes.Expr]:
    """Yield the parts of a translated text with values. Yield the node itself if it is none, or of another format."""
    if not (isinstance(node, nodes.Mod) and isinstance(node.left, nodes.Const) and isinstance(node.right, nodes.Dict)):
        yield node
        return
    text, values = node.left.value, {pair.key.value: pair.value for pair in node.right.items}  # type: ignore[attr-defined]
    names = _NAMED_VALUE.findall(text)
    if "%" in _NAMED_VALUE.sub("", text) or not values.keys() >= set(names):
        yield node
        return
    for number, part in enumerate(_NAMED_VALUE.split(text)):
        yield values[part] if number % 2 else nodes.TemplateData(part, lineno=node.lineno)


def init_app(app: Flask) -> None:
    """Make place for the templates of each language."""
    app.jinja_environment = TranslatedEnvironment
    app.extensions["templates"] = {}


def render_template(name: str, /, **values: Any) -> str:
    """Return a template with these values in it, in the reader's language."""
    by_language: dict[str | None, TranslatedEnvironment] = current_app.extensions["templates"]
    own = reader()
    templates = by_language.get(own.locale)
    if templates is None:
        templates = by_language[own.locale] = _templates_of(own)
    return flask.render_template(templates.get_template(name), **values)


def _templates_of(own: Reader) -> TranslatedEnvironment:
    """Return the templates of a language. Their functions know it, and need not look up whose page it is."""
    templates = cast(TranslatedEnvironment, current_app.jinja_env.overlay())
    templates.language = own.locale
    texts = {"_": own.translate_markup, "gettext": own.translate_markup, "ngettext": own.markup_of_number}
    templates.globals = {**templates.globals, **texts}
    templates.filters = {**templates.filters, "decimalformat": own.format_decimal}
    return templates
