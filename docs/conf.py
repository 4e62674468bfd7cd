"""How Sphinx makes the site. Pages stay plain Markdown: what Sphinx needs beyond that is added as they are read."""

from __future__ import annotations

import re
from importlib import metadata

from sphinx.application import Sphinx

project = "metaflow-netflixext"
release = metadata.version(project)
html_title = f"{project} {release}"
extensions = ["myst_parser"]
myst_heading_anchors = 4
nitpicky = True
html_theme = "furo"
html_copy_source = False
html_show_copyright = False

_TITLED = re.compile(r'^```(\w+) title="([^"]+)"$', re.M)
_PAGE = re.compile(r"\]\(([\w./-]+)\.md\)")


def add_directives(app: Sphinx, page: str, text: list[str]) -> None:
    """Give a page what Sphinx wants to be told: names above files, and from where each page is reached.

    Pages in a folder that is named as a page are below that page, all others below the heading that lists them.
    """
    text[0] = _TITLED.sub(r"```{code-block} \1\n:caption: \2", text[0])
    folders = {name.rpartition("/")[0] for name in app.env.found_docs}
    if page in folders:
        text[0] += contents("", [f"{page.rpartition('/')[2]}/*"])
    if page == "index":
        for part in text[0].split("\n## ")[1:]:
            heading, _, lines = part.partition("\n")
            listed = _PAGE.findall(lines)
            text[0] += contents(heading, [name for name in listed if name.rpartition("/")[0] not in app.env.found_docs])
    if page == "decisions/index":
        text[0] += contents("", ["0*"])


def contents(caption: str, pages: list[str]) -> str:
    """Return the directive that lists *pages*, which may be patterns, in the navigation under *caption*."""
    options = [f":caption: {caption}"] if caption else []
    return "\n".join(["", "", "```{toctree}", *options, ":hidden:", ":glob:", "", *pages, "```", ""])


def setup(app: Sphinx) -> None:
    """Let `add_directives` see each page before it is parsed."""
    app.connect("source-read", add_directives)
