"""Builds of one zone tell each other what they execute, and whoever waits does so for a bounded time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.shared_cache import claims
from nbmake_dag.engine.shared_cache.claims import Claims
from nbmake_dag_cache.remote import Remote
from tests.support.project import await_true
from tests.support.read_only_files import SCHEME

TASK = TaskName("train")
PATH = "main/claims/ab/ab12.json"


class _Seen(Remote):
    """A remote that remembers what was last read from it."""

    content = b""

    def read(self, path: str, max_size: int) -> bytes | None:
        data = super().read(path, max_size)
        self.content = data or b""
        return data


class Build:
    """One build with claims; ``said`` has what it was told, in order."""

    def __init__(self, url: str, room: int = 4) -> None:
        self.said: queue.Queue[tuple[str, TaskName]] = queue.Queue()
        self.remote = _Seen(url)
        self.claims = Claims(self.remote, room=room, waits=lambda task: self.said.put(("waits", task)))

    def claim(self, task: TaskName = TASK, path: str = PATH) -> None:
        self.claims.claim(
            task,
            path,
            proceed=lambda: self.said.put(("proceeds", task)),
            ask_again=lambda may_come: self.said.put(("asks late" if may_come else "asks", task)),
        )

    def hears(self) -> str:
        return self.said.get(timeout=30)[0]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and beat often."""
    monkeypatch.setattr(claims, "POLL_S", 0.02)
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.1)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[object]:
    """Make builds that share a folder, and end them."""
    builds: list[Build] = []

    def build(url: str = str(tmp_path / "shared"), **options: int) -> Build:
        builds.append(Build(url, **options))
        return builds[-1]

    yield build
    for each in builds:
        each.claims.end()


def test_the_second_waits_and_asks_again_when_the_first_is_done(make, tmp_path: Path):
    """While it executes, its claim is a file that is written again and again; then no file is left."""
    first, second = make(), make()
    first.claim()
    assert first.hears() == "proceeds"
    second.claim()
    assert second.hears() == "waits"
    file = tmp_path / "shared" / PATH
    begun = file.read_bytes()
    while file.read_bytes() == begun:
        pass
    assert second.said.empty()
    first.claims.release(TASK)
    assert second.hears() == "asks late"
    second.claims.release(TASK)
    second.claims.end()
    assert not file.exists()


def test_whoever_waits_when_a_build_is_to_end_proceeds_and_what_is_held_stays_held(make, tmp_path: Path):
    """So does whoever asks from then on, without a claim of its own."""
    first, second = make(), make()
    first.claim()
    assert first.hears() == "proceeds"
    second.claim()
    assert second.hears() == "waits"
    second.claims.close()
    assert second.hears() == "proceeds"
    second.claim()
    assert second.hears() == "proceeds"
    first.claims.close()
    assert (tmp_path / "shared" / PATH).exists()


def test_a_task_that_is_dropped_is_neither_claimed_nor_waited_for(make, tmp_path: Path):
    """Whether another build has claimed it, or this one, or nobody yet; another build may then have it."""
    first, second = make(), make()
    first.claim()
    assert first.hears() == "proceeds"
    second.claim()
    assert second.hears() == "waits"
    second.claims.drop(TASK)
    second.claim()
    first.claims.drop(TASK)
    file = tmp_path / "shared" / PATH
    await_true(lambda: not file.exists(), 30, "the claim stays")
    third = make()
    third.claim()
    assert third.hears() == "proceeds"
    assert (first.said.empty(), second.said.empty()) == (True, True)


def test_when_two_have_failed_all_others_may_try_at_once(make, tmp_path: Path):
    """They do not fail one after the other: each waits for two other builds only."""
    first, others = make(), [make() for _ in range(4)]
    first.claim()
    assert first.hears() == "proceeds"
    for other in others:
        other.claim()
        assert other.hears() == "waits"
    first.claims.release(TASK)
    await_true(lambda: any(not other.said.empty() for other in others), 30, "nobody asks")
    second = next(other for other in others if not other.said.empty())
    assert second.hears() == "asks late"
    others.remove(second)
    assert all(other.said.empty() for other in others)
    name = json.loads((tmp_path / "shared" / PATH).read_bytes())["build"].encode()
    await_true(lambda: all(name in other.remote.content for other in others), 30, "not all see the second")
    second.claims.release(TASK)
    assert [other.hears() for other in others] == ["asks late"] * 3


def test_what_is_asked_for_later_is_done_once_and_at_the_end_at_the_latest(make):
    """Also where no claim was ever made."""
    build = make()
    build.claims.later(lambda: build.said.put(("later", TASK)))
    build.claim()
    assert sorted([build.hears(), build.hears()]) == ["later", "proceeds"]
    build.claims.later(lambda: build.said.put(("later", TASK)))
    build.claims.end()
    build.claims.later(lambda: build.said.put(("at once", TASK)))
    assert [build.hears(), build.hears()] == ["later", "at once"]
    assert build.said.empty()


