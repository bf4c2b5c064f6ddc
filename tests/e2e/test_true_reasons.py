"""`nbdag explain` names what really made a task stale."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import pytest

from tests.support.project import Project

PIPELINE = """
    [pipeline]
    name = "reasons"

    [tasks.use]
    command = "cat data.txt > out.txt"
    inputs = ["data.txt"]
    outputs = ["out.txt"]

    [tasks.folder]
    function = "work:run"
    inputs = { d = "e1" }
    outputs = ["folder.txt"]

    [tasks.shell]
    command = "sh run.sh > shell.txt"
    outputs = ["shell.txt"]

    [tasks.heavy]
    command = "cat n > heavy.txt"
    inputs = ["n"]
    outputs = ["heavy.txt"]
    store = false

    [tasks.loose]
    command = "echo x > loose.txt"
    outputs = ["loose.txt"]
    cache = false
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("built") / "p")
    (project / "e1").mkdir()
    (project / "e2").mkdir()
    project.write("data.txt", "x\n").write("n", "1").write("run.sh", "echo a\n")
    project.write(
        "work.py",
        """
        import importlib, os

        def run(inputs, outputs):
            for name in sorted(os.listdir(chr(112) + "lugins")):
                if name.endswith(".py"):
                    importlib.import_module("plug" + chr(105) + "ns." + name[:-3])
            open(outputs[0], "w").write(str(inputs))
        """,
    )
    project.write("plugins/a.py", "V = 1\n")
    project.pipeline(PIPELINE)
    assert project.build().code == 0
    return project


def taken_over(project: Project) -> None:
    """Let a new task make an input, with the same bytes."""
    project.pipeline(
        f'{PIPELINE}\n    [tasks.make]\n    command = "echo x > data.txt"\n    outputs = ["data.txt"]\n'
    )


def reverted(project: Project) -> None:
    project.write("n", "2").build()
    project.write("n", "1")


def lost(project: Project) -> None:
    project.remove(".nbdag/cache/records")


EDITS: dict[str, tuple[str, Callable[[Project], object], str]] = {
    "an input that a task makes now": ("use", taken_over, "input: data.txt is made by a task now, and was a file"),
    "another empty folder": (
        "folder",
        lambda project: project.edit("pipeline.toml", '"e1"', '"e2"'),
        "folder: e2 added",
    ),
    "a list instead of names": (
        "folder",
        lambda project: project.edit("pipeline.toml", '{ d = "e1" }', '["e1"]'),
        "declared inputs: a list now",
    ),
    "an executable bit": ("use", lambda project: (project / "data.txt").chmod(0o755), "input: data.txt changed"),
    "a script": ("shell", lambda project: project.write("run.sh", "echo b\n"), "module: run.sh changed"),
    "a new plugin": ("folder", lambda project: project.write("plugins/b.py", ""), "module: plugins/ changed"),
    "an edited plugin": (
        "folder",
        lambda project: project.write("plugins/a.py", "V = 2\n"),
        "module: plugins/a.py changed",
    ),
    "a revert of what is not stored": ("heavy", reverted, "output: heavy.txt changed, and not stored"),
    "a lost cache": ("use", lost, "its record is no longer in the cache"),
    "a task that was not cached": (
        "loose",
        lambda project: project.edit("pipeline.toml", "cache = false", "cache = true"),
        "its last result was not recorded",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_explain_names_what_changed(built: Project, tmp_path, edit: str) -> None:
    """Each edit has its own cause, as the verdict and as a change since the last result."""
    task, make, cause = EDITS[edit]
    project = Project.copied(built.root, tmp_path / "p")
    make(project)
    done = project.nbdag("explain", task, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    said = [*found["reasons"], *(change["text"] for change in found["changes"])]
    assert cause in said


def test_a_result_that_was_made_without_the_task_above_says_so(tmp_path) -> None:
    """After `--only`, the input was a file."""
    project = Project(tmp_path / "p")
    project.pipeline(
        """
        [tasks.a]
        command = "echo x > a.txt"
        outputs = ["a.txt"]

        [tasks.b]
        command = "cp a.txt b.txt"
        inputs = ["a.txt"]
        outputs = ["b.txt"]
        """
    )
    project.build()
    project.edit("pipeline.toml", "cp a.txt", "cat a.txt >").build("--only", "b").ran("b")
    assert project.build().ran("b").reasons("b") == ["input: a.txt is made by a task now, and was a file"]


def test_doctor_names_an_edited_script_not_the_seeds(built: Project, tmp_path) -> None:
    """What changed since the last result explains another output."""
    project = Project.copied(built.root, tmp_path / "p")
    project.write("run.sh", "echo b\n")
    said = project.nbdag("doctor", "shell")
    text = said.stdout + said.stderr
    assert "module: run.sh changed" in text
    assert "seeds" not in text


@pytest.mark.slow
def test_explain_names_what_changed_of_the_machine(tmp_path) -> None:
    """An interpreter of another version, another kernelspec, and a function that is found in another place."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    project = Project(tmp_path / "p").pipeline(
        """
        [tasks.note]
        notebook = "note.py"
        kernel = "one"
        outputs = ["note.txt"]

        [tasks.step]
        function = "lib.steps:run"
        outputs = ["step.txt"]
        """
    )
    project.notebook("note.py", "open('note.txt', 'w').write('x')")
    step = "def run():\n    open('step.txt', 'w').write('x')\n"
    project.write("first/lib/steps.py", step).write("second/steps.txt", "")
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    for name in ("one", "two"):
        spec = {"display_name": name, "language": "python", "argv": argv}
        (tmp_path / f"jupyter/kernels/{name}").mkdir(parents=True)
        (tmp_path / f"jupyter/kernels/{name}/kernel.json").write_text(json.dumps(spec))
    places = os.pathsep.join(str(project / place) for place in ("second", "first"))
    env = {"JUPYTER_PATH": str(tmp_path / "jupyter"), "PYTHONPATH": places}

    def said(task: str) -> list[str]:
        done = project.nbdag("explain", task, "--json", env=env)
        assert done.returncode == 0, done.stderr
        return [change["text"] for change in json.loads(done.stdout)["changes"]]

    project.build(env=env).ran("note", "step")
    assert (said("note"), said("step")) == ([], [])
    project.write("second/lib/steps.py", step)
    assert said("step") == ["module: first/lib/steps.py removed", "module: second/lib/steps.py added"]
    project.edit("pipeline.toml", '"one"', '"two"')
    assert said("note") == [f"kernel one python cpython {version} -> two python cpython {version}"]
    project.edit("pipeline.toml", '"two"', '"one"')
    pretending = "import platform\nplatform.python_implementation = lambda: 'PyPy'\n"
    project.write("second/sitecustomize.py", pretending)
    assert said("note") == [f"kernel one python cpython {version} -> one python pypy {version}"]
