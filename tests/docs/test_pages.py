"""The pages of the documentation, by Sphinx and by `nbdag help --open`, can be used by everybody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import pytest

from nbmake_dag.commands.help import TOPICS, write_pages
from tests.reporting.browser.conftest import Opened, browser
from tests.reporting.browser.test_site_access import serious

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
__all__ = ["browser"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the pages as they are published; a warning is an error."""
    out = tmp_path_factory.mktemp("published")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", ".ci/docs", "nbmake_dag/docs"]
    done = subprocess.run([*command, str(out)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return out


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the pages as `nbdag help --open` does."""
    out = tmp_path_factory.mktemp("shipped")
    write_pages(str(out))
    return out


class Links(HTMLParser):
    """What a page leads to, what it loads, and the anchors that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {name for name in (given.get("id"),) if name}
        target = given.get("src") or given.get("href")
        if target:
            (self.targets if tag == "a" else self.loaded).append(target)


def dead(folder: Path) -> Iterator[str]:
    """Yield every link, picture, script and style of the pages that leads nowhere, or is loaded from outside."""
    pages = {page: Links(page) for page in folder.rglob("*.html")}
    assert len(pages) > len(TOPICS)
    for page, links in pages.items():
        for target in [*links.targets, *links.loaded]:
            parts = urlsplit(target)
            if parts.scheme == "data" or (parts.scheme and target in links.targets):
                continue
            found = page.parent / unquote(parts.path) if parts.path else page
            found = found.resolve()
            anchors = pages[found].anchors if found in pages else set[str]()
            if parts.scheme or not found.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                yield f"{page.name}: {target}"


@pytest.mark.parametrize("kind", [pytest.param("published", marks=pytest.mark.slow), "shipped"])
def test_no_link_of_the_pages_is_dead(kind: str, request: pytest.FixtureRequest) -> None:
    """Each leads to a page, and to a heading that it has; nothing is loaded from another host."""
    assert list(dead(request.getfixturevalue(kind))) == []


@pytest.mark.slow
@pytest.mark.chromium
def test_the_published_pages_are_searched_without_a_server(browser: Browser, published: Path) -> None:
    """From a file, too: the index is a script, and its results lead to pages."""
    opened = Opened(browser.new_page(), f"file://{published}/")
    opened.page.goto(f"file://{published}/search.html?q=matrix")
    opened.page.wait_for_selector("ul.search li a")
    links = opened.page.eval_on_selector_all("ul.search li a", "all => all.map(each => each.href)")
    assert any("/keys.html" in link for link in links)
    assert opened.said == []
    opened.page.close()


@pytest.mark.slow
@pytest.mark.axe
@pytest.mark.chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["published", "shipped"])
def test_axe_finds_nothing_serious(
    browser: Browser, kind: str, theme: Literal["light", "dark"], request: pytest.FixtureRequest
) -> None:
    """No serious or critical violation of WCAG 2.2 AA."""
    folder: Path = request.getfixturevalue(kind)
    opened = Opened(browser.new_page(color_scheme=theme), f"file://{folder}/")
    found = {}
    for topic in ("tutorial", "keys", "cluster", "moving"):
        opened.page.goto(f"file://{folder}/{topic}.html")
        found[topic] = serious(opened)
    opened.page.close()
    assert {topic: faults for topic, faults in found.items() if faults} == {}
