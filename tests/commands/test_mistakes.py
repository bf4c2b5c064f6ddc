"""What is mistyped on the command line, or in the names of files, is answered with what was meant."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nbmake_dag.commands.cli import run
from nbmake_dag.commands.ending import exit_code_of
from tests.support.project import Project

PIPELINE = """
    [defaults]
    kernel = "python3"

    [tasks.clean]
    notebook = "notebooks/clean.py"
    inputs = ["data/customers.csv"]
    outputs = ["data/clean.csv"]

    [tasks.plot]
    function = "plotting:plot"
    inputs = ["data/clean.csv"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project").pipeline(PIPELINE).write("data/customers.csv", "")
    project.write("plotting.py", "def plot():\n    pass\n").write("notebooks/cleaning.py", "x = 1\n")
    return project.notebook("notebooks/clean.py", "import cleaning")


@pytest.fixture
def refused(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command in this process that is refused, and give what it says."""

    def said(*arguments: str) -> str:
        assert run(["-C", str(project.root), *arguments]) == 2
        return capsys.readouterr().err.replace(str(project.root), "ROOT")

    return said


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (["buidl"], "there is no command `nbdag buidl`", "did you mean `build`?"),
        (["why"], "there is no command `nbdag why`", "did you mean `nbdag explain TASK`?"),
        (["xyz"], "there is no command `nbdag xyz`", "`nbdag --help` lists the commands"),
        (["cache", "verfy"], "there is no command `nbdag cache verfy`", "did you mean `verify`?"),
        (["runs", "pul"], "there is no command `nbdag runs pul`", "did you mean `pull`?"),
        (["build", "--keepgoing"], "`nbdag build` has no option `--keepgoing`", "did you mean `--keep-going`?"),
        (["explain"], "missing argument `TASK`", "`nbdag explain --help` lists what there is"),
        (["build", "cleen"], "no task, tag or output is called `cleen`", "did you mean `clean`?"),
        (
            ["build", "notebooks/clen.py"],
            "no task, tag or output is called `notebooks/clen.py`",
            "did you mean `notebooks/clean.py`?",
        ),
        (
            ["build", "data/customers.csv"],
            "`data/customers.csv` is made by no task",
            "it is an input of `clean`; `--downstream clean` builds that and what depends on it",
        ),
        (
            ["explain", "notebooks/cleaning.py"],
            "`notebooks/cleaning.py` is code, and made by no task",
            "name what uses it: `clean`; or build what changed with `--affected`",
        ),
        (["-f", "pipelin.toml", "status"], "there is no file ROOT/pipelin.toml", "did you mean `pipeline.toml`?"),
    ],
)
def test_a_mistype_is_answered_with_what_was_meant(
    refused: Callable[..., str], arguments: list[str], what: str, hint: str
) -> None:
    """In one style, whoever notices it."""
    assert refused(*arguments) == f"error: {what}\n\nhint: {hint}\n"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["-f", "data", "status"], "ROOT/data is not a file"),
        (["-C", "/dev/null", "status"], "/dev/null is not a folder"),
    ],
)
def test_what_is_there_and_something_else_is_not_suggested(
    refused: Callable[..., str], arguments: list[str], what: str
) -> None:
    """It is what was written."""
    assert refused(*arguments) == f"error: {what}\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint", "meant"),
    [
        (
            "customers.csv",
            "customer.csv",
            6,
            "input `data/customer.csv` of task `clean` does not exist, and no task makes it",
            "data/customers.csv",
        ),
        ("clean.py", "clen.py", 5, "notebook `notebooks/clen.py` does not exist", "notebooks/clean.py"),
        ("plotting:plot", "ploting:plot", 10, "module `ploting` cannot be found", "plotting"),
        ("plotting:plot", "plotting:plto", 10, "module `plotting` has no function `plto`", "plot"),
        ("python3", "pyton3", 2, "task `clean`: there is no kernel `pyton3`", "python3"),
    ],
)
def test_a_complaint_names_the_line_of_the_key(
    project: Project, refused: Callable[..., str], old: str, new: str, line: int, complaint: str, meant: str
) -> None:
    """Also of one in `[defaults]`; what is there is suggested for what is not."""
    project.edit("pipeline.toml", old, new)
    said = f"error: pipeline.toml:{line}: {complaint}\n\nhint: did you mean `{meant}`?"
    assert refused("status").startswith(said)


def test_an_input_that_is_there_and_is_no_file_is_called_what_it_is(
    project: Project, refused: Callable[..., str]
) -> None:
    """As a link to data that was not fetched is: it is not another name that was meant."""
    what = "error: pipeline.toml:6: input `data/customers.csv` of task `clean`"
    path = project / "data/customers.csv"
    path.rename(project / "kept.csv")
    path.symlink_to("../.git/annex/objects/key")
    assert refused("status") == (
        f"{what} is a link to `../.git/annex/objects/key`, which leads to no file\n\n"
        "hint: fetch the file that it stands for, or mend the link\n"
    )
    path.unlink()
    os.mkfifo(path)
    assert refused("status").startswith(f"{what} is neither a file nor a folder\n")
    (project / "kept.csv").rename(path)
    (project / "notebooks/clean.py").unlink()
    (project / "notebooks/clean.py").symlink_to("nowhere")
    assert "notebooks/clean.py`?" not in refused("status")


def test_an_input_in_very_many_folders_is_missed_as_any_other(
    project: Project, refused: Callable[..., str]
) -> None:
    """A path of more bytes than a system can have is no file."""
    path = "x/" * 3000 + "customers.csv"
    project.edit("pipeline.toml", "data/customers.csv", path)
    assert f"input `{path}` of task `clean` does not exist" in refused("status")


def test_a_lock_file_that_is_not_there_is_said_with_the_line_that_names_it(
    project: Project, refused: Callable[..., str]
) -> None:
    """As of all other files that a pipeline names."""
    project.edit("pipeline.toml", "[defaults]", '[software]\npackages = []\nlockfiles = ["no.lock"]\n\n[defaults]')
    assert refused("status") == (
        "error: pipeline.toml:3: lock file `no.lock` cannot be read: No such file or directory\n\n"
        "hint: lock files are relative to the folder of this file\n"
    )


@pytest.mark.parametrize("declared", ["raw/*", "raw/"])
def test_an_input_whose_name_is_not_unicode_is_refused(
    project: Project, refused: Callable[..., str], declared: str
) -> None:
    """No record could name it, which a build would find out in its middle."""
    project.edit("pipeline.toml", "data/customers.csv", declared)
    (project / "raw").mkdir()
    Path(os.fsdecode(bytes(project / "raw") + b"/\xff")).write_text("")
    assert refused("status") == (
        f"error: pipeline.toml:6: input `{declared}` of task `clean` cannot be read: its name is not UTF-8"
        " (raw/\\udcff)\n\nhint: rename it, or leave it out with `ignore` of [pipeline]\n"
    )


@pytest.mark.parametrize(
    ("lines", "is_what", "instead"),
    [
        (
            "async def plot():\n    pass",
            "an `async def`",
            "make it a `def` that does its work with `asyncio.run(...)`",
        ),
        (
            "def plot():\n    for each in 'ab':\n        if (yield each):\n            return",
            "a generator",
            "take `yield` out of it, or name a function that iterates over it",
        ),
    ],
)
def test_a_function_whose_call_executes_nothing_is_refused(
    project: Project, refused: Callable[..., str], lines: str, is_what: str, instead: str
) -> None:
    """Not after it ran in vain; a `yield` of a function within it, or a decorator, is another matter."""
    project.write("plotting.py", lines)
    what = f"function `plotting:plot` is {is_what}: to call it executes nothing"
    assert refused("status") == f"error: pipeline.toml:10: {what}\n\nhint: plotting.py:1: {instead}\n"
    project.write("plotting.py", "def plot():\n    def each():\n        yield 1\n    list(each())")
    assert run(["-C", str(project.root), "status"]) == 0
    project.write("plotting.py", f"import other\n\n@other.plainly\n{lines}")
    assert run(["-C", str(project.root), "status"]) == 0


def test_a_task_is_named_by_its_source(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The path of a notebook or of the module of a function is as good as the task's name."""
    for source, task in (("notebooks/clean.py", "clean"), ("plotting.py", "plot")):
        assert run(["-C", str(project.root), "explain", source]) == 0
        assert f"  {task}  " in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the machine refused memory"),
        (RuntimeError("can't start new thread"), "the machine refused one more thread"),
        (OSError(errno.EFBIG, "File too large", "/p/trace"), "File too large: /p/trace"),
    ],
    ids=["memory", "thread", "file size"],
)
def test_what_the_machine_refuses_is_no_defect(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its limit is named."""

    def refuse() -> None:
        raise error

    assert exit_code_of(refuse) == 3
    printed = capsys.readouterr().err
    assert said in printed
    assert "`ulimit -" in printed


def test_a_file_system_that_cannot_be_written_to_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """What is done about it has nothing to do with the next build."""

    def refuse() -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/p/.nbdag/state")

    assert exit_code_of(refuse) == 3
    said = capsys.readouterr().err
    assert "Read-only file system: /p/.nbdag/state" in said
    assert "let that be on a file system that can be written to" in said
