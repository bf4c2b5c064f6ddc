"""CI runners that build one pipeline with one shared cache, and what that costs; each result is checked.

At a merge many jobs begin within seconds: those of the main branch, of pull requests with an edit each, of forks
that may only read. What a task comes to follows from its ingredients, so a wrong object that was believed shows.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.shared_cache.claims import Claims
from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.key import Ingredient, key_of, shared_name_of
from nbmake_dag_cache.record import Logged, Origin, Output, OutputFile, Record, encode_record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_cache.remote import Remote, RemoteError
from nbmake_dag_cache.retention import collect
from nbmake_dag_cache.shared import Question, SharedCache, Trace, Zones
from tests.simulation.clock import EPOCH_S, Clock, Future, Pool
from tests.simulation.storage import URL, SimulatedFileSystem, Storage, Weather

_AT_ONCE = 8
_SENT_AT_ONCE = 4
_AGAIN_S = 3600.0
"""Executions of the same within so many seconds count as done twice."""
_ROOM = 200_000
"""Bytes that the local cache of a runner that stays may hold."""


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
    found: int = 0
    executed: int = 0
    twice: int = 0
    wrong: int = 0
    jobs: int = 0
    killed: int = 0
    given_up: int = 0
    waits: list[float] = field(default_factory=list[float])
    refused: Counter[str] = field(default_factory=Counter[str])

    @property
    def share_twice(self) -> float:
        """Of all executions, those of what another build had begun to execute."""
        return self.twice / max(self.executed, 1)

    def lines(self, storage: Storage) -> list[str]:
        each = max(self.tasks, 1)
        requests = ", ".join(f"{count / each:.2f} {name}" for name, count in storage.by_folder.most_common())
        waits = sorted(self.waits) or [0.0]
        jobs, twice = f"{self.jobs} jobs ({self.killed} killed)", f"{self.twice} ({100 * self.share_twice:.2f} %)"
        return [
            f"{jobs}, {self.tasks} tasks: {self.found} found, {self.executed} executed",
            f"executed though another build of the zone had begun to within an hour: {twice}",
            f"wrong objects accepted: {self.wrong}",
            f"requests a task: {sum(storage.requests.values()) / each:.2f}: {requests}",
            f"bytes a task: {storage.bytes_out / each:.0f} read, {storage.bytes_in / each:.0f} written",
            f"waited until found or begun: p50 {_at(waits, 0.5):.2f} s, p99 {_at(waits, 0.99):.2f} s",
            f"bill: {storage.dollars:.2f} dollars, {1000 * storage.dollars / each:.4f} for 1,000 tasks",
            f"refused: {dict(self.refused.most_common())}; builds that gave the cache up: {self.given_up}",
        ]


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class _Keys:
    """Signs with a secret that only the builds know."""

    def sign(self, data: bytes) -> str:
        return hmac.new(b"secret", data, "sha256").hexdigest()

    def accepts(self, data: bytes, signature: str) -> bool:
        return hmac.compare_digest(self.sign(data), signature)


def content(ingredients: Iterable[Ingredient]) -> bytes:
    """Return what a task makes of its ingredients."""
    name = shared_name_of(ingredients)
    return (name * (1 + int(name[:2], 16) % 12)).encode()


class Fleet:
    """All jobs of a simulation."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed)
        self.clock = Clock()
        self.storage = Storage(self.clock, plan.weather, random.Random(plan.seed + 1))
        self.report = Report()
        self.begun: dict[tuple[str | None, str], float] = {}
        self._folder = folder
        self._versions = [0] * plan.tasks
        self._helper = 0

    def run(self) -> Report:
        """Let all merges happen, one after the other."""
        SimulatedFileSystem.storage = self.storage
        with self.clock.in_place(lambda owner: owner.skew if isinstance(owner, Job) else 0.0):
            for number in range(self.plan.merges):
                self._edit(number)
                self._begin_jobs(number)
                self.clock.run()
                for _ in range(self.plan.poisonings):
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
            root = self._folder / (f"kept-{runner}" if keeps else f"{number}-{runner}")
            job = Job(self, zones, versions, str(self._helper), root, keeps=keeps)
            self.clock.spawn(job.run, owner=job, after=self.chance.random() * 10)
            if self.chance.random() < self.plan.killed:
                self.clock.spawn(job.kill, owner=self, after=10 + self.chance.random() * 120)

    def _poison(self) -> None:
        """Change an object as somebody would who may write, and does not have the key."""
        chance, objects = self.chance, self.storage.objects
        path = chance.choice(sorted(objects))
        found = objects[path]
        others = [
            other for other in sorted(objects) if self.storage.folder_of(other) == self.storage.folder_of(path)
        ]
        match chance.choice(("flip", "cut", "swap", "forge", "junk")):
            case "flip" if found.data:
                at = chance.randrange(len(found.data))
                found.data = found.data[:at] + bytes([found.data[at] ^ 1]) + found.data[at + 1 :]
            case "cut":
                found.data = found.data[: len(found.data) // 3]
            case "swap":
                found.data = objects[chance.choice(others)].data
            case "forge":
                found.data = _forged(found.data, objects[chance.choice(others)].data)
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


class Job:
    """One build of one runner."""

    def __init__(
        self, fleet: Fleet, zones: Zones, versions: list[int], helper: str, root: Path, *, keeps: bool
    ) -> None:
        self._fleet = fleet
        self._clock = fleet.clock
        self._zones = zones
        self._versions = versions
        self._helper = helper
        self._root = root
        self._keeps = keeps
        self._killed = False
        chance = fleet.chance
        self.skew = chance.choices((chance.uniform(-1, 1), chance.uniform(-1200, 1200), 10800.0), (97, 2, 1))[0]
        """Seconds by which its clock is wrong."""

    def kill(self) -> None:
        """End it as a machine ends whose power is cut."""
        if not self._killed:
            self._killed = True
            self._fleet.report.killed += 1
            self._clock.kill(self)

    def run(self) -> None:
        clock, plan = self._clock, self._fleet.plan
        self._fleet.report.jobs += 1
        self._blobs = BlobStore(str(self._root))
        self._remote = Remote(URL)
        keys = _Keys()
        self._shared = SharedCache(self._remote, self._zones, max_size=1 << 30, verifier=keys, signer=keys)
        self._claims = (
            Claims(self._remote, room=4, waits=lambda _: None) if plan.claims and self._zones.writes else None
        )
        self._looking, self._slots, self._sending = (
            Pool(clock, _AT_ONCE),
            Pool(clock, 2),
            Pool(clock, _SENT_AT_ONCE),
        )
        self._digests = [Future(clock) for _ in range(plan.tasks)]
        sent: list[Future] = []
        for number in range(plan.tasks):
            clock.spawn(lambda number=number: self._bring_about(number, sent))  # type: ignore[misc]
        for each in self._digests:
            each.settle()
        for each in sent:
            each.settle()
        if self._claims is not None:
            self._claims.end()
        self._shared.close()
        self._end()

    def _end(self) -> None:
        self._killed = True
        self._fleet.report.refused.update(self._shared.refused)
        self._fleet.report.given_up += bool(self._remote.gone)
        if self._keeps:
            collect(str(self._root), now=EPOCH_S + self._clock.now, max_size=_ROOM)
        else:
            shutil.rmtree(self._root, ignore_errors=True)

    def _bring_about(self, number: int, sent: list[Future]) -> None:
        """Find the result of a task, or execute it, and send what it made."""
        task, report, clock = TaskName(f"task-{number}"), self._fleet.report, self._clock
        above = sorted({each for each in (number // 2 - 1, number - 5) if 0 <= each < number})
        known = (
            Ingredient("cell", "1", f"{number} {self._versions[number]}"),
            *(Ingredient("input", str(each), self._digests[each].result(), "upstream") for each in above),
        )
        begun = clock.now
        report.tasks += 1
        record = self._looking.submit(self._find, number, known).result()
        path = self._shared.claim_of(known)
        if record is None and self._claims is not None and path is not None:
            answer = Future(clock)
            self._claims.claim(
                task,
                path,
                proceed=lambda: answer.set_result(False),
                ask_again=lambda: answer.set_result(True),
            )
            if answer.result():
                record = self._looking.submit(self._find, number, known).result()
                if record is None:
                    later = Future(clock)
                    self._claims.later(lambda: later.set_result(None))
                    later.settle()
                    record = self._looking.submit(self._find, number, known).result()
        if record is not None:
            report.found += 1
            report.waits.append(clock.now - begun)
            self._release(task)
        else:
            record = self._slots.submit(self._execute, number, known, begun).result()
            if self._zones.writes:
                sent.append(self._sending.submit(self._send, record, task))
        self._digests[number].set_result(record.outputs[0].digest)

    def _present(self, trace: Trace) -> Iterable[Ingredient]:
        for kind, name in trace:
            yield Ingredient(kind, name, self._helper if name == "helper.py" else "", "trace")

    def _find(self, number: int, known: tuple[Ingredient, ...]) -> Record | None:
        """Look for a record as a build does: once more if an operation fails."""
        for _ in range(2):
            try:
                return self._find_once(number, known)
            except RemoteError:
                if self._remote.gone:
                    break
        return None

    def _find_once(self, number: int, known: tuple[Ingredient, ...]) -> Record | None:
        question = Question(known=known, outputs=(f"out/{number}",), present=self._present, accepts=lambda _: True)
        for record in self._shared.candidates(question):
            try:
                self._shared.fetch(record, self._blobs)
            except RefusedError as error:
                self._shared.refuse(str(error))
                continue
            self._check(number, known, record)
            return record
        return None

    def _check(self, number: int, known: tuple[Ingredient, ...], record: Record) -> None:
        """Compare what was believed with what the task makes."""
        ((file,),) = (output.files for output in record.outputs)
        right = content((*known, *self._used(number)))
        if self._blobs.read(file.sha256, 1 << 20) != right or file.sha256 != hashlib.sha256(right).hexdigest():
            self._fleet.report.wrong += 1

    def _used(self, number: int) -> tuple[Ingredient, ...]:
        return (Ingredient("module", "helper.py", self._helper, "trace"),) if number % 2 else ()

    def _execute(self, number: int, known: tuple[Ingredient, ...], begun: float) -> Record:
        fleet, now = self._fleet, self._clock.now
        what = self._zones.writes, shared_name_of(known)
        fleet.report.waits.append(now - begun)
        fleet.report.executed += 1
        if self._zones.writes and now - fleet.begun.get(what, -_AGAIN_S) < _AGAIN_S:
            fleet.report.twice += 1
        fleet.begun[what] = now
        self._clock.sleep(5 + int(hashlib.sha256(str(number).encode()).hexdigest(), 16) % 90)
        ingredients = (*known, *self._used(number))
        stored = self._blobs.put_bytes(content(ingredients))
        path = f"out/{number}"
        file = OutputFile(path=path, xxh3=stored.xxh3, sha256=stored.sha256, size=stored.size)
        record = Record(
            key=key_of(ingredients),
            static_key=key_of(known),
            own_key=key_of(item for item in known if item.stage == "own"),
            task=f"task-{number}",
            ingredients=ingredients,
            outputs=(Output(path=path, digest=stored.xxh3, files=(file,)),),
            logged=Logged(),
            origin=Origin(
                run_id="20260101-000000-000-abcdef",
                trace_id="1" * 32,
                span_id="2" * 16,
                started=int((EPOCH_S + now + self.skew) * 1e9),
                duration_s=5.0,
            ),
            cells=self._blobs.put_bytes(f"[{number}]".encode()).sha256,
        )
        if self._keeps:
            RecordStore(str(self._root)).publish(record)
        return record

    def _send(self, record: Record, task: TaskName) -> None:
        try:
            self._shared.publish(record, self._blobs)
        finally:
            self._release(task)

    def _release(self, task: TaskName) -> None:
        if self._claims is not None:
            self._claims.release(task)


def simulated(plan: Plan, folder: Path) -> tuple[Report, Storage]:
    """Run a simulation with local caches in a folder."""
    fleet = Fleet(plan, folder)
    return fleet.run(), fleet.storage
