"""One build of one runner: the real shared cache of a build, and tasks that take simulated time.

What a task comes to follows from its ingredients, so a wrong object that was believed shows.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from nbmake_dag.core.lookup import TaskKeys
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import LookedUp, LookUp
from nbmake_dag.engine.shared_cache.claims import Claims
from nbmake_dag.engine.shared_cache.client import ModulesAsked, Sharing
from nbmake_dag.engine.shared_cache.uploads import Uploads
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.depot import place_of
from nbmake_dag_cache.key import Ingredient, key_of, shared_name_of
from nbmake_dag_cache.record import Logged, Origin, Output, OutputFile, Record, blobs_of
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_cache.remote import Remote
from nbmake_dag_cache.retention import collect
from nbmake_dag_cache.shared import Question, SharedCache, Zones
from nbmake_dag_reporting.secrets_scan import Secrets
from tests.core.builders import graph, task
from tests.simulation.clock import EPOCH_S, Future, Pool
from tests.simulation.storage import STATES, URL

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet, Report

_SLOTS = 2
_AGAIN_S = 3600.0
"""Executions of the same within so many seconds count as done twice."""
_ROOM = 200_000
"""Bytes that the local cache of a runner that stays may hold."""
_HELPER = "helper.py"


class _Keys:
    """Signs with a secret that only the builds know."""

    def sign(self, data: bytes) -> str:
        return hmac.new(b"secret", data, "sha256").hexdigest()

    def accepts(self, data: bytes, signature: str) -> bool:
        return hmac.compare_digest(self.sign(data), signature)


def _content(ingredients: Iterable[Ingredient]) -> bytes:
    """Return what a task makes of its ingredients."""
    name = shared_name_of(ingredients)
    return (name * (1 + int(name[:2], 16) % 12)).encode()


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What a build finds: a version of each task's notebook, and one of the module that some of them import."""

    folder: Path
    """Holds that module."""
    versions: tuple[int, ...]
    helper: str

    def prepared(self) -> Any:
        """Return what `Sharing` asks of a build that was prepared."""
        names = [_name(number) for number in range(len(self.versions))]
        folder = str(self.folder)
        survey = SimpleNamespace(
            graph=graph(*(task(name, makes=_output(name)) for name in names)),
            project=SimpleNamespace(
                root=folder, repository=folder, absolute=lambda path: os.path.join(folder, path)
            ),
            is_usable=lambda record, task: True,
            module_digests=lambda paths: dict.fromkeys(paths, self.helper),
        )
        return SimpleNamespace(survey=survey, facts=dict.fromkeys(names, SimpleNamespace(present={})))


def _name(number: int) -> TaskName:
    return TaskName(f"task-{number}")


def _output(task: str) -> str:
    return f"out/{task}"


@dataclass(slots=True, kw_only=True)
class Begun:
    """An execution; ``record`` is what it came to, when it has ended."""

    at: float
    job: Job
    record: Record | None = None


class _Shared(SharedCache):
    """Counts how often it is asked."""

    report: Report

    def candidates(self, question: Question) -> Iterator[Record]:
        self.report.lookups += 1
        return super().candidates(question)


