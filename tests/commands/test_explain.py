"""`nbdag explain` names the true cause, for every kind of cause, in the words of `nbdag status`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag.commands.cli import run
from nbmake_dag.core.ingredients import FORMAT
from tests.support.project import Project

PIPELINE = """
    [pipeline]
    name = "causes"

    [software]
    lockfiles = ["requirements.lock"]
    packages = ["click"]
    variables = ["CAUSES_MODE"]

    [tasks.first]
    notebook = "first.py"
    parameters = { n = 1 }
    inputs = ["data/*.txt"]
    env = { LEVEL = "low" }
    outputs = ["first.txt"]

    [tasks.second]
    notebook = "second.py"
    inputs = ["first.txt"]
    outputs = ["second.txt"]

    [tasks.third]
    command = "cat second.txt > third.txt"
    inputs = ["second.txt"]
    outputs = ["third.txt"]
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build, once, a pipeline in which everything that can decide a result does."""
    project = Project(tmp_path_factory.mktemp("causes") / "project").pipeline(PIPELINE)
    project.write("requirements.lock", "click\n").write("data/one.txt", "1\n").write("helper.py", "FACTOR = 2\n")
    project.notebook(
        "first.py",
        "# markdown\nWhat is first",
        "# parameters\nn = 0",
        "import helper\nimport nbmake_dag as nbdag",
        "total = n * helper.FACTOR\nnbdag.log_metric('total', total)",
        "with open('first.txt', 'w') as file:\n    file.write('first')",
    )
    project.notebook(
        "second.py",
        "import nbmake_dag as nbdag",
        "total = nbdag.upstream()['first'].metrics['total']",
        "with open('second.txt', 'w') as file:\n    file.write(f'second {total}')",
    )
    project.build("--executor=inline").ran("first", "second", "third")
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """Copy the built pipeline to another place, to be edited."""
    shutil.copytree(built.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


@pytest.fixture
def explain(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command in this process, and give what it says, without times and identifiers of runs."""

    def explained(*arguments: str) -> str:
        assert run(["-C", str(project.root), "explain", *arguments]) == 0
        text = re.sub(r"\d{8}-\d{6}-\d{3}-[0-9a-f]+", "RUN", capsys.readouterr().out)
        text = re.sub(r"[\d.]+ s$", "TIME", text, flags=re.MULTILINE)
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", text)

    return explained


def head(text: str) -> list[str]:
    """Return the verdict and what changed."""
    return text.partition("\n\ningredients of")[0].splitlines()


def changed(*lines: str) -> list[str]:
    return ["", "changed since its last result, of run RUN (WHEN):", *lines]


def test_a_hit_says_which_run_made_it(explain):
    """Without a change the verdict is that of status, with the run and the time that the result comes from."""
    expected = ["up to date  first", "  made by run RUN (WHEN) in TIME"]
    last = ["nothing changed since its last result, of run RUN", "why it ran then: `nbdag show RUN first`"]
    assert [*expected, "", *last] == head(explain("first"))


def test_every_ingredient_is_listed(explain):
    """The list has each kind once explained; cells are named by their place in the file, digests are short."""
    listed = explain("second").partition("(* changed):\n")[2]
    assert [
        re.sub(r"\b[0-9a-f]{12}$", "DIGEST", " ".join(line.split()))
        for line in listed.splitlines()
        if line.split()[0] not in {"kernel", "package"}
    ] == [
        f"format {FORMAT}",
        "cell 1 DIGEST",
        "cell 2 DIGEST",
        "cell 3 DIGEST",
        "parameters cell 0",
        "workdir ./",
        "output 0: second.txt",
        "lockfile requirements.lock DIGEST",
        "variable CAUSES_MODE unset",
        "input 0: first.txt DIGEST",
        "read first metrics.total DIGEST",
    ]


def test_an_edited_cell_is_shown_as_a_diff(project, explain):
    """A cell is named by its place in the file, and its old code comes from the record."""
    project.edit("first.py", "total = n * helper.FACTOR", "total = n + helper.FACTOR")
    assert [
        "will run  first  code: first.py, cell 4",
        *changed(
            "  code: first.py, cell 4",
            "      @@ -1,2 +1,2 @@",
            "      -total = n * helper.FACTOR",
            "      +total = n + helper.FACTOR",
            "       nbdag.log_metric('total', total)",
        ),
    ] == head(explain("first"))


def test_a_new_cell_is_one_change(project, explain):
    """A cell inserted between others does not make those below it changed."""
    project.edit("first.py", "# %%\nimport helper", "# %%\nprint('new')\n\n# %%\nimport helper")
    assert [
        "will run  first  code: first.py, cell 3 added",
        *changed("  code: first.py, cell 3 added", "      @@ -0,0 +1 @@", "      +print('new')"),
    ] == head(explain("first"))