def test_a_claim_of_a_build_that_died_is_taken_over(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nobody writes it any more. Whatever stands in it, it delays nobody for longer than two heartbeats."""
    monkeypatch.setattr(claims, "STALE_S", 0.3)
    elsewhere = b'{"build":"gone","beat":3,"host":"other","pid":1,"format":1}'
    for content in (elsewhere, b"", b"\xff" * 9000, b'{"x":' + b"[" * 4000):
        file = tmp_path / "shared" / PATH
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        build = make()
        build.claim()
        assert [build.hears(), build.hears()] == ["waits", "asks"]
        build.claims.end()
        assert not file.exists()


@pytest.mark.parametrize("then", [0, os.WNOWAIT], ids=["waited for", "not waited for"])
def test_a_killed_build_of_the_same_machine_delays_nobody(make, tmp_path: Path, then: int):
    """Whoever kills a build and starts it again does not wait for its heartbeat; nor where nobody reaps it."""
    left = (
        "import os, sys; from tests.engine.test_claims import Build; build = Build(sys.argv[1]);"
        "build.claim(); build.hears(); os._exit(9)"
    )
    command = [sys.executable, "-c", left, str(tmp_path / "shared")]
    killed = subprocess.Popen(command)
    ended = os.waitid(os.P_PID, killed.pid, os.WEXITED | then)
    assert ended is not None
    assert ended.si_status == 9
    assert (tmp_path / "shared" / PATH).exists()
    build = make()
    build.claim()
    assert build.hears() == "asks"
    killed.wait()


def test_a_claim_just_taken_over_goes_with_its_build(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its build ends before it has looked whether it, or another one, has taken the claim over."""
    monkeypatch.setattr(claims, "POLL_S", 3600.0)
    file = tmp_path / "shared" / PATH
    file.parent.mkdir(parents=True)
    left = json.dumps({"build": "gone", "beat": 3, "host": claims._host(), "pid": 1 << 30, "format": 1}).encode()
    file.write_bytes(left)
    build = make()
    build.claim()
    await_true(lambda: file.read_bytes() != left, 30, "nobody takes over the claim of the build that died")
    assert build.said.empty()
    build.claims.end()
    assert not file.exists()


def test_a_claim_that_another_build_has_now_is_left_to_it(make, tmp_path: Path):
    """Whoever was taken for dead must not remove it."""
    file = tmp_path / "shared" / PATH
    build = make()
    build.claim()
    assert build.hears() == "proceeds"
    theirs = json.dumps({"build": "other", "beat": 1, "host": "other", "pid": 1, "format": 1}).encode()
    file.write_bytes(theirs)
    await_true(lambda: build.claims._held[TASK].is_replaced, 30, "it does not notice")
    build.claims.release(TASK)
    await_true(lambda: TASK not in build.claims._held, 30, "it keeps the claim")
    assert file.read_bytes() == theirs


def test_patience_ends_though_the_other_lives(make, monkeypatch: pytest.MonkeyPatch):
    """Its heartbeat is there, and its result is not."""
    monkeypatch.setattr(claims, "PATIENCE_S", 0.5)
    first, second = make(), make()
    first.claim()
    assert first.hears() == "proceeds"
    second.claim()
    assert [second.hears(), second.hears()] == ["waits", "asks"]


def test_a_task_that_waited_for_room_alone_is_looked_up_once(make, monkeypatch: pytest.MonkeyPatch):
    """Nobody else was seen with it, so that nothing is on its way."""
    monkeypatch.setattr(claims, "_FRESH_S", 0.0)
    build = make(room=1)
    for task in ("first", "second"):
        build.claim(TaskName(task), f"main/claims/{task}.json")
    assert build.said.get(timeout=30) == ("asks", "first")
    build.claims.release(TaskName("first"))
    assert build.said.get(timeout=30) == ("asks", "second")


def test_a_build_claims_no_more_than_it_has_room_for(make):
    """So that others execute the rest meanwhile."""
    first, second = make(room=1), make(room=1)
    tasks = [TaskName(f"t{number}") for number in range(2)]
    for task in tasks:
        first.claim(task, f"main/claims/{task}.json")
    assert first.said.get(timeout=30) == ("proceeds", tasks[0])
    second.claim(tasks[1], f"main/claims/{tasks[1]}.json")
    assert second.said.get(timeout=30) == ("proceeds", tasks[1])
    first.claims.release(tasks[0])
    assert first.said.get(timeout=30) == ("waits", tasks[1])


@pytest.mark.parametrize("url", ["memory://claims", "/proc/nowhere", "/dev/null/nowhere"])
def test_where_there_can_be_no_claims_everybody_proceeds(make, url: str):
    """The remote cannot create exclusively, or nothing can be written there."""
    one, two = make(url=url), make(url=url)
    for build in (one, two):
        build.claim()
        assert build.hears() == "proceeds"


def test_who_may_not_write_claims_nothing_and_goes_on(make, tmp_path: Path):
    """At once for each task, also while somebody else executes it; and what can be read is read on."""
    first, reader = make(), make(f"{SCHEME}://{tmp_path / 'shared'}")
    first.claim()
    assert first.hears() == "proceeds"
    for number in range(5):
        reader.claim(TaskName(f"task{number}"), f"main/claims/{number}.json")
        assert reader.hears() == "proceeds"
    assert (reader.remote.gone, reader.remote.read(PATH, 1000) is not None) == ("", True)


def test_who_waits_when_the_build_ends_proceeds(make):
    """The end of a build, or its interruption, is delayed by nobody's claim."""
    first, second = make(), make()
    first.claim()
    assert first.hears() == "proceeds"
    second.claim()
    assert second.hears() == "waits"
    second.claims.end()
    assert second.hears() == "proceeds"
