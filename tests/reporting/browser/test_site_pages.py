"""What a person sees and does on each page of the site."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from nbmake_dag_reporting import site_index
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site
from tests.reporting.browser.conftest import Opened, publish
from tests.reporting.browser.test_site_access import PAGES
from tests.reporting.fabricate import Fabric, Made, executed

pytestmark = pytest.mark.chromium


def test_a_filter_and_a_sort_choose_the_rows(opened: Opened) -> None:
    """The rows that fit are left, in the order asked for, and the address keeps both."""
    page = opened.go("#/runs?columns=started,metrics.auc%2540train")
    page.get_by_label("Filter", exact=True).fill("metrics.auc > 0.9 and branch = main")
    expect(page.get_by_role("status")).to_have_text("3 of 8")
    page.get_by_role("button", name="auc").click()
    values = page.locator("tbody tr td:last-child")
    expect(values).to_have_text(["0.94000", "0.91500", "0.91000"])
    page.get_by_role("button", name="auc").click()
    expect(values).to_have_text(["0.91000", "0.91500", "0.94000"])
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("auc")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(values).to_have_text(["0.91000", "0.91500", "0.94000"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("metrics.acu > 1", "no run has metrics.acu; did you mean metrics.auc?"),
        ("branch =", "a value is missing here"),
        ("(branch = main", "this bracket is not closed"),
        ("branch main", "after branch one of = != < <= > >= ~ in is expected"),
    ],
)
def test_a_wrong_filter_is_said_while_typing(opened: Opened, text: str, error: str) -> None:
    """The message names what is wrong; the rows stay."""
    page = opened.go("")
    page.get_by_label("Filter", exact=True).press_sequentially(text)
    expect(page.locator("#filter-error")).to_contain_text(error)
    expect(page.get_by_label("Filter", exact=True)).to_have_attribute("aria-invalid", "true")


def test_columns_are_chosen_and_those_that_are_all_the_same_hidden(opened: Opened) -> None:
    """A column found by name joins the table; only-differences leaves the ones that tell runs apart."""
    page = opened.go("")
    page.get_by_role("button", name=re.compile("^Columns")).click()
    page.get_by_role("searchbox", name="Find a column").fill("kind")
    page.get_by_role("checkbox", name="kind train").check()
    page.keyboard.press("Escape")
    expect(page.get_by_role("columnheader", name="kind")).to_be_visible()
    page.get_by_role("checkbox", name="Only differences").check()
    expect(page.get_by_role("columnheader", name="lr")).to_be_visible()
    expect(page.get_by_role("columnheader", name="kind")).to_have_count(0)


def test_the_table_is_written_as_csv(opened: Opened) -> None:
    """The file has the columns and rows that are seen."""
    page = opened.go("#/runs?columns=branch,metrics.auc%2540train&filter=auc")
    page.get_by_label("Filter", exact=True).fill("metrics.auc@train >= 0.93")
    expect(page.get_by_role("status")).to_have_text("2 of 8")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    text = Path(download.value.path()).read_text()
    assert text == "id,branch,auc@train\nrun-00007,main,0.94\nrun-00006,faster,0.93\n"


def test_rows_are_walked_chosen_and_compared_by_keyboard(opened: Opened) -> None:
    """Arrow keys move, the space bar chooses, Enter opens."""
    page = opened.go("")
    page.locator("tr[data-row='0']").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Compare 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare 2 runs")
    page.go_back()
    page.locator("tr[data-row='1']").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("run-00006")


def test_the_matrix_is_walked_by_keyboard(opened: Opened) -> None:
    """What the keys point at is said below, and Enter opens it."""
    page = opened.go("#/matrix")
    page.get_by_role("application").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowDown")
    expect(page.locator(".pointed")).to_contain_text("failed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("summary")


def test_a_run_shows_what_ran_and_why(opened: Opened) -> None:
    """Statuses, reasons and sources stand in one table; graph and timeline show the same tasks."""
    page = opened.go("#/run/run-00004")
    row = page.get_by_role("row", name=re.compile("^summary"))
    expect(row).to_contain_text("ValueError: nothing to compare")
    expect(page.get_by_role("row", name=re.compile("^ingest")).get_by_role("link").last).to_have_attribute(
        "href", "#/run/run-00000"
    )
    page.get_by_role("link", name="Graph").click()
    expect(page.locator("a.node")).to_have_count(3)
    page.get_by_role("link", name="Timeline").click()
    expect(page.locator("svg.timeline [role=listitem]")).to_have_count(2)


def test_a_run_on_a_cluster_has_a_lane_for_each_node(browser: Browser, tmp_path: Path) -> None:
    """The tasks of a node stand below its name, in the chart and in its table."""
    fabric = Fabric(tmp_path)
    made = (
        Made(name=f"part {number}", node=("right", "left")[number % 2], seconds=number + 1) for number in range(5)
    )
    fabric.run(1, *made, Made(name="whole", node="right", above=("part 4",)))
    page = browser.new_page()
    Opened(page, f"file://{publish(fabric, tmp_path / 'site')}/").go("#/run/run-00001?view=timeline")
    lines = page.locator("svg.timeline [role=listitem]")
    order = ["node 1", "part 1", "part 3", "node 2", "part 0", "part 2", "part 4", "whole"]
    by_height = "(found) => found.sort((a, b) => a.getBoundingClientRect().y - b.getBoundingClientRect().y)"
    names = lines.evaluate_all(
        f"(found) => ({by_height})(found).map((line) => line.querySelector('text').textContent)"
    )
    assert names == order
    page.close()


def test_a_task_shows_its_notebook_and_results(opened: Opened) -> None:
    """Prose, code, tables, pictures, series and files of a task are on its page."""
    page = opened.go("#/run/run-00003/task/train")
    expect(page.locator(".prose em")).to_have_text("care")
    expect(page.locator(".notebook table td")).to_have_text("41")
    expect(page.locator(".hljs-keyword").first).to_have_text("import")
    expect(page.get_by_role("img", name="curve.png")).to_be_visible()
    page.get_by_role("link", name="Results").click()
    expect(page.get_by_role("group", name="loss", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name="0.91", exact=True).first).to_be_visible()


def test_a_task_says_what_it_read_without_declaring_it(browser: Browser, tmp_path: Path) -> None:
    """The first file is named, a link leads to all."""
    fabric = Fabric(tmp_path)
    run = fabric.run(1, Made(name="a", undeclared=("config.yaml", "more.txt"), ingredients=(("cell", "1", "x"),)))
    page = browser.new_page()
    Opened(page, f"file://{publish(fabric, tmp_path / 'site')}/").go(f"#/run/{run}/task/a")
    said = "Not declared: it read config.yaml and 1 more; a change of these files alone does not make it run."
    expect(page.get_by_role("note")).to_have_text(said)
    page.get_by_role("link", name="1 more").click()
    expect(page.get_by_role("rowheader", name="more.txt")).to_be_visible()
    page.close()


def test_a_failed_task_opens_with_its_traceback(opened: Opened) -> None:
    """The first thing seen of a failure is the failure."""
    page = opened.go("#/run/run-00004/task/summary")
    expect(page.locator(".raised")).to_have_text("ValueError: nothing to compare")


def test_a_hit_names_the_run_that_produced_it(opened: Opened) -> None:
    """The link leads to the same task of the producing run."""
    page = opened.go("#/run/run-00001/task/train")
    page.locator("p.why a").click()
    expect(page).to_have_url(re.compile("#/run/run-00000/task/train$"))


def test_a_comparison_judges_metrics_by_their_direction(opened: Opened) -> None:
    """The declared metric is worse, the undeclared one only differs; the baseline can be changed."""
    page = opened.go("#/compare?runs=run-00003,run-00005")
    row = page.get_by_role("row", name=re.compile("train auc"))
    expect(row.locator(".is-worse")).to_contain_text("\N{MINUS SIGN}0.36")
    expect(page.get_by_role("row", name=re.compile("train loss")).locator(".is-changed")).to_contain_text("+0.36")
    page.get_by_role("link", name="make baseline").click()
    expect(row.locator(".is-better")).to_contain_text("+0.36")
    page.get_by_role("link", name="Tasks and keys").click()
    expect(page.get_by_role("row", name=re.compile("parameter lr"))).to_contain_text("0.3")


def test_the_difference_of_two_graphs_is_drawn(opened: Opened) -> None:
    """What one run has more or less stands out by colour, by a sign, and in words."""
    page = opened.go("#/compare?runs=run-00005,run-00006&view=tasks")
    drawing = page.get_by_role("group", name=re.compile("^Graph of"))
    expect(drawing.locator(".node")).to_have_count(4)
    expect(drawing.locator(".node.is-added")).to_contain_text("+benchmark[size=600]")
    expect(drawing.locator(".node.is-keyed").first).to_contain_text("≠train")
    expect(drawing.locator(".edge.is-added")).to_have_count(1)
    page.goto(page.url.replace("run-00005,run-00006", "run-00006,run-00005"))
    expect(drawing.locator(".node.is-removed")).to_contain_text("\N{MINUS SIGN}benchmark[size=600]")


def test_a_key_that_gave_two_results_is_told(opened: Opened) -> None:
    """Where executions with one key left different outputs, the task says that it is not deterministic."""
    page = opened.go("#/run/run-00003/task/summary")
    expect(page.get_by_role("note")).to_contain_text("Not deterministic")
    page.get_by_role("note").get_by_role("link").click()
    expect(page).to_have_url(re.compile("#/run/run-00002/task/summary$"))
    expect(opened.go("#/run/run-00003/task/train").get_by_role("note")).to_have_count(0)


def test_notebooks_are_compared_by_cell(opened: Opened) -> None:
    """The changed cell is shown line by line with its words marked; addresses are no difference."""
    page = opened.go("#/compare?runs=run-00003,run-00005&view=notebooks&task=train")
    expect(page.get_by_text("1 cell of 4 differs.")).to_be_visible()
    expect(page.locator(".line.removed mark").first).to_have_text("3")
    expect(page.locator(".line.added mark").first).to_have_text("4")
    page.get_by_role("checkbox", name="Show all cells").check()
    expect(page.locator(".pair")).to_have_count(4)


def test_pictures_are_compared_in_four_ways(opened: Opened) -> None:
    """The slider cuts the second picture, the onion skin fades it, the difference blends it."""
    page = opened.go("#/compare?runs=run-00003,run-00005&view=pictures&task=train")
    over = page.locator("img.over")
    expect(page.locator(".images img")).to_have_count(2)
    page.get_by_role("radio", name="slider").check()
    page.get_by_role("slider").fill("30")
    expect(over).to_have_css("clip-path", "inset(0px 0px 0px 30%)")
    page.get_by_role("radio", name="onion skin").check()
    expect(over).to_have_css("opacity", "0.3")
    page.get_by_role("radio", name="difference").check()
    expect(over).to_have_css("mix-blend-mode", "difference")


def test_history_marks_reuse_and_regressions(opened: Opened) -> None:
    """A hit is a hollow point; the value that fell is marked."""
    page = opened.go("#/history?task=train&branch=main")
    chart = page.get_by_role("group", name="auc (higher is better)")
    expect(chart.locator(".point")).to_have_count(6)
    expect(chart.locator(".point.hollow")).to_have_count(1)
    expect(chart.locator(".is-worse")).to_have_count(1)


def test_the_theme_is_chosen_and_kept(opened: Opened) -> None:
    """The button goes from the system's theme to light and dark; a reload keeps it."""
    page = opened.go("")
    for _ in range(2):
        page.get_by_role("button", name=re.compile("^Theme")).click()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")


