"""The live view while a real build runs: what a person sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.reporting.browser.conftest import Opened
from tests.reporting.browser.test_site_access import AXE
from tests.support.project import Project, await_true
from tests.support.watching import Watching

pytestmark = [pytest.mark.chromium, pytest.mark.timing]


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """Watch a notebook that fails, and one that says what a test wants; the longer chain is begun first."""
    project = Project(tmp_path_factory.mktemp("live") / "project")
    project.pipeline("""
        [pipeline]
        name = "weather"

        [tasks.wrong]
        notebook = "wrong.py"
        outputs = ["wrong.out"]

        [tasks.lost]
        command = "cp wrong.out lost.out"
        inputs = ["wrong.out"]
        outputs = ["lost.out"]

        [tasks.last]
        command = "cp lost.out last.out"
        inputs = ["lost.out"]
        outputs = ["last.out"]

        [tasks.talk]
        notebook = "talk.py"
        outputs = ["talk.out"]

        [tasks.below]
        command = "cp talk.out below.out"
        inputs = ["talk.out"]
        outputs = ["below.out"]
    """)
    project.notebook(
        "talk.py",
        "import pathlib, time",
        """
        at = 0
        while at < 3:
            if (wanted := pathlib.Path("..", f"say-{at}")).exists():
                print(wanted.read_text(), flush=True)
                at += 1
            time.sleep(0.02)
        """,
        'pathlib.Path("talk.out").write_text("said")',
    )
    project.notebook("wrong.py", "x = {}", 'x["<b>missing</b>"]')
    with Watching(project, "--serve", "--executor=inline", builds=False) as watching:
        watching.said("live view: ")
        yield watching
        watching.end()
    await_true(lambda: not project.processes(), 15, f"still there: {project.processes()}")


@pytest.fixture(scope="module")
def address(watching: Watching) -> str:
    found = re.search(r"live view: (\S+)", watching.text())
    assert found
    return found[1]


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    """Open the live view; at the end, nothing may have been said."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = Opened(context.new_page(), address)
    opened.page.goto(address)
    yield opened
    context.close()
    assert opened.said == []


def say(watching: Watching, number: int, text: str) -> None:
    place = watching.project.root.parent / f"say-{number}"
    temporary = place.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(place)


def violations(page: Page) -> list[Any]:
    page.evaluate(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = page.evaluate("tags => axe.run({ runOnly: tags, preload: false })", tags)
    return [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in result["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def test_what_a_cell_prints_is_seen_while_it_runs(watching: Watching, opened: Opened) -> None:
    """A running task has its cell, and what it prints appears while it runs."""
    running = opened.page.get_by_role("region", name="Running tasks").get_by_role("article")
    expect(running).to_contain_text("cell 2/3")
    say(watching, 0, "the first words")
    expect(running).to_contain_text("the first words", timeout=5_000)
    expect(opened.page.locator(".node.is-running")).to_have_text(re.compile("talk"))
    expect(opened.page.locator(".node.is-waiting")).to_have_text(re.compile("below"))


def test_a_failure_is_shown_while_others_run(opened: Opened) -> None:
    """What failed is told with its exception and its traceback, as text."""
    failures = opened.page.get_by_role("region", name="Failures")
    expect(failures).to_contain_text("KeyError: '<b>missing</b>'")
    expect(failures.get_by_role("group", name="Traceback")).to_contain_text('x["<b>missing</b>"]')
    expect(opened.page.get_by_role("status")).to_have_text(re.compile("^3 of 5.*1 failed.*2 skipped"))
    expect(opened.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "3")
    expect(opened.page.locator(".node.is-failed")).to_have_text(re.compile("wrong"))


def test_a_task_has_a_page_that_goes_on(watching: Watching, opened: Opened) -> None:
    """By the keyboard alone: from the graph to a task, whose output grows there too."""
    page = opened.page
    node = page.locator(".node.is-running")
    expect(node).to_be_visible(timeout=60_000)
    node.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("talk")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_role("group", name="Output of attempt 1")).to_contain_text("the first words")
    say(watching, 1, "\x1b[31mmore\x1b[0m words")
    expect(page.locator("pre .ansi-1")).to_have_text("more", timeout=5_000)


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("view", ["#/live", "#/live?view=timeline", "#/live?view=tasks", "#/live/task/talk"])
@pytest.mark.axe
def test_everybody_can_use_it(opened: Opened, view: str, theme: Any) -> None:
    """While something runs, axe finds nothing serious in either theme, and all fits a small screen."""
    page = opened.page
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"{opened.base}{view}")
    expect(page.get_by_text("running").first).to_be_visible(timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert opened.said == []
    assert violations(page) == []
    opened.said.clear()  # axe makes styles that the policy refuses


def test_the_report_has_the_run_when_it_has_ended(watching: Watching, opened: Opened) -> None:
    """A page of the report that is open gets the new run without being loaded again; so does the live page."""
    page = opened.page
    page.goto(f"{opened.base}#/runs")
    page.evaluate("window.stayed = true")
    expect(page.get_by_role("status")).to_have_text("0")
    say(watching, 2, "the last words")
    expect(page.get_by_role("status")).to_have_text("1")
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Last build")
    page.get_by_role("link", name="Open in the report").click()
    expect(page.get_by_role("rowheader", name="below")).to_be_visible()
    assert page.evaluate("window.stayed")


def test_the_next_run_is_followed(watching: Watching, opened: Opened) -> None:
    """After a save the page shows the new run, without the tasks of the one before."""
    page = opened.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Last build")
    watching.project.notebook("wrong.py", "x = {}", 'open("wrong.out", "w").close()')
    expect(page.get_by_role("status")).to_contain_text("3 ran")
    expect(page.get_by_role("region", name="Failures").get_by_role("article")).to_have_count(0)
    expect(page.locator(".head .badge")).to_contain_text("success")


def test_a_wrong_pipeline_is_shown_until_it_is_right(watching: Watching, opened: Opened) -> None:
    """The page says what the terminal says: that nothing is built, and why."""
    before = watching.project.read("pipeline.toml")
    complaint = opened.page.get_by_role("alert", name="Complaint")
    expect(complaint).to_have_text("")
    watching.project.save("pipeline.toml", before.replace("notebook", "notbook", 1))
    expect(complaint).to_contain_text("did you mean `notebook`?")
    watching.said(complaint.inner_text().strip())
    watching.project.save("pipeline.toml", before)
    expect(complaint).to_have_text("")


def test_a_page_says_when_nbdag_has_ended(project: Project, browser: Browser) -> None:
    """What was last heard stays, and that it is no more than that is said."""
    project.pipeline('[tasks.a]\ncommand = "echo a > a.out"\noutputs = ["a.out"]\n')
    with Watching(project, "--serve") as watching:
        page = browser.new_page()
        address = re.search(r"live view: (\S+)", watching.text())
        assert address is not None
        page.goto(address[1])
        expect(page.get_by_role("status")).to_contain_text("1 of 1")
        watching.end()
    expect(page.get_by_text("nbdag cannot be reached")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("1 of 1")
    page.close()
