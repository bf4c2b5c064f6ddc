"""How Sphinx builds ``nbmake_dag/docs`` as a site: ``sphinx-build -W -c .ci/docs nbmake_dag/docs OUT``.

Sphinx, because it and its theme are kept by many, take a warning for an error, load nothing from elsewhere, and
search without a server, from a file too.
"""

import sphinx.application

from nbmake_dag import __version__
from nbmake_dag.commands.help import GUIDE, lead_to_repository

project = "nbdag"
release = __version__
copyright = "the authors of nbdag"  # noqa: A001 - Sphinx's name
root_doc = "index"
extensions = ["myst_parser"]
myst_heading_anchors = 3
# the languages of blocks that no lexer knows, and the name of a file behind a language
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = "nbdag"
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # which a page that is opened from a file cannot load


def _complete(app: sphinx.application.Sphinx, page: str, content: list[str]) -> None:
    """Give the first page the order of all others; links out of the folder lead to the repository."""
    del app
    content[0] = lead_to_repository(content[0])
    if page == root_doc:
        for title, topics in GUIDE.items():
            content[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *topics, "```", ""])


def _let_everybody_use(
    app: sphinx.application.Sphinx, page: str, template: str, context: dict[str, str], tree: object
) -> None:
    """Give a level to the headings of the navigation, and let the keyboard scroll wide code."""
    del app, page, template, tree
    for name, old, new in (
        ("furo_navigation_tree", ' role="heading"', ' role="heading" aria-level="2"'),
        ("body", "<pre>", '<pre tabindex="0">'),
    ):
        if name in context:
            context[name] = context[name].replace(old, new)


def setup(app: sphinx.application.Sphinx) -> None:
    """Have each page completed before it is read, and again before it is written, after the theme."""
    app.connect("source-read", _complete)
    app.connect("html-page-context", _let_everybody_use, priority=900)
