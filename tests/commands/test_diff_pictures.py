"""What `nbdag diff` links to is there: pictures on a page of their own, and runs that a published site shows."""

from __future__ import annotations

import base64
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project

PNG = b"\x89PNG\r\n\x1a\n"
PIPELINE = """
    [pipeline]
    name = "plots"

    [tasks.draw]
    function = "work:draw"
    outputs = ["out/chart.svg", "out/more/"]
    secrets = ["API_KEY"]

    [tasks.show]
    notebook = "show.py"
"""
WORK = """
    import os
    import nbmake_dag as nbdag

    def draw(outputs):
        open(outputs[0], "w").write("<svg>{colour}<script>alert(1)</script></svg>")
        os.makedirs(outputs[1], exist_ok=True)
        open(outputs[1] + "<b>.png", "wb").write(bytes.fromhex("{png}") + b"{colour}")
        open(outputs[1] + "same.svg", "w").write("<svg/>")
        nbdag.log_artifact(b"<svg>{colour}</svg>", "logged.svg")
        nbdag.log_artifact(b"<svg>same</svg>", "same.svg")
"""
SHOW = (
    "from IPython.display import SVG, display",
    """
for text in ("{colour}", "same"):
    display(SVG(f'<svg xmlns="http://www.w3.org/2000/svg"><text>{text}</text></svg>'))
""",
)


def paint(project: Project, colour: str) -> Project:
    project.write("work.py", WORK.replace("{colour}", colour).replace("{png}", PNG.hex()))
    return project.notebook("show.py", *(cell.replace("{colour}", colour) for cell in SHOW))


@pytest.fixture
def plots(tmp_path: Path, built_once: Callable[[str, Callable[[Project], object]], Path]) -> Project:
    """Give a copy of what was built twice, with another colour."""
    return Project.copied(built_once("plots", _painted), tmp_path / "plots")


def _painted(project: Project) -> None:
    project.pipeline(PIPELINE)
    for colour in ("red", "blue"):
        assert paint(project, colour).build(env={"API_KEY": "blue-is-the-secret"}).code == 0


def shown(page: str) -> list[tuple[str, list[bytes]]]:
    """Return the figures of a page: their captions, and their pictures."""
    figures = re.findall(r"<figcaption>(.*?)</figcaption>(.*?)</figure>", page, re.DOTALL)
    return [
        (caption, [base64.b64decode(data) for data in re.findall(r'src="data:[^,]*,([^"]*)"', rest)])
        for caption, rest in figures
    ]


def test_the_pictures_that_differ_are_on_one_page(plots):
    """Outputs, artefacts and what a notebook displayed, before and after; what is the same is not there."""
    page = plots / "pictures.html"
    done = plots.nbdag("diff", "latest~1", "latest", "--pictures", "pictures.html")
    assert done.returncode == 0, done.stderr
    found = shown(page.read_text())
    assert [caption for caption, _ in found] == [
        "draw: out/chart.svg",
        "draw: out/more/&lt;b&gt;.png",
        "draw: logged.svg",
        "show: show.py, cell 2",
    ]
    for _, (before, after) in found:
        assert b"red" in before
        assert before.replace(b"red", b"blue") == after
    text = page.read_text()
    assert "<script>" not in text
    assert "default-src 'none'" in text


def test_no_page_is_left_where_no_picture_differs(plots):
    """Of an earlier comparison neither; a file of somebody else is not touched."""
    page = plots / "pictures.html"
    plots.nbdag("diff", "latest~1", "latest", "--pictures", "pictures.html")
    assert page.exists()
    assert plots.nbdag("diff", "latest", "latest", "--pictures", "pictures.html").returncode == 0
    assert not page.exists()
    page.symlink_to("real.html")
    plots.write("real.html", "")
    assert plots.nbdag("diff", "latest", "latest", "--pictures", "pictures.html").returncode == 0
    assert page.is_symlink()
    page.unlink()
    page.write_text("mine")
    done = plots.nbdag("diff", "latest~1", "latest", "--pictures", "pictures.html")
    assert (done.returncode, page.read_text()) == (2, "mine")
    assert "pictures.html is there already" in done.stderr


def test_a_picture_with_a_secret_in_it_is_left_out(plots):
    """It is named, and the others are there."""
    key = "alert(1)</script>"
    done = plots.nbdag("diff", "latest~1", "latest", "--pictures", "pictures.html", env={"API_KEY": key})
    assert done.returncode == 0
    assert done.stderr.count("warning: a picture is left out: draw: out/chart.svg of run ") == 2
    assert [len(pictures) for _, pictures in shown((plots / "pictures.html").read_text())] == [0, 2, 2, 2]


@pytest.fixture
def site(plots: Project) -> Iterator[str]:
    """Publish the first run alone."""
    first = min((plots / ".nbdag/runs").glob("2*"))
    (plots / "runs").mkdir()
    done = plots.nbdag("export", first.name, "--bundle", f"runs/{first.name}.json")
    assert done.returncode == 0, done.stderr
    other = Project(plots.root.parent / "other").pipeline(PIPELINE.partition("[tasks.show]")[0])
    paint(other, "red")
    assert other.nbdag("report", "-o", "site", "--runs", str(plots / "runs")).returncode == 0
    handler = partial(_Quiet, directory=str(other / "site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method that it overrides
        """Say nothing."""


def test_links_lead_to_runs_that_are_published(plots, site):
    """The run of the base is; that of the pull request is not yet, nor is the comparison of both."""
    runs = sorted(run.name for run in (plots / ".nbdag/runs").glob("2*") if run.is_dir())
    for address in (site, f"{site}/index.html"):
        done = plots.nbdag("diff", "latest~1", "latest", "--format=markdown", "--site", address)
        page = address if address.endswith(".html") else f"{address}/"
        assert done.stdout.splitlines()[0] == f"**[{runs[0]}]({page}#/run/{runs[0]}) → {runs[1]}**"
        assert done.stdout.count("http://") == 1


def test_without_an_answer_of_the_site_nothing_is_linked(plots):
    """The comparison is written all the same, and a warning says why it has no links."""
    plain = plots.nbdag("diff", "latest~1", "latest", "--format=markdown").stdout
    done = plots.nbdag("diff", "latest~1", "latest", "--format=markdown", "--site", "http://127.0.0.1:9/x")
    assert (done.returncode, done.stdout) == (0, plain)
    assert done.stderr.startswith("warning: no link to the site is written: http://127.0.0.1:9/x/site.json")


def test_an_empty_site_is_none(plots):
    """As a variable that is not set gives it."""
    plain = plots.nbdag("diff", "latest~1", "latest", "--format=markdown")
    given = plots.nbdag("diff", "latest~1", "latest", "--format=markdown", "--site=", "--pictures=")
    assert (given.returncode, given.stdout, given.stderr) == (0, plain.stdout, "")


def test_a_commit_that_this_clone_does_not_have_names_the_run_that_saw_it(project):
    """A shallow clone has its newest commit alone; the records carried there know the one before."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'true'\n").commit()
    project.build()
    before = project.git("rev-parse", "HEAD").strip()
    (project / ".git").rename(project / "git-gone")
    assert project.nbdag("show", before).stdout.startswith("run ")
    unknown = project.nbdag("show", "0" * 40)
    assert (unknown.returncode, unknown.stderr.partition("\n")[0]) == (
        5,
        f"error: no run has seen commit {'0' * 40}",
    )
