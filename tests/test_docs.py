"""The documentation, checked against the code: nothing undocumented, no wrong default, no broken link."""

import re
from pathlib import Path

import click

from app import create_app
from app.web.delivery import static_url_path
from app.web.errors import status_of
from app.web.metrics import Metrics
from image_embeddings import KEYWORD_FACETS, SUFFIXES, errors
from image_embeddings.cli import main
from image_embeddings.cli.create_image_embeddings import create_image_embeddings
from image_embeddings.config import ROOT, load_settings, setting_rows
from image_embeddings.sources.left_out import LEFT_OUT_FOLDERS

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "es-docker" / "README.md", *DOCS.glob("*.md")])
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
# The guide has one word for each thing; these are other words for it.
FORBIDDEN = re.compile(r"\b(gallery|galleries|top_k|prompts?|embedders?|extractors?|filename|datapoints?)\b", re.I)


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def section(page, title):
    """Return the part of a page below a second-level heading."""
    parts = re.split(r"^## ", text_of(page), flags=re.M)
    found = [part for part in parts if part.splitlines()[0] == title]
    assert found, f"docs/{page} has no section '{title}'"
    return found[0]


def table(text):
    """Return first cell -> second cell of every table row whose first cell is code, both without backquotes."""
    rows = re.findall(r"^\| `([^`|]+)` \|([^|]*)\|", text, re.M)
    return {first: second.strip().strip("`") for first, second in rows}


def slug(heading):
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# Settings


def test_each_setting_is_in_env_example_once_with_its_default():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    expected = [f"# {row.name}={row.default or ''}" for row in setting_rows()]
    assert [line for line in expected if lines.count(line) != 1] == []


def test_each_setting_is_on_the_configuration_page_with_its_default():
    described = table(text_of("configuration.md"))
    assert [row.name for row in setting_rows() if described.get(row.name) != (row.default or "")] == []


def test_neither_page_has_an_unknown_setting():
    names = {row.name for row in setting_rows()}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^# ([A-Z0-9_]+)=", example, re.M)) == names
    assert {name for name in table(text_of("configuration.md")) if name.isupper()} == names


def test_env_example_is_all_comments_and_works_unchanged_and_uncommented():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert all(not line or line.startswith("#") for line in lines)
    pairs = dict(line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"# [A-Z_]+=", line))
    assert load_settings(pairs) == load_settings({})


def test_each_folder_that_is_left_out_is_on_the_configuration_page_with_its_reason():
    text = text_of("configuration.md")
    assert [name for name, reason in LEFT_OUT_FOLDERS.items() if f"- `{name}`: {reason}" not in text] == []


def test_each_suffix_of_a_photo_is_on_the_configuration_page():
    text = text_of("configuration.md")
    assert [suffix for suffix in SUFFIXES if f"`{suffix}`" not in text] == []


# Commands


def commands(command, path=()):
    """Return path and command of every command below a group that does something."""
    if isinstance(command, click.Group):
        return [found for name, child in command.commands.items() for found in commands(child, (*path, name))]
    return [(" ".join(path), command)]


COMMANDS = [*commands(main), ("create-image-embeddings.py", create_image_embeddings)]


def section_of(command):
    """Return the section of docs/cli.md whose heading names the command; several commands may share one."""
    titles = re.findall(r"^## (.+)$", text_of("cli.md"), re.M)
    found = [title for title in titles if command in title.split(", ")]
    assert found, f"docs/cli.md has no section for '{command}'"
    return section("cli.md", found[0])


OPTIONS = [
    (path, option) for path, command in COMMANDS for option in command.params if isinstance(option, click.Option)
]


def example_of(command):
    """Return the beginning of an example of the command."""
    return f"image_embeddings/{command}" if command.endswith(".py") else f"-m image_embeddings {command}"


def test_each_command_has_a_section_with_an_example():
    assert [path for path, _ in COMMANDS if example_of(path) not in section_of(path)] == []


def test_each_option_is_described():
    flags = [(path, flag) for path, option in OPTIONS for flag in (*option.opts, *option.secondary_opts)]
    assert len(flags) > len(COMMANDS)
    assert [
        f"{flag} of {path}"
        for path, flag in flags
        if not re.search(rf"`{re.escape(flag)}`|{re.escape(flag)}\b", section_of(path))
    ] == []


