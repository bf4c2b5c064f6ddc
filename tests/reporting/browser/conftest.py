"""A site of fabricated runs in headless Chromium, which must not say anything to the console."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbmake_dag_reporting.compare import Declared
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site
from tests.reporting.browser.digits import digits
from tests.reporting.fabricate import Fabric, executed

if TYPE_CHECKING or find_spec("playwright"):  # else every test here is deselected
    from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
EXPECT_WITHIN_MS = 60_000
"""What is expected may have to wait for kernels, on a machine that does other things besides."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs a browser where there is none; pytest says how many those were."""
    if CHROMIUM and find_spec("playwright"):
        return
    here = str(Path(__file__).parent)
    wanted = [item for item in items if not str(item.path).startswith(here)]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium for one file of tests: Playwright's event loop must not stay for those of others."""
    expect.set_options(timeout=EXPECT_WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish eight runs of a small pipeline."""
    root = tmp_path_factory.mktemp("digits")
    return publish(digits(Fabric(root)), root / "a" / "site")


def publish(
    fabric: Fabric, out: Path, *, previews: bool = False, committed: Mapping[str, bytes] | None = None
) -> Path:
    """Write a site; each run's commit has the files ``committed``."""

    def at(_run: Run, paths: Collection[str]) -> dict[str, bytes]:
        return {path: data for path, data in (committed or {}).items() if path in paths}

    metrics = {"auc": Declared(direction="higher", tolerance=0.001)}
    found = found_in(str(fabric.runs), fabric.record, fabric.blob)
    write_site(str(out), found, SiteOptions(executed=executed, metrics=metrics, previews=previews, committed=at))
    return out


class Opened:
    """A page of the site. ``said`` collects console messages, errors and requests that leave the site.

    ``others`` are bases of pages that may be asked for besides.
    """

    def __init__(self, page: Page, base: str, *others: str) -> None:
        self.page = page
        self.base = base
        self.allowed = (base, *others, "data:", "blob:", "about:")
        self.said: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("requestfinished", lambda request: self._request(request.url, None))
        page.on("requestfailed", lambda request: self._request(request.url, request.failure))
        page.on("dialog", self._dialog)

    def _dialog(self, dialog: Dialog) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, url: str, failure: str | None) -> None:
        """Note what was sent out of the site; what the policy stopped was not sent."""
        if failure not in ("csp", "origin") and not url.startswith(self.allowed):
            self.said.append(f"request: {url} {failure}")

    def go(self, address: str) -> Page:
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}index.html{address}")
        self.page.wait_for_selector("main h1")
        self.page.wait_for_function("() => !document.querySelector('.loading')")
        return self.page


@pytest.fixture
def opened(browser: Browser, site: Path) -> Iterator[Opened]:
    """Open the site from ``file://``; at the end, nothing may have been said."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = Opened(context.new_page(), f"file://{site}/")
    yield opened
    context.close()
    assert opened.said == []


@pytest.fixture(scope="session")
def server(site: Path) -> Iterator[str]:
    """Serve the site from a static host, under a path of its own."""
    with served(site.parent.parent) as base:
        yield f"{base}a/site/"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder as any static host would."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method that it overrides
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        thread = threading.Thread(target=host.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{host.server_port}/"
        host.shutdown()
        thread.join()
