"""CI runners that build one pipeline with one shared cache, and what that costs; each result is checked.

At a merge many jobs begin within seconds: those of the main branch, of pull requests with an edit each, of forks
that may only read.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nbmake_dag_cache.record import Output, Record, encode_record
from nbmake_dag_cache.shared import Zones
from tests.simulation.clock import Clock
from tests.simulation.job import Begun, Checkout, Job
from tests.simulation.storage import SimulatedFileSystem, Storage, Weather


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much happens."""

    seed: int = 1
    runners: int = 40
    """Jobs that begin at a merge."""
    merges: int = 5
    apart_s: float = 7200.0
    tasks: int = 20
    edited: float = 0.15
    """The share of tasks that a merge edits."""
    cold: int = 4
    """Each so many merges everything is new."""
    kept: float = 0.1
    """The share of runners that keep their local cache."""
    killed: float = 0.02
    poisonings: int = 10
    """Objects that somebody changes after each merge."""
    claims: bool = True
    weather: Weather = field(default_factory=Weather)


@dataclass
class Report:
    """What it came to."""

    tasks: int = 0
    lookups: int = 0
    """How often a build asked for the record of a task."""
    found: int = 0
    executed: int = 0
    alone: int = 0
    """Of these, by builds that may not write, which can claim nothing."""
    twice: Counter[str] = field(default_factory=Counter[str])
    """Executions of what another build of the zone had begun to execute, by the reason."""
    lost: int = 0
    """Executions of what another build had begun to execute, whose machine was lost."""
    wrong: int = 0
    jobs: int = 0
    killed: int = 0
    given_up: int = 0
    waits: list[float] = field(default_factory=list[float])
    refused: Counter[str] = field(default_factory=Counter[str])

    @property
    def share_twice(self) -> float:
        """Of the executions by builds that may write, those of what another one had begun to execute."""
        return self.twice.total() / max(self.executed - self.alone, 1)

    def lines(self, storage: Storage) -> list[str]:
        each = max(self.tasks, 1)
        folders = storage.by_folder.most_common()
        requests = ", ".join(f"{count / each:.2f} {kind} {folder}" for (kind, folder), count in folders)
        waits = sorted(self.waits) or [0.0]
        jobs = f"{self.jobs} jobs ({self.killed} killed)"
        twice = f"{self.twice.total()} ({100 * self.share_twice:.2f} %)"
        twice += "".join(f", {count} {why}" for why, count in self.twice.most_common())
        executed = f"{self.executed} executed ({self.alone} by builds that may not write)"
        twice += f"; {self.lost} whose machine was lost"
        read = sum(storage.by_folder["GET", folder] for folder in ("traces", "records", "blobs"))
        return [
            f"{jobs}, {self.tasks} tasks: {self.found} found, {executed}",
            f"executed though another build of the zone had begun to within an hour: {twice}",
            f"look-ups: {self.lookups}, traces, records and blobs read: {read}, wrong ones accepted: {self.wrong}",
            f"requests a task: {storage.by_folder.total() / each:.2f}: {requests}",
            f"bytes a task: {storage.bytes_out / each:.0f} read, {storage.bytes_in / each:.0f} written",
            f"waited until found or begun: p50 {_at(waits, 0.5):.2f} s, p99 {_at(waits, 0.99):.2f} s",
            f"bill: {storage.dollars:.2f} dollars, {1000 * storage.dollars / each:.4f} for 1,000 tasks",
            f"refused: {dict(self.refused.most_common())}; builds that gave the cache up: {self.given_up}",
            f"digest of all requests: {storage.history.hexdigest()}",
        ]


def _skew_of(machine: object) -> float:
    return machine.skew if isinstance(machine, Job) else 0.0


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Fleet:
    """All jobs of a simulation."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed)
        self.clock = Clock()
        self.storage = Storage(self.clock, plan.weather, random.Random(plan.seed + 1))
        self.report = Report()
        self.begun: dict[tuple[str, str], Begun] = {}
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "helper.py").touch()
        self._versions = [0] * plan.tasks
        self._helper = 0

    def run(self) -> Report:
        """Let all merges happen, one after the other."""
        SimulatedFileSystem.storage = self.storage
        with self.clock.in_place(_skew_of, self.chance, self.storage.hangs):
            for number in range(self.plan.merges):
                self._edit(number)
                self._begin_jobs(number)
                self.clock.run()
                self._poison()
                self.clock.now = max(self.clock.now, (number + 1) * self.plan.apart_s)
        return self.report

    def _edit(self, number: int) -> None:
        for task in range(self.plan.tasks):
            if self.chance.random() < self.plan.edited or (number and number % self.plan.cold == 0):
                self._versions[task] += 1
        self._helper += self.chance.random() < 0.3

    def _begin_jobs(self, number: int) -> None:
        for runner in range(self.plan.runners):
            kind = self.chance.choices(("main", "pull", "fork"), (5, 4, 1))[0]
            versions, zones = list(self._versions), Zones(reads=("main",), writes="main")
            if kind != "main":
                change = self.chance.randrange(1 + self.plan.runners // 10)
                versions[change % len(versions)] = 1000 + change
                zones = Zones(reads=("main", f"pull-{change}"), writes=f"pull-{change}")
                zones = zones if kind == "pull" else Zones(reads=("main",))
            keeps = runner < self.plan.runners * self.plan.kept
            name = f"kept-{runner}" if keeps else f"{number}-{runner}"
            checkout = Checkout(folder=self.folder, versions=tuple(versions), helper=str(self._helper))
            job = Job(self, name, zones, checkout, keeps=keeps)
            self.clock.spawn(job.run, owner=job, after=self.chance.random() * 10)
            if self.chance.random() < self.plan.killed:
                self.clock.spawn(job.kill, owner=self, after=10 + self.chance.random() * 120)

    def _poison(self) -> None:
        """Change objects as somebody would who may write, and does not have the key."""
        chance, objects = self.chance, self.storage.objects
        paths = sorted(objects)
        for _ in range(self.plan.poisonings):
            path, other = chance.choice(paths), chance.choice(paths)
            while self.storage.folder_of(other) != self.storage.folder_of(path):
                other = chance.choice(paths)
            found, another = objects[path], objects[other].data
            match chance.choice(("flip", "cut", "swap", "forge", "junk")):
                case "flip" if found.data:
                    at = chance.randrange(len(found.data))
                    found.data = found.data[:at] + bytes([found.data[at] ^ 1]) + found.data[at + 1 :]
                case "cut":
                    found.data = found.data[: len(found.data) // 3]
                case "swap":
                    found.data = another
                case "forge":
                    found.data = _forged(found.data, another)
                case _:
                    found.data = chance.randbytes(len(found.data))


def _forged(data: bytes, other: bytes) -> bytes:
    """Give a record the outputs of another one, with right keys and checksum, and the old signature."""
    try:
        envelope, another = msgspec.json.decode(data), msgspec.json.decode(other)
        mine = msgspec.convert(envelope["record"], Record)
        theirs = msgspec.convert(another["record"], Record)
        forged = msgspec.structs.replace(
            mine, outputs=(Output.of(mine.outputs[0].path, theirs.outputs[0].files, ()),)
        )
        return msgspec.json.encode({**envelope, "record": msgspec.Raw(encode_record(forged))})
    except (msgspec.MsgspecError, KeyError, TypeError):
        return other


def simulated(plan: Plan, folder: Path) -> tuple[Report, Storage]:
    """Run a simulation with local caches in a folder."""
    fleet = Fleet(plan, folder)
    return fleet.run(), fleet.storage
