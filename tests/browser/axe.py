"""Checks of a page by axe-core."""

from axe_playwright_python.base import AXE_SCRIPT

# Of rules that are kept, axe reports the name alone, and no place has a selector: to describe all places takes longer
# than to check them.
OPTIONS = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
    "selectors": False,
}
_END_ANIMATIONS = """async () => {
  await Promise.allSettled(document.getAnimations().map(animation => animation.finished));
  return "axe" in window;
}"""
_CHECK = """async (options) => {
  const {passes, violations} = await axe.run(options);
  return [passes.length, violations.map(({id, nodes}) => ({id, nodes: nodes.map(({target, any}) => [target, any])}))];
}"""


def violations(page):
    """Return the violations that axe finds, by rule and place."""
    if not page.evaluate(_END_ANIMATIONS):
        page.evaluate(AXE_SCRIPT)
    passed, found = page.evaluate(_CHECK, OPTIONS)
    assert passed > 15  # axe has checked something
    if found:  # once more, to say where
        found = page.evaluate(_CHECK, {**OPTIONS, "selectors": True})[1] or found
    return [(rule["id"], *node) for rule in found for node in rule["nodes"]]