@pytest.mark.parametrize(
    ("path", "old", "new", "cause"),
    [
        ("pipeline.toml", "n = 1", "n = 1.0", "parameter: n 1 -> 1.0"),
        ("pipeline.toml", 'LEVEL = "low"', 'LEVEL = "high"', "env: LEVEL low -> high"),
        ("pipeline.toml", '["click"]', '["click", "xxhash"]', "package: xxhash added"),
        ("pipeline.toml", "first.py", "moved.py", None),
        ("helper.py", "FACTOR = 2", "FACTOR = 3", "module: helper.py changed"),
        ("data/one.txt", "1", "2", "input: data/one.txt changed"),
        ("requirements.lock", "click", "click==8", "lockfile: requirements.lock changed"),
    ],
)
def test_the_cause_is_named(project, explain, path, old, new, cause):
    """Each kind of cause is one line, and the first line is that of status; a renamed notebook is none."""
    shutil.copy(project / "first.py", project / "moved.py")
    project.edit(path, old, new)
    if cause is None:
        assert head(explain("first"))[0] == "up to date  first"
    else:
        assert [f"will run  first  {cause}", *changed(f"  {cause}")] == head(explain("first"))


def test_files_of_a_glob_and_variables(project, explain, monkeypatch):
    """A file that joins a glob, and a variable that is now set, are both named; the first counts the rest."""
    project.write("data/two.txt", "2")
    monkeypatch.setenv("CAUSES_MODE", "fast")
    assert [
        "will run  first  input: data/two.txt added (and 1 more)",
        *changed("  input: data/two.txt added", "  variable: CAUSES_MODE changed"),
    ] == head(explain("first"))


def test_a_command_is_shown(project, explain):
    """A command's new text is the cause."""
    project.edit("pipeline.toml", "cat second.txt >", "cat ./second.txt >")
    cause = "command: cat ./second.txt > third.txt"
    assert [f"will run  third  {cause}", *changed(f"  {cause}")] == head(explain("third"))


def test_what_is_above_comes_first(project, explain):
    """Below a stale task nothing is decided; own ingredients are compared, and what is waited for is named."""
    project.edit("helper.py", "FACTOR = 2", "FACTOR = 3")
    text = explain("second")
    expected = [
        "may run   second  depends on first",
        "",
        "nothing of its own changed since its last result, of run RUN",
    ]
    assert expected == head(text)
    assert text.endswith("  and the outputs of first, once that has run\n")


def test_upstream_causes(project, explain):
    """A value that was read, and an input that a task makes, are named once that task has run."""
    project.edit("helper.py", "FACTOR = 2", "FACTOR = 3").edit("first.py", "write('first')", "write('1st')")
    project.build("first", "--executor=inline").ran("first")
    assert [
        "will run  second  input: first.txt changed (and 1 more)",
        *changed(
            "  input: first.txt changed", "  upstream value: first metrics.total", "      -2.0", "      +3.0"
        ),
    ] == head(explain("second"))


def test_against_a_run(project, explain):
    """A hit differs from the result that it had in another run, with the code of that time."""
    project.edit("first.py", "total = n * helper.FACTOR", "total = helper.FACTOR * n")
    project.build("first", "--executor=inline").ran("first")
    text = explain("first", "--against=latest~1")
    assert head(text) == [
        "up to date  first",
        "  made by run RUN (WHEN) in TIME",
        "",
        "changed since run RUN (WHEN):",
        "  code: first.py, cell 4",
        "      @@ -1,2 +1,2 @@",
        "      -total = n * helper.FACTOR",
        "      +total = helper.FACTOR * n",
        "       nbdag.log_metric('total', total)",
    ]
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("*")] == [["*", "cell", "4"]]


def test_json_has_whole_digests(project, explain):
    """Scripts get the same verdict and causes, with digests before and now."""
    project.edit("pipeline.toml", "n = 1", "n = 2")
    found = json.loads(explain("first", "--json"))
    assert (found["task"], found["status"], found["reasons"]) == ("first", "stale", ["parameter: n 1 -> 2"])
    assert found["codes"] == ["parameter"]
    cause: dict[str, Any] = {
        "kind": "parameter",
        "name": "n",
        "path": "",
        "cell": None,
        "before": "1",
        "now": "2",
        "text": "parameter: n 1 -> 2",
        "diff": [],
    }
    assert [cause] == found["changes"]
    assert [[it["kind"], it["name"]] for it in found["ingredients"] if it["changed"]] == [["parameter", "n"]]
    assert found["record"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("frist",), 2, "no task, tag or output is called `frist`"),
        (("*",), 2, "`*` stands for 3 tasks"),
        (("first", "--against=nope"), 5, "no run is named nope"),
    ],
)
def test_what_cannot_be_explained_is_said(project, capsys, arguments, code, message):
    """A task that does not exist, more than one, and an unknown run each end in one error."""
    assert run(["-C", str(project.root), "explain", *arguments]) == code
    assert f"error: {message}" == capsys.readouterr().err.splitlines()[0]
