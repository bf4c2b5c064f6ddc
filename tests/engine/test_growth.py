"""What a look at everything does grows as the number of tasks does, and no faster."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from nbmake_dag.engine.build import build
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.rescued_files import note_rescued
from nbmake_dag.observe.project import find_project
from nbmake_dag.record.outcome import RescuedFile
from tests.support.project import Project

SMALL, LARGE = 60, 240
MOST = 1.1 * LARGE / SMALL
"""How many times the calls of a look at the small one may take: with a square law it is 16 times as many."""


def chain(project: Project, count: int) -> None:
    """Write tasks each of which reads what the one before made."""
    project.write("in.txt", "")
    sources = ["in.txt", *(f"out/{number}.txt" for number in range(count - 1))]
    project.pipeline(
        "\n".join(
            f'[tasks.t{number}]\ncommand = "cp {source} out/{number}.txt"\n'
            f'inputs = ["{source}"]\noutputs = ["out/{number}.txt"]\n'
            for number, source in enumerate(sources)
        )
    )


def rows(project: Project, count: int) -> None:
    """Write a family whose rows a task makes, and one that gathers what it made."""
    project.write("source.csv", "\n".join(("number", *map(str, range(count)))))
    project.write("rows.csv", (project / "source.csv").read_text()).write("all.txt", "")
    project.pipeline("""
        [tasks.list]
        command = "cp source.csv rows.csv"
        inputs = ["source.csv"]
        outputs = ["rows.csv"]

        [tasks.copy]
        instances = { rows = "rows.csv" }
        command = "echo {number} > out/{number}.txt"
        outputs = ["out/{number}.txt"]

        [tasks.gather]
        command = "cat out/*.txt > all.txt"
        inputs = { parts = { task = "copy" } }
        outputs = ["all.txt"]
    """)


def folders(project: Project, count: int) -> None:
    """Write a matrix whose instances each make a folder, and one whose instances each search such a folder."""
    for number in range(count):
        project.write(f"out/{number}.txt", "").write(f"made/{number}/x.txt", "")
    project.pipeline(f"""
        [tasks.make]
        matrix = {{ number = {list(range(count))} }}
        command = "mkdir -p made/{{number}}"
        outputs = ["made/{{number}}/"]

        [tasks.read]
        matrix = {{ number = {list(range(count))} }}
        command = "cat made/{{number}}/*.txt > out/{{number}}.txt"
        inputs = ["made/{{number}}/*.txt"]
        outputs = ["out/{{number}}.txt"]
    """)


@contextmanager
def counted() -> Generator[list[int]]:
    """Count the calls of functions, of Python and of C, that are made meanwhile."""
    calls = [0]

    def note(_: FrameType, event: str, __: object) -> None:
        if event.endswith("call"):
            calls[0] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def calls_of_a_look(write: Callable[[Project, int], None], folder: Path, count: int) -> int:
    """Return the calls that a look at everything takes when all is up to date."""
    files = Project(folder)
    for number in range(count):
        files.write(f"out/{number}.txt", "")
    write(files, count)
    project = find_project(str(files.root))
    if write is rows:
        build(project, Request(targets=("list",), accept=True), (), waiting=pytest.fail)
    build(project, Request(accept=True), (), waiting=pytest.fail)
    shutil.rmtree(files / ".nbdag/state/unchanged", ignore_errors=True)
    with counted() as calls:
        outcome = build(project, Request(), (), waiting=pytest.fail)
    assert {end.status for end in outcome.tasks.values()} == {"up_to_date"}
    assert len(outcome.tasks) >= count
    return calls[0]


@pytest.mark.parametrize("write", [chain, rows, folders])
def test_a_look_at_everything_grows_with_the_number_of_tasks(
    tmp_path: Path, write: Callable[[Project, int], None]
) -> None:
    """Calls are counted, not seconds; what is done once for each project makes them grow less."""
    calls_of_a_look(write, tmp_path / "first", 10)  # what is imported and compiled once
    small, large = (calls_of_a_look(write, tmp_path / str(count), count) for count in (SMALL, LARGE))
    assert large < MOST * small


def test_noting_rescued_files_one_by_one_grows_with_their_number(tmp_path: Path) -> None:
    """The list is not read for each of them."""
    counts: list[int] = []
    for count in (SMALL, LARGE):
        project = find_project(str(Project(tmp_path / str(count)).pipeline("").root))
        with counted() as calls:
            for number in range(count):
                note_rescued(project, [RescuedFile(path=f"{number}", sha256=f"{number:064}")])
        counts.append(calls[0])
    assert counts[1] < MOST * counts[0]
