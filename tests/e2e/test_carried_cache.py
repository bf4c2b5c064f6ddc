"""A cache folder carried to another clone, path or time is as good as it was."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import OUTPUTS
from tests.project import DEADLINE_S, NBDAG, Project

NOBODY = 65534
ALL = ["benchmark[size=10]", "benchmark[size=5]", "eda", "ingest", "summary", "train[size=10]", "train[size=5]"]


def carried(project: Project, root: Path) -> Project:
    """Clone a project's sources to another place, restore its cache there, and make every file look old."""
    ignored = shutil.ignore_patterns(".nbdag", *OUTPUTS, "__pycache__")
    shutil.copytree(project.root, root, ignore=ignored)
    shutil.copytree(project / ".nbdag/cache", root / ".nbdag/cache")
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, (10**9 + number, 10**9 + number))
    return Project(root)


def test_a_carried_cache_is_all_hits_at_another_path_whatever_the_times(small: Project, tmp_path: Path):
    """After the collection that makes it small, too; the outputs are the same."""
    small.build().ran(*ALL)
    assert small.nbdag("cache", "gc", "--keep-used").returncode == 0
    other = carried(small, tmp_path / "elsewhere" / "deep" / "er")
    other.build().ran().restored(*ALL)
    assert other.contents(OUTPUTS) == small.contents(OUTPUTS)
    other.build().ran().restored()


class OfNobody(Project):
    """A project of another user, who may read all that is here, and write only what is theirs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.home = root.parent / "home-of-nobody"
        self.home.mkdir()
        for path in (root, self.home, *root.rglob("*")):
            os.chown(path, NOBODY, NOBODY)

    def nbdag(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reads, *NBDAG, *arguments],
            cwd=self.root,
            env=self.environment({"HOME": str(self.home), **(env or {})}),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )


@pytest.mark.root
def test_a_carried_cache_is_all_hits_under_another_user(small: Project, tmp_path: Path):
    """Every file is of another owner, with other times, at another path; what is put back is theirs."""
    small.build().ran(*ALL)
    other = OfNobody(carried(small, tmp_path / "of" / "nobody").root)
    other.build().ran().restored(*ALL)
    assert other.contents(OUTPUTS) == small.contents(OUTPUTS)
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
def test_a_cache_that_was_restored_by_half_is_repaired_or_ignored(small: Project, tmp_path: Path, seed: int):
    """Whatever was lost or cut, the outputs come out the same, and the next build has nothing to do."""
    small.build()
    other = carried(small, tmp_path / "other")
    chance = random.Random(seed)
    files = sorted(path for path in (other / ".nbdag/cache").rglob("*") if path.is_file())
    for path in chance.sample(files, len(files) // 2):
        if chance.random() < 0.5:
            path.unlink()
        else:
            path.chmod(0o644)
            os.truncate(path, chance.randrange(path.stat().st_size + 1))
    built = other.build()
    assert (built.code, set(built.having("ran") + built.having("restored"))) == (0, set(ALL)), built.err
    assert other.contents(OUTPUTS) == small.contents(OUTPUTS)
    other.build().ran().restored()
