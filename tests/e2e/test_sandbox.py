"""Tasks in a private copy of the repository: they see what they declare, and leave what they leave without it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.project import Project, await_true, kill

MNIST = Path(__file__).parents[2] / "examples" / "mnist-digits"
MAKES = ["data", "models", "results"]


def confine(project: Project) -> Project:
    text = project.read("pipeline.toml")
    return project.write("pipeline.toml", "[defaults]\nsandbox = true\n\n" + text)


def test_all_kinds_of_task_run_in_a_sandbox_as_they_do_without(small):
    """Outputs are the same, and so are keys: what ran without is up to date with, and the other way round."""
    everything = small.build().having("ran")
    without = small.contents(MAKES)
    confine(small).build().ran()
    small.build("--force").ran(*everything)
    assert small.contents(MAKES) == without
    small.edit("pipeline.toml", "sandbox = true", "sandbox = false").build().ran()
    assert list((small / ".nbdag/state/sandboxes").iterdir()) == []


def test_an_undeclared_input_fails_at_once_with_its_path(project):
    """Whatever the kind of task; its path is named, and what to add; with that all is well."""
    project.write("data/x.csv", "1\n").write("rare.py", "X = 1\n")
    project.pipeline(
        """
        [defaults]
        sandbox = true

        [tasks.book]
        notebook = "notebooks/book.py"

        [tasks.call]
        function = "work:call"

        [tasks.shell]
        command = "cat data/x.csv"

        [tasks.dynamic]
        function = "work:dynamic"

        [tasks.absolute]
        function = "work:absolute"
        """
    )
    project.notebook("notebooks/book.py", "from pathlib import Path", "Path('data/x.csv').read_text()")
    project.write(
        "work.py",
        f"""
        import importlib

        def call():
            try:
                open("data/x.csv")
            except FileNotFoundError:
                pass

        def dynamic():
            importlib.import_module(chr(114) + "are")

        def absolute():
            open("{project.root}/data/x.csv")
        """,
    )
    build = project.build("-k").ended(1, failed=["absolute", "book", "call", "dynamic", "shell"])
    for task in ("absolute", "book", "call", "shell"):
        build.said(f'data/x.csv is not declared as input of {task}: add "data/x.csv" to its `inputs`')
    build.said('rare.py is not declared as input of dynamic: add "rare.py" to its `inputs`')
    declared = re.sub(
        r"(\[tasks\.\w+\]\n)", r'\1inputs = ["data/x.csv", "rare.py"]\n', project.read("pipeline.toml")
    )
    project.pipeline(declared).build().ran("absolute", "book", "call", "dynamic", "shell")


def test_a_sandbox_has_what_was_promised_and_no_more(project):
    """Folders of outputs, an empty input folder, a module beside the root; and nothing of the workspace."""
    project.git("init", "-q")
    for folder in ("sub/empty", ".nbdag"):
        (project / folder).mkdir(parents=True)
    project.write("helpers.py", "TEXT = 'helped'\n").write("sub/secret.txt", "s")
    project.write("sub/in/deep/a.txt", "a").write("sub/in/b.txt", "b")
    project.write(
        "sub/pipeline.toml",
        """
        [tasks.look]
        notebook = "nb/look.py"
        inputs = ["in/", "empty/"]
        outputs = ["made/there/", "made/list.txt"]
        sandbox = true
        """,
    )
    project.notebook(
        "sub/nb/look.py",
        "import sys, os; sys.path.append('..'); import helpers",
        "found = sorted(os.path.join(at, n) for at, folders, names in os.walk('..') for n in folders + names)",
        "text = helpers.TEXT + ''.join(f'\\n{name}' for name in found if '/.git' not in name)",
        "open('made/list.txt', 'w').write(text); os.mkdir('made/there'); open('made/there/x', 'w').close()",
    )
    project.build("-C", "sub").ran("look")
    assert project.read("sub/made/list.txt").splitlines() == [
        "helped",
        "../helpers.py",
        *(
            f"../sub{path}"
            for path in (
                "",
                "/empty",
                "/in",
                "/in/b.txt",
                "/in/deep",
                "/in/deep/a.txt",
                "/made",
                "/nb",
                "/nb/look.py",
            )
        ),
    ]
    assert (project / "sub/made/there/x").exists()


@pytest.mark.slow
def test_a_failure_that_looks_like_a_missing_input_is_no_more_than_a_failure(project):
    """A key that no text spells, and a parameters cell with a magic."""
    project.pipeline('[defaults]\nsandbox = true\n\n[tasks.a]\nnotebook = "a.py"\n')
    for key in ("int", "''", "'x'"):
        project.write(
            "a.py", f"# %% tags=['parameters']\n# %time 1\ninputs = {{'y': 'y.txt'}}\n\n# %%\n{{}}[{key}]\n"
        )
        project.build().ended(1, failed=["a"]).said("KeyError")


def test_what_a_failed_attempt_wrote_is_kept_as_ever(project):
    """The partial output is where those of tasks without a sandbox are; the old one is back."""
    project.pipeline('[tasks.a]\ncommand = "echo 1 > out.txt"\noutputs = ["out.txt"]\nsandbox = true\n')
    project.build().ran("a")
    project.edit("pipeline.toml", "echo 1 > out.txt", "echo 2 > out.txt; exit 1").build().ended(1, failed=["a"])
    assert project.read("out.txt") == "1\n"
    (partial,) = (project / ".nbdag/failed").glob("*/a/out.txt")
    assert partial.read_text() == "2\n"


@pytest.mark.fault
def test_a_killed_build_leaves_no_sandbox_behind(project):
    """The next attempt in one removes it."""
    begun = project.root.parent / "begun"
    project.pipeline(f'[tasks.a]\ncommand = "touch {begun}; sleep 1000"\nsandbox = true\n')
    build = project.start("build")
    await_true(begun.exists, 60, "the task did not begin")
    assert len(list((project / ".nbdag/state/sandboxes").iterdir())) == 1
    kill(build)
    project.leaves_nobody()
    project.edit("pipeline.toml", "sleep 1000", "true").build().ran("a")
    assert list((project / ".nbdag/state/sandboxes").iterdir()) == []


@pytest.mark.slow
def test_the_digits_pipeline_declares_all_that_it_uses(tmp_path):
    """All tasks pass; without one declared input exactly its readers fail, with its path. Takes a minute."""
    project = confine(Project.copied(MNIST, tmp_path / "mnist"))
    assert len(project.build().having("ran")) == 10
    split = """seed = 1 }
inputs = { digits = "data/raw/digits.npy", labels = "data/raw/labels.npy" }"""
    project.edit("pipeline.toml", split, 'seed = 1 }\ninputs = { digits = "data/raw/digits.npy" }')
    build = project.build("-k")
    assert build.having("failed") == ["split"]
    build.said('data/raw/labels.npy is not declared as input of split: add "data/raw/labels.npy" to its `inputs`')
    project.leaves_nobody()