@pytest.mark.parametrize("address", PAGES)
def test_pages_fit_a_narrow_screen(opened: Opened, address: str) -> None:
    """At 320 pixels nothing makes the page itself scroll sideways."""
    opened.page.set_viewport_size({"width": 320, "height": 640})
    page = opened.go(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("address", PAGES)
def test_pages_work_from_a_static_host(browser: Browser, server: str, address: str) -> None:
    """Below a path of a plain web server, each page says nothing to the console."""
    context = browser.new_context()
    opened = Opened(context.new_page(), server)
    opened.go(address)
    context.close()
    assert opened.said == []


def test_without_a_script_the_last_runs_are_listed(browser: Browser, site: Path) -> None:
    """The page itself holds a table."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{site}/index.html")
    expect(page.locator("tbody tr")).to_have_count(8)
    context.close()


def test_the_tasks_page_says_what_hurts_and_what_was_saved(opened: Opened) -> None:
    """Its first task is the one with a failure; a filter narrows what is summed; a column sorts."""
    page = opened.go("#/tasks")
    rows = page.get_by_role("group", name="Tasks", exact=True).locator("tbody tr")
    expect(rows.first).to_contain_text("summary")
    expect(rows.first).to_contain_text("not deterministic")
    expect(page.locator(".months h2")).to_contain_text("Saved by the cache: 9.00 s")
    page.get_by_role("button", name="Computed").click()
    expect(rows.first).to_contain_text("train")
    page.get_by_label("Filter", exact=True).fill("branch = faster")
    expect(page.locator(".months h2")).to_contain_text("Saved by the cache: 2.00 s")
    rows.first.get_by_role("link", name="train").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("History")


def test_explore_says_which_parameter_goes_with_a_result(opened: Opened) -> None:
    """Over the filtered runs: a relation with its count, points to choose from, and groups."""
    page = opened.go("#/explore")
    parameters = page.get_by_role("group", name="Parameters, by how they go with the result").locator("tbody tr")
    expect(parameters.first).to_contain_text("lr")
    expect(parameters.first.locator("td.num").first).to_have_text("7")
    plot = page.get_by_role("img", name="auc · train over lr")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + 70, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.get_by_text("6 of 7 chosen, from 6 runs")).to_be_visible()
    page.get_by_role("link", name="Compare them").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare 6 runs")
    page = opened.go("#/explore?group=branch&filter=params.lr%20%3E%200.15")
    expect(page.get_by_role("status")).to_have_text("over 6 of 8 runs")
    groups = page.get_by_role("group", name="auc by branch").locator("tbody tr")
    expect(groups).to_have_count(2)
    expect(groups.first).to_contain_text("faster")
    page.get_by_role("combobox", name="Result").select_option("metrics.rows@ingest")
    expect(page.get_by_text("No result was computed in these runs.")).to_be_visible()


def test_what_changed_in_the_data_is_compared(browser: Browser, tmp_path: Path) -> None:
    """Rows and columns that came and went, figures of columns, and the first rows that differ, by their key."""
    fabric = Fabric(tmp_path)
    old = b"id,score,kind\n" + b"".join(b"%d,%d,x\n" % (row, row * 2) for row in range(40))
    new = b"id,score,size\n" + b"".join(b"%d,%d,1\n" % (row, row * 2 + 9 * (row == 7)) for row in range(1, 42))
    for number, data in enumerate((old, new)):
        fabric.run(number, Made(name="clean", files={"rows.csv": data}))
    site = publish(fabric, tmp_path / "site", previews=True)
    page = browser.new_page()
    opened = Opened(page, f"file://{site}/")
    opened.go("#/run/run-00000/task/clean")
    expect(page.get_by_role("group", name="Columns").locator("tbody tr")).to_have_count(3)
    expect(page.get_by_text("40 rows, 3 columns")).to_be_visible()
    opened.go("#/compare?runs=run-00000,run-00001&view=pictures")
    expect(page.locator(".facts-of-data")).to_contain_text("40 \N{RIGHTWARDS ARROW} 41 rows (+1)")
    expect(page.locator(".facts-of-data")).to_contain_text("new column size")
    expect(page.locator(".facts-of-data")).to_contain_text("without kind")
    rows = page.get_by_role("group", name="Rows that differ").locator("tbody tr")
    expect(page.get_by_text("4 rows differ, compared by id")).to_be_visible()
    expect(rows.first).to_contain_text("changed")
    expect(rows.first.locator("del")).to_have_text("14")
    expect(rows.first.locator("ins")).to_have_text("23")
    page.close()
    assert opened.said == []


def test_an_artefact_is_seen_over_many_runs_at_once(opened: Opened) -> None:
    """From a task to its picture in the last runs: with one zoom, against a baseline, and under a slider."""
    page = opened.go("#/run/run-00007/task/train?view=results")
    page.get_by_role("figure").filter(has_text="curve.png").get_by_role("link", name="Over the runs").click()
    pictures = page.locator(".multiple img")
    expect(pictures).to_have_count(5)
    expect(page.locator(".multiple").first).to_contain_text("main")
    page.get_by_role("slider", name="Zoom").fill("4")
    page.get_by_role("group", name="The artefact of 5 runs").press("ArrowLeft")
    styles = pictures.evaluate_all("all => all.map(one => one.getAttribute('style'))")
    assert len(set(styles)) == 1
    assert "scale(4)" in styles[0]
    page.get_by_role("radio", name="difference").check()
    expect(page.locator(".multiple .over")).to_have_count(4)
    page.get_by_role("combobox", name="Last").select_option("10")
    expect(page.locator(".multiple")).to_have_count(8)
    expect(page.locator(".multiple").nth(6)).to_contain_text("unchanged")
    page.get_by_role("radio", name="one after the other").check()
    page.get_by_role("slider", name="Run").fill("0")
    expect(page.locator(".sequence figcaption")).to_contain_text("main")
    page.get_by_role("combobox", name="Artefact").select_option("scores.csv")
    expect(page.get_by_role("group", name="A table")).to_have_count(8)


def test_older_runs_are_loaded_when_they_are_asked_for(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the menu, all or by their days, and by an address that names one; a filter then counts them."""
    monkeypatch.setattr(site_index, "SIZE", 3)
    monkeypatch.setattr(site_index, "RECENT", 2)
    monkeypatch.setattr(site_index, "EXCERPT", 1)
    fabric = Fabric(tmp_path)
    for number in range(8):
        fabric.run(number, Made(name="a", metrics={"auc": number / 10}, params={"lr": number}))
    page = browser.new_page()
    opened = Opened(page, f"file://{publish(fabric, tmp_path / 'site')}/")
    opened.go("#/runs?columns=started,metrics.auc%2540a&filter=metrics.auc>=0")
    expect(page.get_by_role("status")).to_have_text("2")
    page.get_by_role("button", name="Older runs: 6").click()
    expect(page.locator("ul.older li")).to_have_count(2)
    page.get_by_role("button", name="2023-11").first.click()
    expect(page.get_by_role("status")).to_have_text("5")
    expect(page.locator("tbody tr td:last-child")).to_have_text([f"0.{n}0000" for n in (7, 6, 5, 4, 3)])
    opened.go("#/run/run-00001/task/a?view=history")
    expect(page.get_by_role("row", name="this run")).to_be_visible()
    opened.go("#/compare?runs=run-00000,run-00006")
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare 2 runs")
    opened.go("#/tasks")
    page.get_by_role("button", name="Older runs: 6").click()
    page.get_by_role("button", name="Load all").click()
    expect(page.get_by_role("status")).to_have_text("over 8 runs")
    page.close()
    assert opened.said == []


def test_instances_fold_and_tasks_are_found_in_a_graph(browser: Browser, tmp_path: Path) -> None:
    """A large graph begins folded; what is not sought fades."""
    fabric = Fabric(tmp_path)
    trains = [Made(name=f"train[{n}]", family="train", above=("load",)) for n in range(40)]
    trains[7] = Made(name="train[7]", family="train", above=("load",), status="failed", error=("E", "m", "t"))
    fabric.run(1, Made(name="load"), *trains, Made(name="last", above=("train[0]",)))
    page = browser.new_page()
    opened = Opened(page, f"file://{publish(fabric, tmp_path / 'site')}/")
    opened.go("#/run/run-00001?view=graph")
    expect(page.locator(".graph .node")).to_have_count(3)
    family = page.locator(".graph .node", has_text="train \N{MULTIPLICATION SIGN} 40")
    expect(family).to_have_class(re.compile("is-failed"))
    expect(family).to_have_attribute("href", re.compile("train%5B7%5D$"))
    page.get_by_role("searchbox", name="Find in the graph").fill("[12]")
    expect(page.locator(".graph .found")).to_have_count(1)
    page.get_by_role("button", name="Instances together").click()
    expect(page.locator(".graph .node")).to_have_count(42)
    expect(page.locator(".graph .found")).to_have_text(re.compile("train\\[12\\]"))
    page.close()
    assert opened.said == []


@pytest.mark.parametrize(
    ("file", "address"),
    [
        ("data/index.js", ""),
        ("data/index.js", "#/run/run-00003"),
        ("data/shard/0/c0.js", ""),
        ("data/shard/0/matrix.js", "#/matrix"),
        ("data/shard/0/tasks.js", "#/tasks"),
        ("data/run/run-00003.js", "#/run/run-00003"),
        ("data/run/run-00003.js", "#/run/run-00003/task/train"),
        ("texts.js", "#/run/run-00003/task/train"),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file_is_named(
    browser: Browser, site: Path, tmp_path: Path, file: str, address: str, damage: str
) -> None:
    """What was cut or is gone costs its part alone, which says what helps; nothing is blank, or waits for ever."""
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    if damage == "cut":
        (copy / file).write_bytes((copy / file).read_bytes()[:60])
    else:
        (copy / file).unlink()
    page = browser.new_page()
    opened = Opened(page, f"file://{copy}/")
    page.goto(f"{opened.base}index.html{address}")
    alert = page.get_by_role("alert").filter(has_text=file)
    expect(alert).to_contain_text("nbdag report")
    assert page.get_by_text("defect of nbdag").count() == 0
    assert page.locator(".loading").count() == 0
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    page.close()


def test_runs_whose_details_were_left_out_say_so(browser: Browser, tmp_path: Path) -> None:
    """Their pages name the reason, and ask for no file that is not there."""
    fabric = Fabric(tmp_path)
    for number in range(3):
        fabric.run(number, Made(name="a", metrics={"auc": number}, artifacts={"x": (b"x" * 5000, "text/plain")}))
    found = found_in(str(fabric.runs), fabric.record, fabric.blob)
    write_site(str(tmp_path / "site"), found, SiteOptions(executed=executed, max_size=1))
    page = browser.new_page()
    opened = Opened(page, f"file://{tmp_path / 'site'}/")
    for address in ("#/run/run-00000", "#/run/run-00000/task/a", "#/compare?runs=run-00000,run-00002"):
        opened.go(address)
        expect(page.get_by_text("to limit the size of the site")).to_be_visible()
    page.close()
    assert opened.said == []
