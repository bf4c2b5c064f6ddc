"""A site of fourteen real runs of the MNIST example, and every page of it; some ten minutes on two cores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.reporting.browser.conftest import Opened, served
from tests.reporting.browser.mnist import build_runs
from tests.reporting.browser.test_site_access import serious
from tests.support.project import Project

pytestmark = [pytest.mark.chromium, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def project(built_once: Callable[[str, Callable[[Project], object]], Path]) -> Project:
    """Build, break, mend and branch, and publish all of it below a path: once for all workers."""

    def make(project: Project) -> None:
        build_runs(project)
        done = project.nbdag("report", "-o", str(project.root.parent / "host/below/site"))
        assert done.returncode == 0, done.stderr

    return Project(built_once("site-of-mnist", make))


def tasks_of(project: Project, run_id: str) -> dict[str, dict[str, Any]]:
    shown = json.loads(project.nbdag("show", run_id, "--json").stdout)
    return {task["name"]: task for task in shown["tasks"]}


def task_page(run_id: str, task: str) -> str:
    return f"#/run/{run_id}/task/{quote(task, safe='')}"


@pytest.fixture(scope="module")
def pages(project: Project) -> list[str]:
    """List the addresses of every run, of every task in three of them, and of comparisons, in all views."""
    runs = json.loads(project.nbdag("runs", "--json").stdout)["runs"][::-1]
    ids = [run["id"] for run in runs]
    failed = [run["id"] for run in runs if run["result"] == "failure"]
    addresses = ["", "#/runs?different=1", "#/matrix", "#/history", "#/compare"]
    addresses += [f"#/run/{run_id}" for run_id in ids]
    for run_id in (ids[0], ids[1], ids[3], failed[0]):
        addresses += [f"#/run/{run_id}?view={view}" for view in ("graph", "timeline", "environment")]
        addresses += [task_page(run_id, task) for task in tasks_of(project, run_id)]
    for task in ("train[nr_train_images=60]", "summary", "ingest"):
        page = task_page(ids[0], task)
        addresses += [f"{page}?view={view}" for view in ("results", "attempts", "key", "history")]
    pairs = [(ids[0], ids[2]), (ids[0], ids[3], ids[4]), (ids[6], failed[0])]
    for runs_compared in pairs:
        page = f"#/compare?runs={','.join(runs_compared)}"
        addresses += [page, *(f"{page}&view={view}" for view in ("tasks", "notebooks", "pictures", "charts"))]
    return addresses


@pytest.fixture(params=["file", "host"])
def opened(browser: Browser, project: Project, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Open the site from the disk, and from a static host under a path."""
    root = project.root.parent / "host"
    with served(root) as base:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        place = f"file://{root}/" if request.param == "file" else base
        yield Opened(context.new_page(), f"{place}below/site/")
        context.close()


def test_the_runs_are_what_they_were_meant_to_be(project: Project) -> None:
    """Two branches, failures, a timeout, hits and restores: the site has something of everything."""
    runs = json.loads(project.nbdag("runs", "--json").stdout)["runs"]
    assert len(runs) == 14
    assert {run["result"] for run in runs} == {"success", "failure"}
    assert {run["vcs"]["head_name"] for run in runs} == {"main", "less-regularised"}
    assert {"ran", "restored", "up_to_date", "failed"} <= {status for run in runs for status in run["counts"]}
    failed = [tasks_of(project, run["id"])["eda"]["failure"] for run in runs if run["result"] == "failure"]
    assert {failure["type"] for failure in failed} == {"KeyError", "timeout"}


def test_every_page_says_nothing_to_the_console(opened: Opened, pages: list[str]) -> None:
    """Every page has a heading and its content, and no console message, error or request elsewhere."""
    for address in pages:
        page = opened.go(address)
        assert opened.said == [], address
        assert page.locator("main [role=alert]:not(:empty)").count() == 0, address


@pytest.mark.axe
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("opened", ["file"], indirect=True)
def test_axe_finds_nothing_serious_on_real_pages(
    opened: Opened, pages: list[str], theme: Literal["light", "dark"]
) -> None:
    """Real outputs, tables and pictures are as accessible as made-up ones, wherever they are served from."""
    opened.page.emulate_media(color_scheme=theme)
    for address in pages[::4]:
        opened.go(address)
        assert serious(opened) == [], address


def test_the_timeout_is_shown_with_what_ran_until_then(opened: Opened, project: Project) -> None:
    """A task that timed out opens with its attempt, and the notebook as far as it came."""
    runs = json.loads(project.nbdag("runs", "--json").stdout)["runs"]
    failed = [run["id"] for run in runs if run["result"] == "failure"]
    page = opened.go(f"#/run/{failed[0]}/task/eda")
    expect(page.locator(".attempt .badge").first).to_contain_text("timed out")
    page.get_by_text("The notebook as far as it ran").click()
    expect(page.locator(".attempt .cell").first).to_be_visible()
