"""Pages with every kind of content fit their windows, and what was once wrong on one of them is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.reporting.browser.conftest import Opened, publish, served
from tests.reporting.browser.corpus import COMMITTED, PAGES, corpus
from tests.reporting.fabricate import Fabric, Made, code, notebook
from tests.support.project import await_true

pytestmark = pytest.mark.chromium

WIDTHS = (1440, 1024, 768, 720, 360)
"""720 is what 1440 has at a zoom of 200 %."""
SPLIT = """() => [...document.querySelectorAll(".prose td")].filter(
    (cell) => cell.getClientRects().length && cell.offsetHeight > 40).length"""


@pytest.fixture(scope="module")
def walked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    fabric = Fabric(tmp_path_factory.mktemp("corpus"))
    site = publish(corpus(fabric), fabric.runs.parent / "site", committed=COMMITTED)
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
    for name in ("attached", "a file", "a drawing"):
        picture = prose.get_by_role("img", name=name)
        picture.scroll_into_view_if_needed()
        page.wait_for_function("picture => picture.naturalWidth > 0", arg=picture.element_handle())
    expect(prose.get_by_role("img", name="a drawing")).to_have_css("width", "120px")
    expect(prose).to_contain_text("[picture: not there]")
    assert page.evaluate("document.fonts.check('16px KaTeX_Main')")
    coloured = page.locator(".notebook .output span")
    expect(coloured.get_by_text("on blue")).to_have_css("background-color", "rgb(20, 90, 160)")
    expect(coloured.get_by_text("on blue")).to_have_css("text-decoration-line", "underline")
    expect(coloured.get_by_text("yellow")).to_have_css("color", re.compile("^oklch"))
    todo = page.locator(".cell.prose").first.get_by_text("\N{BALLOT BOX WITH CHECK} done")
    expect(todo).to_have_css("list-style-type", "none")
    expect(page.get_by_role("columnheader", name="two levels").first).to_have_attribute("colspan", "12")
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


def test_a_legend_names_what_is_drawn(walked: Opened) -> None:
    """No attempt of these waited for its start, and in a run without failures none failed."""
    page = walked.go("#/run/run-00001?view=timeline")
    keys = page.locator("figure.chart figcaption .key")
    expect(keys).to_have_text(["executed", "an attempt that failed", re.compile("^critical path")])
    walked.go("#/run/run-00003?view=timeline")
    expect(keys).to_have_text(["executed", re.compile("^critical path")])


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
    expect(page.get_by_role("button", name="nbdag restore")).to_have_count(0)
    page = walked.go("#/run/run-00001/task/show")
    page.get_by_role("button", name="nbdag restore").click()
    assert page.evaluate("navigator.clipboard.readText()") == "nbdag restore show --run run-00001"
    page = walked.go("#/compare?runs=run-00000,run-00001&view=tasks")
    expect(page.get_by_text("fails: the record of one of its keys is not kept any more.")).to_be_visible()
    same = "train[seed=0]: every ingredient that its records name is the same."
    expect(page.get_by_text(same)).to_be_visible()
    page = walked.go("#/matrix")
    expect(page).to_have_title("Tasks \N{MULTIPLICATION SIGN} runs · digits")


def test_what_was_seen_in_pictures_stays_mended(walked: Opened) -> None:
    """Boxes begin on one line, pictures fit the window, heads keep their levels, nothing lies on an axis."""
    failed = "filter=result%20%3D%20failure"
    page = walked.go(f"#/artefacts?task=show&name=tall.png&{failed}")
    panes = page.locator(".multiple .pane")
    tops = panes.evaluate_all("all => all.map(one => one.getBoundingClientRect().y)")
    heights = panes.evaluate_all("all => all.map(one => one.offsetHeight)")
    assert (len(tops), len(set(tops))) == (3, 1)
    assert max(heights) <= page.evaluate("innerHeight")
    page = walked.go(f"#/artefacts?task=show&name=wide.json&{failed}")
    expect(page.locator(".multiples").get_by_text("Download wide.json")).to_have_count(3)
    assert page.locator(".multiples").evaluate(OVERLAPPING) == []
    page = walked.go("#/run/run-00001/task/show")
    table = page.locator(".prose.scroll:has(thead tr + tr)").last
    table.evaluate("box => box.scrollTo(0, 300)")
    rows = table.locator("thead tr").evaluate_all("all => all.map(one => one.getBoundingClientRect().y)")
    assert rows[0] < rows[1]
    assert rows[0] == table.evaluate("box => box.getBoundingClientRect().y")
    page = walked.go("#/history?task=show&branch=main")
    lowest = page.locator(".is-worse[d]").bounding_box()
    axis = page.locator("text.axis").first.bounding_box()
    assert lowest is not None
    assert axis is not None
    assert lowest["y"] + lowest["height"] < axis["y"]
    page = walked.go("#/compare?runs=run-00000,run-00001&view=charts")
    told = page.get_by_text("1 without a place here, where a value is missing or not finite")
    expect(told).to_be_visible()
    page = walked.go("#/runs?columns=started,branch,metrics.loss%2540show")
    assert page.locator("th", has_text="started").evaluate("head => head.offsetWidth") < 200


OVERLAPPING = """(box) => [...box.querySelectorAll("figure")].flatMap((figure) => {
    const parts = [...figure.querySelectorAll("figcaption, div > .scroll, summary, div > :is(a, button)")];
    const boxes = parts.map((one) => one.getBoundingClientRect());
    return parts.filter((_, i) => i && boxes[i].height && boxes[i].y < boxes[i - 1].bottom - 1)
        .map((one) => one.textContent);
})"""


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
    page.get_by_role("searchbox", name="Search").fill("2023-11-15 0")
    expect(page.get_by_role("status")).to_have_text("10 of 233")


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


DATES = """
window.dates = [];
const write = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  if (/^\\d{4}-/.test(text)) dates.push([text, x, x + this.measureText(text).width]);
  return write.call(this, text, x, y);
};
"""


def test_dates_over_the_matrix_do_not_overlap(browser: Browser, tmp_path: Path) -> None:
    """With two runs a day there is no room for each date: those that are written stand apart."""
    fabric = Fabric(tmp_path)
    for number in range(0, 20 * 12, 12):
        fabric.run(number, Made(name="a"))
    page = browser.new_page()
    page.add_init_script(DATES)
    opened = Opened(page, f"file://{publish(fabric, tmp_path / 'site')}/")
    opened.go("#/matrix")
    page.evaluate("() => { dates.length = 0 }")
    page.get_by_role("application").press("ArrowRight")
    page.wait_for_function("() => dates.length > 0")
    written = page.evaluate("dates")
    assert len({text for text, _, _ in written}) > 2
    again = [text for text, _, _ in written].index(written[0][0], 1) if written[0] in written[1:] else len(written)
    assert all(x >= end for (_, _, end), (_, x, _) in pairwise(written[:again]))
    page.close()
    assert opened.said == []


def test_a_comparison_of_notebooks_begins_at_what_is_more_than_noise(browser: Browser, tmp_path: Path) -> None:
    """A task whose outputs differ by an address in memory is not marked, and not the one that is shown."""
    fabric = Fabric(tmp_path)
    for number in (1, 2):
        noise = {"output_type": "stream", "name": "stdout", "text": f"<Model at 0x7f{number}2345678>\n"}
        fabric.run(
            number,
            Made(name="ingest", notebook=notebook(code("model", noise))),
            Made(name="train", notebook=notebook(code(f"fit({number})"))),
        )
    page = browser.new_page()
    opened = Opened(page, f"file://{publish(fabric, tmp_path / 'site')}/")
    opened.go("#/compare?runs=run-00001,run-00002&view=notebooks")
    chooser = page.get_by_role("combobox", name="Task")
    expect(chooser).to_have_value("train")
    expect(chooser.locator("option")).to_have_text(["ingest", "train \N{BULLET}"])
    expect(page.locator(".line.added")).to_contain_text("fit(2)")
    chooser.select_option("ingest")
    expect(page.get_by_text("except for noise")).to_be_visible()
    page.close()
    assert opened.said == []


@pytest.mark.parametrize(
    ("chunk", "filter_", "left"),
    [(r"c\d+", "metrics.auc >= 0.5", 1), ("matrix", "status@last != failed", 3)],
)
def test_rows_that_a_filter_leaves_out_are_not_flashed(
    browser: Browser, tmp_path: Path, chunk: str, filter_: str, left: int
) -> None:
    """While what decides about them loads, there are none."""
    fabric = Fabric(tmp_path)
    for number in range(4):
        last = Made(name="last", status="failed" if number > 2 else "ran", metrics={"auc": number / 5})
        fabric.run(number, Made(name="a", metrics={"loss": 1.0}), last)
    publish(fabric, tmp_path / "site")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = browser.new_page()
    page.add_init_script(SEEN)
    with served(tmp_path) as base:
        page.route(re.compile(rf"/data/shard/0/{chunk}\.js"), hold)
        page.goto(f"{base}site/index.html#/runs?filter={filter_}", wait_until="commit")
        rows = page.locator("tbody tr[data-row]")
        expect(page.get_by_role("columnheader", name="started")).to_be_visible()
        await_true(lambda: page.evaluate("1") and held, 30, "nothing was asked for")
        assert rows.count() == 0
        while held:
            held.pop().continue_()
        expect(rows).to_have_count(left)
        assert page.evaluate("most") == left
        page.get_by_label("Filter", exact=True).fill("")
        expect(rows).to_have_count(4)
    page.close()


SEEN = """
window.most = 0;
const count = () => { most = Math.max(most, document.querySelectorAll("tbody tr[data-row]").length) };
addEventListener("DOMContentLoaded", () =>
  new MutationObserver(count).observe(document, { childList: true, subtree: true }));
"""
