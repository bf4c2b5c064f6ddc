"""The pages of verdicts and blames, and the ways to them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from nbmake_dag_reporting.site import SiteOptions, write_site
from tests.reporting.browser.conftest import Opened
from tests.reporting.browser.test_site_access import serious
from tests.reporting.fabricate import executed
from tests.reporting.judgements import BLAME, VERDICT

pytestmark = pytest.mark.chromium


@pytest.fixture
def judged(browser: Browser, site: Path) -> Iterator[Opened]:
    """Open the site of eight runs after one of them was replayed, and a change between two was blamed."""
    with_both = site.parent / "judged"
    if not with_both.exists():
        shutil.copytree(site, with_both)
        write_site(str(with_both), (), SiteOptions(executed=executed), (VERDICT, BLAME))
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = Opened(context.new_page(), f"file://{with_both}/")
    yield opened
    context.close()
    assert opened.said == []


def test_verdicts_are_found_from_runs_and_history(judged: Opened) -> None:
    """And from the navigation, which has no such page where there is no verdict."""
    page = judged.go("#/run/run-00005")
    links = page.get_by_label("What was judged of the run")
    expect(links.locator("li")).to_have_count(2)
    links.get_by_role("link", name="replay of").click()
    expect(page.locator("h1")).to_have_text("Replay of run run-00005")
    expect(page.locator(".head .badge")).to_contain_text("differs")
    train = page.locator("tr", has_text="train").first
    for text in ("train.py: cell 3: its stdout: 0.9 → 0.8", "the same 1 of 3 times", "threads matters"):
        expect(train).to_contain_text(text)
    expect(train).to_contain_text("does not depend on time")
    expect(page.locator("tr", has_text="publish")).to_contain_text("data/<x>.csv is not stored as it was")
    page = judged.go("#/history?task=train")
    page.get_by_label("What was blamed for auc").get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text("train:auc: 0.957 → 0.912")
    expect(page.locator("tr.selected")).to_contain_text("cell 3 of train.py (C = 1.0 → 0.01)")
    expect(page.locator("table").last).to_contain_text("does not run: task `train`: NameError: scale")
    page.get_by_role("link", name="All verdicts").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("navigation", name="Pages").get_by_text("Verdicts")).to_have_attribute(
        "aria-current", "page"
    )


def test_what_was_found_is_read_on_a_small_screen(judged: Opened) -> None:
    """No date is broken, and what differs is within the window."""
    page = judged.page
    page.set_viewport_size({"width": 360, "height": 800})
    for address, text in (("#/verdicts", "cell 3 of train.py"), (f"#/verdict/{VERDICT.id}", "threads matters")):
        judged.go(address)
        cell = page.locator("td", has_text=text).bounding_box()
        assert cell is not None
        assert cell["x"] + cell["width"] <= 360
        assert cell["width"] > 100
    judged.go("#/verdicts")
    dates = page.locator("th[scope=row] a").evaluate_all("links => links.map(one => one.getClientRects().length)")
    assert dates == [1, 1]


def test_a_site_without_verdicts_does_not_offer_them(opened: Opened) -> None:
    """Its page says how to make one."""
    page = opened.go("#/verdicts")
    expect(page.get_by_role("navigation", name="Pages").get_by_text("Verdicts")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("nbdag replay")


@pytest.mark.axe
@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "address", ["#/verdicts", f"#/verdict/{VERDICT.id}", f"#/blame/{BLAME.id}", "#/run/run-00005"]
)
def test_everybody_can_use_them(judged: Opened, address: str, theme: Literal["light", "dark"]) -> None:
    """No serious or critical violation of WCAG 2.2 AA."""
    judged.page.emulate_media(color_scheme=theme)
    judged.go(address)
    assert judged.said == []
    assert serious(judged) == []
