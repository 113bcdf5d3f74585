"""The documentation, held against the code: nothing undocumented, no default that is another, no link to nowhere."""

import re
from pathlib import Path

import click
import pytest

from app import create_app
from app.web.delivery import static_url_path
from app.web.errors import status_of
from app.web.metrics import Metrics
from image_embeddings import errors
from image_embeddings.cli import create_image_embeddings, main
from image_embeddings.config import ROOT, load_settings, setting_rows

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "es-docker" / "README.md", *DOCS.glob("*.md")])
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
# The guide's words for things go by one name; these are the others.
FORBIDDEN = re.compile(r"\b(gallery|galleries|top_k|prompts?|embedders?|extractors?|filename|datapoints?)\b", re.I)


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def section(page, title):
    """The part of a page below a second-level heading."""
    parts = re.split(r"^## ", text_of(page), flags=re.M)
    found = [part for part in parts if part.splitlines()[0] == title]
    assert found, f"docs/{page} has no section '{title}'"
    return found[0]


def table(text):
    """First cell -> second cell of every table row whose first cell is code, both without backquotes."""
    rows = re.findall(r"^\| `([^`|]+)` \|([^|]*)\|", text, re.M)
    return {first: second.strip().strip("`") for first, second in rows}


def slug(heading):
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# Settings


@pytest.mark.parametrize("row", setting_rows(), ids=lambda row: row.name)
def test_a_setting_stands_in_env_example_with_its_default(row):
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert lines.count(f"# {row.name}={row.default or ''}") == 1


@pytest.mark.parametrize("row", setting_rows(), ids=lambda row: row.name)
def test_a_setting_stands_in_the_configuration_page_with_its_default(row):
    assert table(text_of("configuration.md"))[row.name] == (row.default or "")


def test_neither_page_has_a_setting_that_there_is_not():
    names = {row.name for row in setting_rows()}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^# ([A-Z_]+)=", example, re.M)) == names
    assert {name for name in table(text_of("configuration.md")) if name.isupper()} == names


def test_env_example_is_all_comments_and_works_as_it_is_and_uncommented():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert all(not line or line.startswith("#") for line in lines)
    pairs = dict(line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"# [A-Z_]+=", line))
    assert load_settings(pairs) == load_settings({})


# Commands


def commands(command, path=()):
    """Path and command of every command below a group that does something."""
    if isinstance(command, click.Group):
        return [found for name, child in command.commands.items() for found in commands(child, (*path, name))]
    return [(" ".join(path), command)]


COMMANDS = [*commands(main), ("create-image-embeddings.py", create_image_embeddings)]


def section_of(command):
    """The section of docs/cli.md whose heading names the command; several may share one."""
    titles = re.findall(r"^## (.+)$", text_of("cli.md"), re.M)
    found = [title for title in titles if command in title.split(", ")]
    assert found, f"docs/cli.md has no section for '{command}'"
    return section("cli.md", found[0])


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS])
def test_a_command_has_a_section_with_an_example(path):
    start = "image_embeddings/create-image-embeddings.py" if path.endswith(".py") else f"-m image_embeddings {path}"
    assert start in section_of(path)


@pytest.mark.parametrize(
    ("path", "option"),
    [(path, option) for path, command in COMMANDS for option in command.params if isinstance(option, click.Option)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_an_option_is_described(path, option):
    described = section_of(path)
    for flag in (*option.opts, *option.secondary_opts):
        assert re.search(rf"`{re.escape(flag)}`|{re.escape(flag)}\b", described), f"{flag} of {path}"


@pytest.mark.parametrize(
    ("path", "option"),
    [
        (path, option)
        for path, command in COMMANDS
        for option in command.params
        if isinstance(option, click.Option) and type(option.default) in (int, float)
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_default_of_an_option_is_the_right_one(path, option):
    assert table(section_of(path))[option.opts[0]] == f"{option.default:g}"


def test_no_section_is_about_a_command_that_there_is_not():
    known = {path for path, _ in COMMANDS}
    shown = re.findall(
        r"-m image_embeddings ((?:node |text-model )?[a-z-]+)", "".join(page.read_text("utf-8") for page in PAGES)
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


def error_classes(kind=errors.ImageSearchError):
    return [kind, *(found for child in kind.__subclasses__() for found in error_classes(child))]


def test_the_api_page_has_every_error_code_with_its_http_status():
    expected = {kind.code: str(status_of(kind("…"))) for kind in error_classes()}
    assert table(section("api.md", "Errors")) == expected


@pytest.mark.parametrize("code", [kind.code for kind in error_classes()])
def test_an_error_code_stands_in_troubleshooting(code):
    assert f"`{code}`" in section("troubleshooting.md", "Error codes")


def test_every_metric_is_described_and_no_other():
    families = Metrics().registry.collect()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert set(re.findall(r"^\| `(image_search_\w+)` \|", text_of("api.md"), re.M)) == names


# All pages


def links(page):
    """What a page links to, but for what is on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize(
    ("page", "link"),
    [(page, link) for page in PAGES for link in links(page)],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_a_link_leads_to_a_file_and_a_heading_that_exist(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
        assert anchor in {slug(heading.replace("`", "")) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_of_a_page_are_in_the_makefile(page):
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(encoding="utf-8"), re.S))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)(?![\w=-])", code)) <= MAKE_TARGETS


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_one_word_for_one_thing(page):
    prose = re.sub(r"<filename>", "", page.read_text(encoding="utf-8"))
    assert FORBIDDEN.findall(prose) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / ".env.example"], ids=name_of)
def test_no_page_shows_a_path_of_somebodys_machine(page):
    assert re.findall(r"/(?:home|Users|work|root)/\S*", page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_not_too_long_to_read(page):
    prose = re.sub(r"^(\||!\[).*$", "", page.read_text(encoding="utf-8"), flags=re.M)
    assert [line for line in prose.splitlines() if len(line) > 140] == []


def test_the_readme_begins_with_the_two_commands():
    first = re.search(r"```sh\n(.*?)```", Path(ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert [line.split()[:2] for line in first[1].splitlines()] == [["make", "run"], ["make", "test"]]
