"""An executed notebook as a page that runs nothing and asks nobody."""

from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from nbmake_dag_reporting.ansi import ansi_html
from nbmake_dag_reporting.html import notebook_page

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>"
ALLOWED = {
    *("html", "meta", "title", "style", "h1", "section", "span", "div", "pre", "img", "iframe", "p", "a", "code"),
}


class Page(HTMLParser):
    """The tags of a page, each with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def page(*cells: dict[str, Any], title: str = "t") -> str:
    return notebook_page({"cells": list(cells)}, title, MarkdownIt("js-default").render)


def code(*outputs: dict[str, Any], source: str = "1") -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "execution_count": 1, "metadata": {}, "outputs": list(outputs)}


def data(**forms: Any) -> dict[str, Any]:
    return {
        "output_type": "display_data",
        "data": {name.replace("__", "+").replace("_", "/"): form for name, form in forms.items()},
    }


HOSTILE = {
    "markdown": {"cell_type": "markdown", "source": f"{EVIL}\n\n[x](javascript:alert(1))"},
    "raw": {"cell_type": "raw", "source": EVIL},
    "source": code(source=EVIL),
    "stream": code({"output_type": "stream", "name": "stdout", "text": EVIL}),
    "traceback": code({"output_type": "error", "ename": EVIL, "evalue": EVIL, "traceback": [EVIL]}),
    "error": code({"output_type": "error", "ename": EVIL, "evalue": EVIL, "traceback": []}),
    "count": {**code(), "execution_count": EVIL},
    "plain": code(data(text_plain=EVIL)),
    "latex": code(data(text_latex=EVIL)),
    "html": code(data(text_html=f'"></iframe>{EVIL}')),
    "svg": code(data(image_svg__xml=f"<svg>{EVIL}</svg>")),
    "png": code(data(image_png=f'"{EVIL}')),
    "output markdown": code(data(text_markdown=EVIL)),
    "json": code(data(application_json={EVIL: EVIL})),
}


@pytest.mark.parametrize("place", HOSTILE)
def test_nothing_that_a_notebook_holds_becomes_active(place: str) -> None:
    """Only tags that cannot act are there, with no handlers, no addresses but data, and frames without scripts."""
    for tag, attributes in Page(page(HOSTILE[place], title=EVIL)).tags:
        assert tag in ALLOWED
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
        assert "javascript" not in (attributes.get("href") or "")
        if tag == "iframe":
            assert attributes["sandbox"] == ""


def test_the_policy_forbids_scripts_and_requests() -> None:
    """Also within the frames."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
    tags = Page(page(code(data(text_html="<b>x</b>")))).tags
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": policy}) in tags
    frame = next(attributes for tag, attributes in tags if tag == "iframe")
    assert frame["srcdoc"] == f'<meta http-equiv="Content-Security-Policy" content="{policy}"><b>x</b>'


def test_the_richest_form_is_shown() -> None:
    """HTML before pictures before text, as Jupyter does."""
    assert "srcdoc" in page(code(data(text_plain="p", image_png="aGk=", text_html="h")))
    assert 'src="data:image/png;base64,aGk="' in page(code(data(text_plain="p", image_png="aGk=\n")))
    assert "<pre>p</pre>" in page(code(data(text_plain="p", text_latex="l")))


def test_colours_of_a_terminal_are_spans() -> None:
    """Of 8, 16, 256 and all colours; what else a terminal would obey is left out."""
    assert ansi_html("\x1b[1;31mred\x1b[0m <b>") == '<span class="ansi-bold ansi-fg-1">red</span> &lt;b&gt;'
    assert ansi_html("\x1b[92;104mx\x1b[39my") == (
        '<span class="ansi-bg-12 ansi-fg-10">x</span><span class="ansi-bg-12">y</span>'
    )
    assert ansi_html("\x1b[38;5;196mx") == '<span style="color:rgb(255,0,0)">x</span>'
    assert ansi_html("\x1b[48;2;1;2;999mx") == '<span style="background:rgb(1,2,255)">x</span>'
    assert ansi_html("\x1b[38mx\x1b[38;9my\x1b]0;title\x07\x1b[2J\x00z") == "xyz"
    assert unescape(ansi_html('&<>"')) == '&<>"'


@pytest.mark.timeout(60)
def test_a_sequence_of_a_terminal_has_no_length_that_ends_a_page() -> None:
    """A number too long to be one is no colour; a million codes take no more than a moment."""
    assert ansi_html(f"\x1b[{'9' * 5_000};1mx") == '<span class="ansi-bold">x</span>'
    assert ansi_html(f"\x1b[1;{'7;' * 2_000_000}mx") == '<span class="ansi-bold">x</span>'
