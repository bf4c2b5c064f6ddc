"""A copy of the executed notebook, as a page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmake_dag.engine.state.rescued_files import read_rescued
from nbmake_dag.observe.project import find_project
from nbmake_dag_cache.blobs import BlobStore
from tests.support.project import Project

NOTEBOOK = '# %% tags=["parameters"]\nx = 1\n\n# %% [markdown]\n# # A *title*\n\n# %%\nprint(f"{x} & so <on>")\n'


@pytest.fixture
def paged(project: Project) -> Project:
    """Make a pipeline with one notebook that is shown as a page."""
    project.pipeline('[tasks.a]\nnotebook = "a.py"\nparameters = { x = 7 }\nnotebook_output = "shown/a.html"\n')
    return project.write("a.py", NOTEBOOK)


@pytest.mark.parametrize("nbconvert", [True, False])
def test_a_page_shows_what_was_executed(paged: Project, tmp_path: Path, *, nbconvert: bool) -> None:
    """Markdown, injected parameters and outputs are there, made by nbconvert where it is installed."""
    if not nbconvert:
        (tmp_path / "lacking").mkdir()
        (tmp_path / "lacking/nbconvert.py").write_text("raise ModuleNotFoundError('nbconvert')")
    paged.build(env={} if nbconvert else {"PYTHONPATH": str(tmp_path / "lacking")}).ran("a")
    page = paged.read("shown/a.html")
    assert ("jp-Notebook" in page) is nbconvert
    assert "<em>title</em>" in page
    assert "7 &amp; so &lt;on&gt;" in page


def test_a_notebook_that_nbconvert_refuses_has_a_page(project: Project) -> None:
    """An attachment that is not in the notebook ends nothing: the page is our own, and later tasks run."""
    project.pipeline(
        '[tasks.a]\nnotebook = "a.py"\nnotebook_output = "a.html"\noutputs = ["a.txt"]\n'
        '[tasks.b]\ncommand = "cat a.txt"\ninputs = ["a.txt"]\n'
    )
    project.write(
        "a.py", "# %% [markdown]\n# ![a *picture*](attachment:lost.png)\n\n# %%\nopen('a.txt', 'w').close()\n"
    )
    project.build().ran("a", "b")
    assert "lost.png" in project.read("a.html")


def test_a_copy_that_cannot_be_written_is_a_warning_of_each_build(project: Project) -> None:
    """The build ends as it went, also where nothing is to do; once there is room, the copy is made."""
    project.pipeline('[tasks.a]\nnotebook = "a.py"\nnotebook_output = "taken/a.html"\n')
    project.write("a.py", NOTEBOOK).write("taken", "a file")
    assert "taken/a.html was not written" in project.build().ran("a").err
    assert "taken/a.html was not written" in project.build().ran().err
    project.remove("taken")
    project.build().ran()
    assert "<em>title</em>" in project.read("taken/a.html")


def test_a_copy_that_could_not_be_renewed_is_tried_again(project: Project) -> None:
    """The file of the user that is in its place does not make the next build one with nothing to do."""
    project.pipeline('[tasks.a]\nnotebook = "a.py"\nnotebook_output = "a.html"\nsecrets = ["API_PW"]\n')
    project.write("a.py", NOTEBOOK).write("a.html", "of the user: pw-38afe2")
    for ran in (["a"], [], []):
        build = project.build(env={"API_PW": "pw-38afe2"}).ran(*ran)
        assert "a.html was not written: it holds the value of API_PW" in build.err


@pytest.mark.slow
def test_a_page_is_written_where_it_is_not_current(paged: Project) -> None:
    """An edit of Markdown shows without a run; a page that a person changed is rescued first."""
    paged.build().ran("a")
    before = (paged / "shown/a.html").stat().st_mtime_ns
    os.utime(paged / "a.py")
    paged.build().ran()
    assert (paged / "shown/a.html").stat().st_mtime_ns == before
    paged.write("a.py", NOTEBOOK.replace("title", "heading")).build().ran()
    assert "<em>heading</em>" in paged.read("shown/a.html")
    paged.write("shown/a.html", paged.read("shown/a.html").replace("heading", "mine"))
    assert "shown/a.html was not made by nbdag" in paged.build().ran().err
    assert "<em>heading</em>" in paged.read("shown/a.html")


@pytest.mark.slow
def test_a_page_that_a_person_changed_is_never_collected(paged: Project) -> None:
    """The list of rescued files names it. A file of the user beside the page stays as well."""
    paged.build().ran("a")
    changed = paged.read("shown/a.html").replace("title", "mine")
    paged.write("shown/a.html", changed).write("shown/a.html.new", "of the user").build().ran()
    (rescued,) = read_rescued(find_project(str(paged.root)))
    assert rescued.path == "shown/a.html"
    held = BlobStore(str(paged / ".nbdag/cache")).read(rescued.sha256, 1 << 24)
    assert (held.decode(), paged.read("shown/a.html.new")) == (changed, "of the user")
    assert sorted(path.name for path in (paged / "shown").iterdir()) == ["a.html", "a.html.new"]
