"""Which snapshots are held: those that save the most time, within memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.core.resume import Basis, Taken
from nbmake_dag.execute.notebook import snapshots as module
from nbmake_dag.execute.notebook.snapshots import Snapshots, private_bytes
from nbmake_dag_cache.digest import Digest

TASK = TaskName("t")
HOLD = "import sys; x = bytearray(b'1' * {size}); print(flush=True); sys.stdin.read()"


@pytest.fixture
def process():
    """Hold memory in processes of their own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(size: int) -> int:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD.format(size=size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        started.append(child)
        return child.pid

    yield start
    for child in started:
        child.communicate()


def taken(folder: Path, cells: str, elapsed_s: float, pid: int = 1) -> Taken:
    folder.mkdir()
    basis = Basis(cells=tuple(map(Digest, cells)), others={})
    return Taken(folder=str(folder), pid=pid, basis=basis, cells=len(cells), elapsed_s=elapsed_s)


def test_what_saves_least_goes_when_memory_is_short(tmp_path, process):
    """Not the oldest, nor the largest: the one whose cells took the least time since the snapshot before it."""
    held = Snapshots()
    pids = [process(30_000_000) for _ in range(3)]
    assert all(30_000_000 < private_bytes(pid) < 60_000_000 for pid in pids)
    held.budget = sum(map(private_bytes, pids)) - 10_000_000
    first, second, third = (
        taken(tmp_path / name, name, elapsed, pid)
        for name, elapsed, pid in zip(("a", "ab", "abc"), (5.0, 5.5, 9.0), pids, strict=True)
    )
    assert [held.add(TASK, each) for each in (first, second, third)] == [frozenset()] * 3, (
        "half a second is little"
    )
    assert held.of(TASK) == [first, third]
    held.budget = private_bytes(pids[0]) * 3 // 2
    assert held.end(TASK, frozenset()) == {TASK}
    assert held.of(TASK) == [first]
    assert not (tmp_path / "ab").exists()


def test_what_the_present_notebook_cannot_use_goes_first(tmp_path, process):
    """Whatever it would save; the one that is in use stays in any case."""
    held = Snapshots()
    pids = [process(30_000_000) for _ in range(2)]
    held.budget = 10**12
    stray, fitting = taken(tmp_path / "s", "xy", 90.0, pids[0]), taken(tmp_path / "f", "a", 1.0, pids[1])
    for each in (stray, fitting):
        held.add(TASK, each)
    held.budget = private_bytes(pids[0]) * 3 // 2  # of one, not of both
    held.begin(TASK, [fitting], fitting)
    held.end(TASK, frozenset())
    assert held.of(TASK) == [fitting]
    held.begin(TASK, [fitting], fitting)
    held.budget = 1
    held.add(TASK, taken(tmp_path / "n", "ab", 99.0, pids[0]))
    assert held.of(TASK) == [fitting]


def test_files_that_were_first_opened_later_are_known_at_the_end(tmp_path):
    """Of what an attempt had opened when it ended, the rest came after the snapshot."""
    held = Snapshots()
    held.budget = 10**12
    held.add(TASK, taken(tmp_path / "a", "a", 1.0))
    held.end(TASK, frozenset({"x"}))
    assert [each.later for each in held.of(TASK)] == [frozenset({"x"})]


def test_idle_snapshots_are_dropped(tmp_path, monkeypatch):
    """After a time without use, whatever memory there is."""
    held = Snapshots()
    held.budget = 10**12
    held.add(TASK, taken(tmp_path / "a", "a", 1.0))
    held.drop_idle()
    assert len(held.of(TASK)) == 1
    monkeypatch.setattr(module, "IDLE_S", 0.0)
    held.drop_idle()
    assert held.of(TASK) == []


def test_a_task_has_no_more_than_some_snapshots(tmp_path):
    """Those that save least go, and few are kept of what only earlier notebooks could use."""
    held = Snapshots()
    held.budget = 10**12
    for number in range(module.MOST + 5):
        held.add(TASK, taken(tmp_path / str(number), "a" * (number + 1), number + 1.0))
    assert len(held.of(TASK)) == module.MOST
    held.begin(TASK, [], None)
    held.end(TASK, frozenset())
    assert len(held.of(TASK)) == 3