def test_the_default_of_each_option_is_the_right_one():
    numbers = [(path, option) for path, option in OPTIONS if type(option.default) in (int, float)]
    assert numbers
    assert [
        f"{option.opts[0]} of {path}"
        for path, option in numbers
        if table(section_of(path)).get(option.opts[0]) != f"{option.default:g}"
    ] == []


def test_no_section_is_about_an_unknown_command():
    known = {path for path, _ in COMMANDS}
    shown = re.findall(
        r"-m image_embeddings ((?:node |text-model |export )?[a-z-]+)",
        "".join(page.read_text("utf-8") for page in PAGES),
    )
    assert set(shown) <= known


# The web app


def routes():
    rules = create_app(load_settings({})).url_map.iter_rules()
    return sorted(
        f"{method} {re.sub(r'<[a-z]+:', '<', rule.rule).replace(static_url_path(), '/static/<version>')}"
        for rule in rules
        for method in rule.methods - {"HEAD", "OPTIONS"}
    )


def test_every_route_is_described_and_no_other():
    described = re.findall(r"^\| `((?:GET|POST|PUT|DELETE) [^`]+)` \|", text_of("api.md"), re.M)
    assert sorted(described) == routes()


def test_each_filter_stands_in_the_api_page_with_its_counts():
    assert [name for name in KEYWORD_FACETS if text_of("api.md").count(f"`{name}`") < 2] == []


def error_classes(kind=errors.ImageSearchError):
    return [kind, *(found for child in kind.__subclasses__() for found in error_classes(child))]


def test_the_api_page_has_every_error_code_with_its_http_status():
    expected = {kind.code: str(status_of(kind("…"))) for kind in error_classes()}
    assert table(section("api.md", "Errors")) == expected


def test_each_error_code_is_on_the_troubleshooting_page():
    described = section("troubleshooting.md", "Error codes")
    assert [kind.code for kind in error_classes() if f"`{kind.code}`" not in described] == []


def test_every_metric_is_described_and_no_other():
    families = Metrics().registry.collect()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert set(re.findall(r"^\| `(image_search_\w+)` \|", text_of("api.md"), re.M)) == names


# All pages


def links(page):
    """Return the links of a page, without those to the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def leads_somewhere(page, link):
    """Return whether the file of a link exists, and the heading in it if the link names one."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not anchor:
        return target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M) if target.is_file() else []
    return anchor in {slug(heading.replace("`", "")) for heading in headings}


def test_each_link_leads_to_a_file_and_a_heading_that_exist():
    found = [(page, link) for page in PAGES for link in links(page)]
    assert found
    assert [f"{link} in {name_of(page)}" for page, link in found if not leads_somewhere(page, link)] == []


def offenders(pages, find):
    """Return all results of `find` on the text of each of these pages, each with the name of its page."""
    return [f"{name_of(page)}: {found}" for page in pages for found in find(page.read_text(encoding="utf-8"))]


def unknown_make_targets(text):
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.S))
    return set(re.findall(r"\bmake ([a-z][a-z-]*)(?![\w=-])", code)) - MAKE_TARGETS


def test_make_targets_of_the_pages_are_in_the_makefile():
    assert offenders(PAGES, unknown_make_targets) == []


def test_each_thing_has_one_word():
    assert offenders(PAGES, lambda text: FORBIDDEN.findall(text.replace("<filename>", ""))) == []


def test_no_page_shows_a_path_of_a_developers_machine():
    pages = [*PAGES, ROOT / ".env.example"]
    assert offenders(pages, lambda text: re.findall(r"/(?:home|Users|work|root)/\S*", text)) == []


def test_lines_are_not_too_long_to_read():
    def too_long(text):
        prose = re.sub(r"^(\||!\[).*$", "", text, flags=re.M)
        return [line for line in prose.splitlines() if len(line) > 140]

    assert offenders(PAGES, too_long) == []


def test_the_readme_begins_with_the_two_commands():
    first = re.search(r"```sh\n(.*?)```", Path(ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert [line.split()[:2] for line in first[1].splitlines()] == [["make", "run"], ["make", "test"]]
