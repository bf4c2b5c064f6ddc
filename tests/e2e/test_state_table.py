"""The table of the files below ``.nbdag``: complete, and each kind can be damaged without harm."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import nbmake_dag
from nbmake_dag.engine.build import build
from nbmake_dag.engine.request import Request
from nbmake_dag.observe.project import find_project
from nbmake_dag.record.run_events import Notice
from tests.e2e.test_carried_cache import OfNobody
from tests.support.damage import DAMAGES, PLACES, damage
from tests.support.every_kind import OUTPUTS, files_below, files_of, kind_of, make_every_kind, other_of
from tests.support.project import Project, await_true, kill
from tests.support.state_table import STATE_KINDS, StateKind

pytestmark = pytest.mark.fault


@pytest.fixture
def killed(built_once: Callable[[str, Callable[[Project], object]], Path], tmp_path: Path) -> Project:
    """Copy the project in which every kind exists."""
    return Project.copied(built_once("every-kind", make_every_kind), tmp_path / "copy")


def holds(project: Project) -> list[str]:
    """Build twice in this process, each time with a look at everything; return what was warned of the second time.

    The outputs are right each time, and nothing is called a defect.
    """
    warnings: list[str] = []
    for text in ("2", "2"):
        project.write("in.txt", text)
        warnings.clear()
        outcome = build(find_project(str(project.root)), Request(), (Warnings(warnings),), waiting=warnings.append)
        assert outcome.result == "success"
        assert project.contents(OUTPUTS) == {"a.txt": b"2", "b.txt": b"22", "c.txt": b"22"}
        shutil.rmtree(project / ".nbdag/state/unchanged", ignore_errors=True)
    return warnings


class Warnings:
    """Notes what a user would be warned of."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def notify(self, event: object) -> None:
        if isinstance(event, Notice) and event.text.startswith("warning"):
            self._texts.append(event.text)


def test_every_file_is_of_a_kind_that_the_table_has(killed):
    """A new kind of file needs a row."""
    assert [path for path in files_below(killed) if kind_of(path) is None] == []


def test_every_kind_that_the_table_has_is_damaged(killed):
    """A row without a file would be one whose damage is not tried."""
    assert [kind.pattern for kind in STATE_KINDS if not files_of(killed, kind)] == []


def test_owners_exist():
    """A row names a module of this package, or of the cache's."""
    tool = Path(nbmake_dag.__file__).parent
    folders = (tool, tool.parent / "cache")
    owners = {owner for kind in STATE_KINDS for owner in kind.owners}
    assert [owner for owner in owners if not any((folder / owner).is_file() for folder in folders)] == []


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_to_one_file_of_every_kind_costs_no_result(killed, how: str):
    """All kinds at once; the next build and the one after end well, and the second has nothing to warn of."""
    chance = Random(how)
    paths = [chance.choice(files_of(killed, kind)) for kind in STATE_KINDS]
    others = [other_of(killed, path) for path in paths]
    for path, other in zip(paths, others, strict=True):
        damage(killed / ".nbdag" / path, how, chance, other)
    assert holds(killed) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", STATE_KINDS, ids=lambda kind: kind.pattern)
def test_damage_to_any_kind_of_file_costs_no_result(killed, tmp_path, kind: StateKind):
    """Each kind of damage alone."""
    for how in DAMAGES:
        project = Project.copied(killed.root, tmp_path / how)
        path = Random(how).choice(files_of(project, kind))
        damage(project / ".nbdag" / path, how, Random(how), other_of(project, path))
        assert holds(project) == [], f"{path}: {how}"
        shutil.rmtree(project.root)


@pytest.mark.parametrize("how", [*PLACES])
def test_what_is_no_file_keeps_no_report_from_being_written(killed, how: str):
    """In the place of any file of a run, of a run of another machine and of the site."""
    killed.write("in.txt", "2").build()
    kinds = [kind for kind in STATE_KINDS if kind.pattern in {"runs/*/*", "history/*"}]
    paths = [Random(how).choice(files_of(killed, kind)) for kind in kinds]
    paths += [path for path in files_below(killed) if path.startswith("site/data")]
    for path in paths:
        damage(killed / ".nbdag" / path, how, Random(how))
    for _ in range(2):
        done = killed.nbdag("report")
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.parametrize("kind", STATE_KINDS, ids=lambda kind: kind.pattern)
def test_a_file_that_may_not_be_written_costs_no_result(killed, kind: StateKind):
    """A user without that right is told the path, or does not need it; with it, all is well."""
    theirs = OfNobody(killed.root)
    hidden = killed / ".nbdag" / files_of(killed, kind)[0]
    mode = hidden.stat().st_mode
    hidden.chmod(0)
    killed.write("in.txt", "2")
    done = theirs.nbdag("build")
    assert done.returncode in {0, 2, 3}, done.stderr
    assert "defect" not in done.stderr
    assert done.returncode == 0 or str(hidden) in done.stderr
    if hidden.exists():
        hidden.chmod(mode)
    assert holds(killed) == []


def test_a_project_with_every_kind_can_be_moved(killed):
    """No file leads back to where it was."""
    moved = Project(killed.root.rename(killed.root.with_name("moved")))
    assert holds(moved) == []
    assert not killed.root.exists()


def test_a_project_with_every_kind_can_be_copied_while_a_build_runs(killed, tmp_path):
    """A build of the copy takes nothing from the original, whose own build ends well."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    slow = f"touch {begun}; while test ! -e {go}; do sleep 0.05; done"
    killed.edit("pipeline.toml", "sleep $(cat seconds.txt)", slow).write("in.txt", "2")
    running = killed.start("build")
    await_true(begun.exists, 60, "c did not begin")
    other = Project.copied(killed.root, tmp_path / "other")
    before = files_below(killed)
    other.edit("pipeline.toml", slow, "true")
    assert holds(other) == []
    assert files_below(killed) == before
    go.touch()
    try:
        assert running.wait(60) == 0
    finally:
        kill(running)
    assert killed.contents(OUTPUTS) == {"a.txt": b"2", "b.txt": b"22", "c.txt": b"22"}
