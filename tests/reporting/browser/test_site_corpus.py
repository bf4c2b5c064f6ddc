"""Pages with every kind of content fit their windows, and what was once wrong on one of them is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.reporting.browser.conftest import Opened, publish
from tests.reporting.browser.corpus import PAGES, corpus
from tests.reporting.fabricate import Fabric, Made

pytestmark = pytest.mark.chromium

WIDTHS = (1440, 1024, 768, 720, 360)
"""720 is what 1440 has at a zoom of 200 %."""
SPLIT = """() => [...document.querySelectorAll(".prose td")].filter(
    (cell) => cell.getClientRects().length && cell.offsetHeight > 40).length"""


@pytest.fixture(scope="module")
def walked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    fabric = Fabric(tmp_path_factory.mktemp("corpus"))
    site = publish(corpus(fabric), fabric.runs.parent / "site")
    context = browser.new_context()
    opened = Opened(context.new_page(), f"file://{site}/")
    yield opened
    context.close()
    assert opened.said == []


@pytest.mark.slow
def test_no_page_is_wider_than_its_window(walked: Opened) -> None:
    """At each width, and a zoom of 200 %, nothing scrolls sideways but what is in a box of its own."""
    wide: list[str] = []
    for address in PAGES:
        page = walked.go(address)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                wide.append(f"{address} at {width}: {needed}")
            if page.evaluate(SPLIT):
                wide.append(f"{address} at {width}: a cell of a table is broken")
        if page.locator("main .complaint").count():
            wide.append(f"{address}: {page.locator('main .complaint').first.inner_text()}")
    walked.page.set_viewport_size({"width": 1280, "height": 900})
    assert wide == []


def test_a_long_history_keeps_its_points_marks_and_links(walked: Opened) -> None:
    """Above 200 points the fall is marked and a link, and the pointer reads the nearest point."""
    page = walked.go("#/history?task=show&branch=main")
    chart = page.locator("figure.chart").filter(has_text="auc (higher is better)").first
    expect(chart.locator("a .is-worse")).to_have_count(1)
    assert chart.locator("path.point.hollow").get_attribute("d")
    drawing = chart.locator("svg")
    drawing.hover(position={"x": 200, "y": 100})
    expect(chart.locator(".reading a")).to_contain_text("main")
    drawing.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("show")


def test_what_is_not_finite_is_a_gap_with_a_mark(walked: Opened) -> None:
    """A series that diverges does not look healthy; its table has every value."""
    page = walked.go("#/run/run-00001/task/show?view=results")
    chart = page.locator("figure.chart").filter(has=page.get_by_role("group", name="loss"))
    expect(chart.locator(".unending")).to_have_count(2)
    assert (chart.locator("path.line").first.get_attribute("d") or "").count("M") == 3
    expect(chart.locator("figcaption")).to_contain_text("not a finite number")
    chart.get_by_text("Show as a table").click()
    expect(chart.get_by_role("cell", name="NaN")).to_be_visible()


def test_formulas_are_set_and_prices_are_not(walked: Opened) -> None:
    """Within text, displayed, in an environment and as an output; pictures within markdown are shown or named."""
    page = walked.go("#/run/run-00001/task/show")
    expect(page.locator(".notebook .katex")).to_have_count(4)
    expect(page.locator(".katex-display")).to_have_count(2)
    expect(page.locator(".katex-error")).to_have_count(0)
    prose = page.locator(".cell.prose").nth(1)
    expect(prose).to_contain_text("it costs $5 and $10, $not$")
    expect(prose.get_by_role("img", name="a picture")).to_be_visible()
    expect(prose).to_contain_text("[picture: elsewhere]")
    assert page.evaluate("document.fonts.check('16px KaTeX_Main')")
    expect(page.locator(".cell.prose").first).to_contain_text("\N{BALLOT BOX WITH CHECK} done")
    walked.go("#/runs")
    assert page.evaluate("document.querySelector('script[src^=maths]')") is None


def test_figures_and_media_are_shown(walked: Opened) -> None:
    """A figure is drawn in the sandbox by the script that was kept; without one, the package is named."""
    page = walked.go("#/run/run-00001/task/media")
    page.locator(".figure iframe").scroll_into_view_if_needed()
    expect(page.frame_locator(".figure iframe").locator("#figure")).to_have_text("1 drawn")
    expect(page.get_by_text("It is shown here if vl-convert-python is installed")).to_be_visible()
    expect(page.get_by_text("A widget, which only a running kernel can show.")).to_be_visible()
    expect(page.locator(".cell audio")).to_be_visible()
    files = page.locator(".artifacts")
    expect(files.locator("audio")).to_have_count(1)
    expect(files.locator("video")).to_have_count(1)
    expect(files.get_by_role("img", name="area.geojson: 2 shapes")).to_be_visible()
    expect(files.locator(".hljs-attr").first).to_have_text("name:")
    expect(files.get_by_role("button", name="Show page.pdf")).to_be_visible()
    expect(files.locator("figure", has_text="no.mp3").get_by_role("link", name="Download")).to_be_visible()


def test_small_faults_stay_mended(walked: Opened) -> None:
    """Each of six reasons is shown, a headline has no escape codes, and titles name their page."""
    page = walked.go("#/run/run-00001/task/show")
    expect(page).to_have_title("show · run run-00001 · digits")
    page.get_by_role("button", name="and 1 more").click()
    expect(page.locator(".why")).to_contain_text("reason 6")
    page = walked.go("#/run/run-00001/task/fails")
    assert "[31m" not in page.locator("main").inner_text()
    page.get_by_role("link", name="previous run").click()
    expect(page).to_have_url(re.compile("#/run/run-00000/task/fails$"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="nbdag show").click()
    assert page.evaluate("navigator.clipboard.readText()") == "nbdag show run-00000 fails"
    page = walked.go("#/matrix")
    expect(page).to_have_title("Tasks \N{MULTIPLICATION SIGN} runs · digits")


def test_the_filter_complains_of_what_could_never_be_meant(walked: Opened) -> None:
    """Units, beginnings and the words of the site are understood; what cannot be meant is an error."""
    page = walked.go("#/runs")
    filter_ = page.get_by_label("Filter", exact=True)
    for text, told in {
        "metrics.auc > params.lr": "metrics.auc is a number: write one such as 0.9",
        "branch = params.lr": "a value is expected after branch, not the name params.lr",
        "auc > 0.9": "did you mean metrics.auc?",
        "duration < soon": "duration is a number: write one such as 100, 100s or 2min",
    }.items():
        filter_.fill(text)
        expect(page.locator("#filter-error")).to_contain_text(told)
    for text, count in {"duration < 2min": 233, "result = failed": 3, "metrics.loss = NaN": 1}.items():
        filter_.fill(text)
        expect(page.locator("tbody tr:not(.space)").first).to_be_visible()
        expect(page.get_by_role("status")).to_have_text(str(count) if count == 233 else f"{count} of 233")
    filter_.fill("")
    page.get_by_role("searchbox", name="Search").fill("train[seed=4]")
    expect(page.get_by_role("status")).to_have_text("3 of 233")


def test_who_comes_back_finds_the_table_as_it_was(walked: Opened) -> None:
    """The table is scrolled to where it was left."""
    page = walked.go("#/runs")
    expect(page.locator("tr[data-row='5']")).to_be_visible()
    table = page.locator(".runs")
    table.evaluate("element => element.scrollTo(0, 3400)")
    page.locator("tr[data-row='104'] a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Run")
    page.go_back()
    expect(page.locator("tr[data-row='104']")).to_be_visible()
    assert table.evaluate("element => element.scrollTop") == 3400


def test_a_filter_means_the_days_that_the_reader_sees(browser: Browser, tmp_path: Path) -> None:
    """Times are of the zone of the reader, which the page names."""
    fabric = Fabric(tmp_path)
    for number in (1, 9, 10):  # 23:13, 07:13 and 08:13 of Greenwich
        fabric.run(number, Made(name="a"))
    context = browser.new_context(timezone_id="America/Los_Angeles")
    opened = Opened(context.new_page(), f"file://{publish(fabric, tmp_path / 'site')}/")
    page = opened.go("#/runs?filter=started+%3E%3D+2023-11-15")
    expect(page.get_by_role("status")).to_have_text("1 of 3")
    expect(page.locator("tbody time")).to_have_text("2023-11-15 00:13")
    expect(page.get_by_role("contentinfo")).to_contain_text("America/Los_Angeles")
    context.close()
    assert opened.said == []


def test_runs_of_commands_alone_are_compared(browser: Browser, tmp_path: Path) -> None:
    """Where no number is known the charts say so; a cancelled task has lost no metric."""
    fabric = Fabric(tmp_path)
    fabric.run(1, Made(name="a"))
    fabric.run(2, Made(name="a"))
    fabric.run(3, Made(name="a", metrics={"auc": 0.5}))
    fabric.run(4, Made(name="a", status="cancelled", seconds=None))
    page = browser.new_page()
    opened = Opened(page, f"file://{publish(fabric, tmp_path / 'site')}/")
    opened.go("#/compare?runs=run-00001,run-00002&view=charts")
    expect(page.get_by_text("No number is known of two of these runs.")).to_be_visible()
    opened.go("#/compare?runs=run-00003,run-00004")
    page.get_by_role("checkbox", name="Only differences").uncheck()
    row = page.get_by_role("row", name="a auc")
    expect(row).to_contain_text("cancelled")
    assert "gone" not in row.inner_text()
    page.close()
    assert opened.said == []
