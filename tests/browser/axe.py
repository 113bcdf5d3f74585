"""Checks of a page by axe-core."""

from axe_playwright_python.sync_playwright import Axe

# Of rules that are kept, axe reports the name alone: to describe all their places takes longer than to check them.
OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


def violations(page):
    """Return the violations that axe finds, by rule and place."""
    page.evaluate("Promise.allSettled(document.getAnimations().map(animation => animation.finished))")
    found = Axe().run(page, options=OPTIONS).response
    assert len(found["passes"]) > 15  # axe has checked something
    return [(rule["id"], node["target"], node["any"]) for rule in found["violations"] for node in rule["nodes"]]