class Job:
    """One build of one runner; it ends, or its machine is lost."""

    def __init__(self, fleet: Fleet, name: str, zones: Zones, checkout: Checkout, *, keeps: bool) -> None:
        self.name = name
        """Of the machine."""
        self.is_lost = False
        self._fleet = fleet
        self._clock = fleet.clock
        self._zones = zones
        self._checkout = checkout
        self._root = str(fleet.folder / name)
        self._keeps = keeps
        self._is_over = False
        chance = fleet.chance
        self.skew = chance.choices((chance.uniform(-1, 1), chance.uniform(-1200, 1200), 10800.0), (97, 2, 1))[0]
        """Seconds by which its clock is wrong."""

    def kill(self) -> None:
        """End it as a machine ends whose power is cut."""
        if not self._is_over:
            self._is_over = self.is_lost = True
            self._fleet.report.killed += 1
            self._clock.kill(self)

    def run(self) -> None:
        """Bring each task about; a task begins when those above it have ended."""
        self._fleet.report.jobs += 1
        keys = _Keys()
        self._blobs, self._records = BlobStore(self._root), RecordStore(self._root)
        self._shared = _Shared(Remote(URL), self._zones, max_size=1 << 30, verifier=keys, signer=keys)
        self._shared.report = self._fleet.report
        stores: Any = SimpleNamespace(blobs=self._blobs, records=self._records, warnings=[])
        uploads, claims = None, None
        if self._zones.writes:
            uploads = Uploads(self._shared, stores, self._root, Secrets({}))
            if self._fleet.plan.claims:
                claims = Claims(self._shared.remote, room=2 * _SLOTS, waits=lambda _: None)
        self._sharing = Sharing(
            self._checkout.prepared(), stores, self._shared, uploads=uploads, claims=claims, post=self._take
        )
        self._slots = Pool(self._clock, _SLOTS)
        numbers = range(len(self._checkout.versions))
        self._answers = {_name(number): Future(self._clock) for number in numbers}
        self._digests = [Future(self._clock) for _ in numbers]
        for number in numbers:
            self._clock.spawn(lambda number=number: self._bring_about(number))  # type: ignore[misc]
        for each in self._digests:
            each.settle()
        _, trouble = self._sharing.finish()
        self._fleet.report.given_up += any("not used any more" in each for each in trouble)
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._fleet.report.refused.update(self._shared.refused)
        if self._keeps:
            collect(self._root, now=EPOCH_S + self._clock.now, max_size=_ROOM)
        else:
            shutil.rmtree(self._root, ignore_errors=True)

    def _take(self, event: object) -> None:
        """Take what the shared cache says, as the loop of a build does."""
        match event:
            case ModulesAsked():
                event.reply.set_result(dict.fromkeys(event.paths, self._checkout.helper))
            case LookedUp():
                self._answers[event.task].set_result(self._sharing.accept(event))
            case _:
                pass

    def _bring_about(self, number: int) -> None:
        """Find the result of a task, or execute it, and send what it made."""
        above = sorted({each for each in (number // 2 - 1, number - 5) if 0 <= each < number})
        known = (
            Ingredient("cell", "1", f"{number} {self._checkout.versions[number]}"),
            *(
                Ingredient("input", str(each), self._digests[each].result(), "upstream", f"out/{each}")
                for each in above
            ),
        )
        begun, report = self._clock.now, self._fleet.report
        report.tasks += 1
        keys = TaskKeys(
            own_key=key_of(item for item in known if item.stage == "own"),
            static_key=key_of(known),
            ingredients=known,
        )
        self._sharing.look_up(LookUp(task=_name(number), keys=keys), {})
        records: tuple[Record, ...] = self._answers[_name(number)].result().records
        if records:
            (record,) = records
            report.found += 1
            report.waits.append(self._clock.now - begun)
            self._check(number, known, record)
        else:
            record = self._slots.submit(self._execute, number, keys, begun).result()
            self._sharing.send(record)
        self._digests[number].set_result(record.outputs[0].digest)

    def _check(self, number: int, known: tuple[Ingredient, ...], record: Record) -> None:
        """Compare what was believed with what the task makes."""
        ((file,),) = (output.files for output in record.outputs)
        right = _content((*known, *self._used(number)))
        if self._blobs.read(file.sha256, 1 << 20) != right or file.sha256 != hashlib.sha256(right).hexdigest():
            self._fleet.report.wrong += 1

    def _used(self, number: int) -> tuple[Ingredient, ...]:
        return (Ingredient("module", _HELPER, self._checkout.helper, "trace"),) if number % 2 else ()

    def _execute(self, number: int, keys: TaskKeys, begun: float) -> Record:
        now = self._clock.now
        self._fleet.report.waits.append(now - begun)
        execution = self._note_execution(shared_name_of(keys.ingredients))
        self._clock.sleep(5 + int(hashlib.sha256(str(number).encode()).hexdigest(), 16) % 90)
        trace = self._used(number)
        stored = self._blobs.put_bytes(_content((*keys.ingredients, *trace)))
        path = _output(_name(number))
        file = OutputFile(path=path, xxh3=stored.xxh3, sha256=stored.sha256, size=stored.size)
        record = Record(
            key=keys.key_with(trace),
            static_key=keys.static_key,
            own_key=keys.own_key,
            task=_name(number),
            ingredients=(*keys.ingredients, *trace),
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
        self._records.publish(record)
        execution.record = record
        return record

    def _note_execution(self, name: str) -> Begun:
        report, execution, zone = self._fleet.report, Begun(at=self._clock.now, job=self), self._zones.writes
        report.executed += 1
        if zone is None:
            report.alone += 1
        else:
            before = self._fleet.begun.get((zone, name))
            if before is not None and execution.at - before.at < _AGAIN_S:
                if before.job.is_lost:
                    report.lost += 1
                else:
                    report.twice[self._why(before, zone, name)] += 1
            self._fleet.begun[zone, name] = execution
        return execution

    def _why(self, before: Begun, zone: str, name: str) -> str:
        """Say what was wrong with what another build had begun to execute."""
        if before.record is None:
            return "while it executed"
        states = [self._fleet.storage.state_of(f"{zone}/traces/{name[:2]}/{name}.json")]
        name = shared_name_of(before.record.ingredients)
        states.append(self._fleet.storage.state_of(f"{zone}/records/{name[:2]}/{name}.json"))
        for blob in blobs_of(before.record):
            places = [self._fleet.storage.state_of(place_of(each, blob)) for each in (*self._zones.reads, zone)]
            states.append(min(places, key=STATES.index))
        return f"of which something was {max(states, key=STATES.index)}"
