"""`nbdag init --from` for files that no pipeline can be made of, wholly or in part."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.kinds import read_pipeline
from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("pipeline.yaml", "tasks: [", "pipeline.yaml:1 is not YAML: "),
        ("pipeline.yaml", "a: 1", "pipeline.yaml has no list of `tasks`"),
        ("pipeline.yaml", "tasks: [3]", "pipeline.yaml: task 1 is not a table of names and values"),
        ("pipeline.yaml", "location: a.b", "pipeline.yaml names a function that makes the pipeline"),
        ("pipeline.yaml", "tasks: &a [*a]", "pipeline.yaml holds values within values without end"),
        ("pipeline.yaml", "tasks: !!python/object/apply:os.system [touch x]", "pipeline.yaml:1 is not YAML"),
        ("dvc.yaml", "[" * 3000, "dvc.yaml is not YAML: "),
        ("dvc.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
        ), "dvc.yaml holds more than 100,000 values, counting aliases"),
        ("dvc.yaml", "stages: {a: {deps: [x]}}", "dvc.yaml: stage `a` has no `cmd`"),
        ("dvc.yaml", "stages: {a: {foreach: 3, do: {cmd: x}}}", "dvc.yaml: the `foreach` of stage `a` is neither"),
        ("Snakefile", "rule a:\n    input: 'x'", "Snakefile has no rule that does anything for a target"),
        ("Snakefile", "rule a:\n    shell: (((", "Snakefile:2 cannot be read: `(((`"),
        ("Snakefile", "x = (\n", "Snakefile:1 is neither a rule nor Python: `x = (`"),
        ("Snakefile", "", "Snakefile has no `rule`"),
        ("Makefile", "all:\n\techo\n", "Makefile executes no notebook that can be seen"),
        ("Makefile", "A = $(A) $(A)\na: $(A)\n\tpapermill $(A)\n", "Makefile declares nothing that can be a task"),
        ("run.sh", "echo 'papermill\n", "run.sh executes no notebook that can be seen"),
        ("run.py", "def f(:", "run.py:1 is not Python: "),
        ("run.py", "(" * 5000, "run.py"),
        ("driver.py", "import pynb_dag_runner", "driver.py makes no notebook task that can be seen"),
        ("notes.txt", "papermill a b", "notes.txt is of no kind that is understood"),
        ("run.sh", "papermill\0", "run.sh is not a text"),
        ("missing/", "", "missing is not a file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_error(project: Project, name: str, text: str, what: str) -> None:
    """It names the file, and executes nothing."""
    project.write(f"{name}x" if name.endswith("/") else name, text)
    with pytest.raises(UsageError) as refused:
        read_pipeline(str(project.root), str(project / name), lambda *_: {})
    assert str(refused.value).startswith(what)
    assert not (project / "executed").exists()


AXES = ", ".join(f"x{number}: [1, 2, 3]" for number in range(40))
LEVELS = list(zip("ABCDEFGHIJ", "BCDEFGHIJK", strict=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Makefile", "".join(f"{a} = {f'$({b}) ' * 10}\n" for a, b in LEVELS) + "K = x\na:\n\tpapermill $(A)\n"),
        ("Makefile", "A = $(A) $(A)\na: $(A)\n\tpapermill $(A)\n"),
        ("run.sh", "echo '\n" + "echo 'x\n\n" * 5000),
        ("run.sh", "".join(f"for {a} in {{1..900}}; do\n" for a, _ in LEVELS) + "papermill $A\n" + "done\n" * 10),
        ("Snakefile", "x = (\n" * 5000),
        ("Snakefile", "if a:\n" * 300),
        ("Snakefile", "rule a:\n    input: expand('{x}{y}{z}', x=R, y=R, z=R)\n".replace("R", "range(999)")),
        ("run.py", "x = [" + "[" * 90 + "]" * 90 + "]\n" * 1),
        ("run.py", "\n".join(f"{' ' * n}for x{n} in range(999):" for n in range(20)) + "\n" + " " * 20 + "pass"),
        ("dvc.yaml", f"stages: {{a: {{matrix: {{{AXES}}}, cmd: x}}}}"),
        ("pipeline.yaml", f"tasks: [{{source: a.py, grid: {{{AXES}}}}}]"),
    ],
)  # fmt: skip
def test_files_that_grow_without_end_are_one_error(project: Project, name: str, text: str) -> None:
    """Variables that double, loops in loops, lines that never end: nothing is left undecided."""
    project.write(name, text)
    with pytest.raises(UsageError):
        read_pipeline(str(project.root), str(project / name), lambda *_: {})


def test_files_elsewhere_or_not_there_are_refused(project: Project) -> None:
    """A pipeline is for files below its folder; one that exists is never overwritten."""
    (project.root.parent / "run.sh").write_text("papermill a.ipynb b.ipynb\n")
    for path, what in {"../run.sh": "is not in", "none.sh": "cannot be read: No such file"}.items():
        done = project.nbdag("init", "--from", path)
        assert (done.returncode, what in done.stderr) == (2, True)
    done = project.pipeline("mine").write("a.sh", "papermill a b").nbdag("init", "--from", "a.sh")
    assert (done.returncode, project.read("pipeline.toml")) == (2, "mine")


def test_what_cannot_be_a_task_is_a_comment(project: Project) -> None:
    """Names, paths, circles and absent notebooks that a pipeline refuses, each with its reason."""
    stages = """
        stages:
          "a[1]=,": {cmd: echo 1, deps: [/abs], outs: [../x, "s3://b/y", one.txt, one.txt]}
          two: {cmd: echo 2, outs: [one.txt]}
          circle1: {cmd: echo, deps: [c2.txt], outs: [c1.txt]}
          circle2: {cmd: echo, deps: [c1.txt], outs: [c2.txt]}
          gone: {cmd: papermill gone.ipynb out.ipynb}
          odd: {cmd: "papermill nb/clean.py o.ipynb -p sample 2020-01-01 -y '{sample: 2020-01-01}'"}
          fine: {cmd: "printf '%s' \\"a\\"\\n", outs: [fine.txt]}
    """
    project.notebook("nb/clean.py", "# parameters\nsample = 'x'", "1")
    done = project.write("dvc.yaml", stages).nbdag("init", "--from", "dvc.yaml")
    assert done.returncode == 0, done.stderr
    assert project.nbdag("build", "-n").returncode == 0
    tasks, said = tomli.loads(project.read("pipeline.toml"))["tasks"], done.stdout
    assert "fine" in tasks
    assert "gone" not in tasks
    assert "- gone: `gone.ipynb` is not there" in said
    assert "its output `s3://b/y`, which is a URL" in said
    assert "its parameter `sample`: it holds a date" in said


MAKEFILE = """
    DATE=$(shell touch executed)
    help: ## Show help
    \t@grep -E '^[a-z]+:' $(MAKEFILE_LIST) | awk '{print $$1}'
    out/%.ipynb: nb/%.py | out
    \tpapermill $< $@ \\
    \t\t--kernel python3
    out:
    \tmkdir -p out
    all: $(patsubst nb/%.py,out/%.ipynb,$(wildcard nb/c*.py)) several
    several:
    #\tpapermill nb/none.py none.ipynb
    \tpapermill nb/clean.py docs/clean.ipynb
    \t-papermill nb/report.py /dev/null
    dated: several
    \tpapermill nb/with\\ space.py "out/$(DATE).ipynb"
    each:
    \t@for nb in nb/*.py; do \\
    \t\tif [ -f "$$nb" ]; then papermill "$$nb" "out/$$(basename $$nb)" || exit 1; fi \\
    \tdone
"""


def test_targets_that_are_no_files_are_none(project: Project) -> None:
    """Most Makefiles declare no `.PHONY`; folders, loops over files, and dates in names are common."""
    for name in ("clean", "report", "with space"):
        project.notebook(f"nb/{name}.py", "1")
    done = project.write("Makefile", MAKEFILE).nbdag("init", "--from", "Makefile")
    assert done.returncode == 0, done.stderr
    assert project.nbdag("build", "-n").returncode == 0
    tasks = tomli.loads(project.read("pipeline.toml"))["tasks"]
    assert tasks["clean"] == {
        "notebook": "nb/clean.py",
        "kernel": "python3",
        "notebook_output": "out/clean.ipynb",
    }
    assert tasks["several"] == {"notebook": "nb/clean.py", "notebook_output": "docs/clean.ipynb"}
    assert tasks["several-2"] == {"notebook": "nb/report.py", "after": ["several"]}
    assert tasks["dated"] == {"notebook": "nb/with space.py", "after": ["several-2"]}
    assert {name: task["notebook"] for name, task in tasks.items() if name.startswith("each")} == {
        "each": "nb/clean.py",
        "each-2": "nb/report.py",
        "each-3": "nb/with space.py",
    }
    assert "help" not in tasks
    assert not (project / "executed").exists()
