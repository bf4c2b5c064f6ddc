"""A cache folder carried to another clone, path or time is as good as it was."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import OUTPUTS, SMALL_TASKS
from tests.support.project import Project

NOBODY = 65534


def carried(project: Project, root: Path) -> Project:
    """Clone a project's sources to another place, restore its cache there, and make every file look old."""
    ignored = shutil.ignore_patterns(".nbdag", *OUTPUTS, "__pycache__")
    shutil.copytree(project.root, root, ignore=ignored)
    shutil.copytree(project / ".nbdag/cache", root / ".nbdag/cache")
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, (10**9 + number, 10**9 + number))
    return Project(root)


def test_a_carried_cache_is_all_hits_at_another_path_whatever_the_times(built_small: Project, tmp_path: Path):
    """After the collection that makes it small, too; the outputs are the same."""
    assert built_small.nbdag("cache", "gc", "--keep-used").returncode == 0
    other = carried(built_small, tmp_path / "elsewhere" / "deep" / "er")
    other.build().ran().restored(*SMALL_TASKS)
    assert other.contents(OUTPUTS) == built_small.contents(OUTPUTS)
    other.build().ran().restored()


class OfNobody(Project):
    """A project of another user, who may read all that is here, and write only what is theirs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.home = root.parent / "home-of-nobody"
        self.home.mkdir()
        for path in (root, self.home, *root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)

    def command(self, *arguments: str) -> list[str]:
        reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reads]
        return [*as_nobody, *super().command(*arguments)]

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        return super().environment({"HOME": str(self.home), **(extra or {})})


@pytest.mark.root
def test_a_carried_cache_is_all_hits_under_another_user(built_small: Project, tmp_path: Path):
    """Every file is of another owner, with other times, at another path; what is put back is theirs."""
    other = OfNobody(carried(built_small, tmp_path / "of" / "nobody").root)
    other.build().ran().restored(*SMALL_TASKS)
    assert other.contents(OUTPUTS) == built_small.contents(OUTPUTS)
    assert {(other / path).stat().st_uid for path in other.contents(OUTPUTS)} == {NOBODY}
    other.build().ran().restored()


def test_a_carried_cache_has_no_absolute_path_and_no_pickle(small: Project):
    """Nor has it files of databases; what it says is text that can be read, or what a task made."""
    small.build()
    for path in (small / ".nbdag/cache").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert str(small.root).encode() not in data, path
            assert not data.startswith((b"\x80\x04", b"\x80\x05", b"SQLite format 3")), path


@pytest.mark.parametrize("seed", range(2))
def test_a_cache_that_was_restored_by_half_is_repaired_or_ignored(built_small: Project, tmp_path: Path, seed: int):
    """Whatever was lost or cut, the outputs come out the same, and the next build has nothing to do."""
    other = carried(built_small, tmp_path / "other")
    chance = random.Random(seed)
    files = sorted(path for path in (other / ".nbdag/cache").rglob("*") if path.is_file())
    for path in chance.sample(files, len(files) // 2):
        if chance.random() < 0.5:
            path.unlink()
        else:
            path.chmod(0o644)
            os.truncate(path, chance.randrange(path.stat().st_size + 1))
    built = other.build()
    assert (built.code, set(built.having("ran") + built.having("restored"))) == (0, set(SMALL_TASKS)), built.err
    assert other.contents(OUTPUTS) == built_small.contents(OUTPUTS)
    other.build().ran().restored()
