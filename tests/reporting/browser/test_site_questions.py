"""Questions that people bring to the site: each is answered in at most four actions of somebody who only looks."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.reporting.browser.conftest import Opened

pytestmark = pytest.mark.chromium

MOST = 4


class Reader:
    """Begins at the table of runs, and counts what it does."""

    def __init__(self, opened: Opened) -> None:
        self.page: Page = opened.go("")
        self.actions = 0

    def click(self, place: Locator) -> None:
        self.actions += 1
        place.click()

    def point(self, mark: Locator) -> None:
        """Click where a mark is, whatever lies there."""
        self.actions += 1
        box = mark.bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"])
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"])

    def open(self, name: str) -> None:
        self.click(self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True))

    def type(self, text: str) -> None:
        self.actions += 1
        self.page.get_by_label("Filter", exact=True).fill(text)


@pytest.fixture
def reader(opened: Opened):
    reader = Reader(opened)
    yield reader
    assert 0 < reader.actions <= MOST


def test_which_run_under_100_s_has_the_best_metric(reader: Reader) -> None:
    """A filter, and a click on the head of the best value."""
    reader.type("duration < 100s")
    reader.click(reader.page.get_by_role("button", name="auc best of 2"))
    expect(reader.page.locator("tr[data-row='0']")).to_contain_text("0.94000")


def test_when_did_accuracy_drop_and_at_which_commit(reader: Reader) -> None:
    """The mark in the history leads to the run."""
    reader.open("History")
    expect(reader.page.get_by_text("Worse in the run of 2023-11-15")).to_be_visible()
    reader.point(reader.page.locator("figure.chart a .is-worse").first)
    expect(reader.page.locator(".crumbs")).to_contain_text("303ea16")


def test_what_differs_between_two_runs(reader: Reader) -> None:
    """Two boxes and a button."""
    for row in (0, 1):
        reader.click(reader.page.locator(f"tr[data-row='{row}'] input"))
    reader.click(reader.page.get_by_role("button", name="Compare"))
    expect(reader.page.get_by_role("row", name=re.compile("^train auc"))).to_be_visible()


def test_what_were_the_pictures_of_the_last_five_runs(reader: Reader) -> None:
    """One page, which begins with them."""
    reader.open("Artefacts")
    expect(reader.page.get_by_role("main").get_by_role("img")).to_have_count(5)


def test_which_parameter_matters(reader: Reader) -> None:
    """One page, whose first table says so."""
    reader.open("Explore")
    expect(reader.page.get_by_role("row", name=re.compile("^lr \N{GREEK SMALL LETTER RHO}"))).to_be_visible()


def test_why_did_train_run_on_a_day_of_the_week(reader: Reader) -> None:
    """The table has the days, and the page of a run has the reason of each task."""
    row = reader.page.locator("tbody tr", has_text="Wed").nth(1)
    reader.click(row.get_by_role("link").first)
    expect(reader.page.get_by_role("row", name=re.compile("^train"))).to_contain_text("parameter: lr was 0")


def test_what_did_the_cache_save_this_month(reader: Reader) -> None:
    """One page, in its first line."""
    reader.open("Tasks")
    expect(reader.page.get_by_role("row", name=re.compile("^2023-11"))).to_contain_text("9.00 s")


def test_which_task_is_slow(reader: Reader) -> None:
    """What is slower than usual is among the complaints; a click sorts by duration."""
    reader.open("Tasks")
    reader.click(reader.page.get_by_role("button", name="Usually"))
    expect(reader.page.locator("table.tasks.wide tbody tr").first).to_contain_text("ingest")


def test_what_is_flaky(reader: Reader) -> None:
    """What hurts comes first, with its name."""
    reader.open("Tasks")
    expect(reader.page.locator("table.tasks.wide tbody tr").first).to_contain_text("not deterministic")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_printed_whole(opened: Opened, theme: Literal["light", "dark"]) -> None:
    """On paper nothing is cut: no box scrolls, what one clicks is gone, results stand below the notebook."""
    opened.page.emulate_media(media="print", color_scheme=theme)
    page = opened.go("#/run/run-00003/task/train")
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    expect(page.get_by_role("img", name="curve.png")).to_be_visible()
    cut = "e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible'"
    assert page.evaluate(f"[...document.querySelectorAll('main *')].filter({cut}).length") == 0
    page = opened.go("#/runs")
    assert page.locator("tbody tr").count() == 8


def test_nothing_moves_for_who_wants_no_motion(opened: Opened) -> None:
    """No animation and no transition is left."""
    opened.page.emulate_media(reduced_motion="reduce")
    page = opened.go("#/run/run-00004?view=graph")
    moving = "e => getComputedStyle(e).animationName !== 'none' || getComputedStyle(e).transitionDuration !== '0s'"
    assert page.evaluate(f"[...document.querySelectorAll('*')].filter({moving}).length") == 0


@pytest.mark.parametrize(
    "address", ["", "#/tasks", "#/run/run-00004?view=graph", "#/run/run-00003/task/train", "#/history"]
)
def test_a_screen_reader_finds_its_way(opened: Opened, address: str) -> None:
    """One heading of the first level, landmarks, and a name for everything that can be operated."""
    tree = opened.go(address).locator("body").aria_snapshot()
    assert len(re.findall(r"heading .*\[level=1\]", tree)) == 1
    assert all(re.search(rf"^\s*- {role}\b", tree, re.MULTILINE) for role in ("banner", "main", "contentinfo"))
    nameless = re.findall(r"- (?:button|link|textbox|searchbox|combobox|checkbox)(?::?$| \[)", tree, re.MULTILINE)
    assert nameless == []
