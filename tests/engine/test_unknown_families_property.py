"""Families whose instances other tasks make: random pipelines and histories through real builds with a stub pool.

Two oracles: what everything comes to when a few lines that know no plan compute it from scratch, and a memory of
what was executed, since nothing may be executed twice. 8 histories by default, 200 in the slow set.
"""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbmake_dag.core.model import Command, Task
from nbmake_dag.engine.dispatch.pool import Pool, _Slot
from nbmake_dag.engine.prepare import Prepared, prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.session import carry_out
from nbmake_dag.engine.state.lock import build_lock
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.executor_kind import Backend
from nbmake_dag.execute.protocol import AttemptResult, AttemptSpec, Ended, Failure
from nbmake_dag.observe.project import find_project
from nbmake_dag.record.outcome import RunOutcome
from nbmake_dag_cache.blobs import BlobStore
from tests.support.examples import examples
from tests.support.family_pipelines import NAMES, SOURCES, Files, evaluate, means, pipeline_of, work


class _CutError(BaseException):
    """The driver is gone."""


@dataclass
class _Events:
    """The queue of a pool whose attempts end when nothing else has happened, one after the other at random."""

    end_one: Callable[[], Ended | None]
    _queue: queue.SimpleQueue[object] = field(default_factory=queue.SimpleQueue[object])

    def put(self, item: object) -> None:
        self._queue.put(item)

    def get(self, timeout: float | None = None) -> object:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return self.end_one() or self._queue.get(timeout=timeout)


class _Stub(Pool):
    """Executes the work of the model in this process."""

    def __init__(self, world: World, prepared: Prepared, backend: Backend, cut_after: int | None) -> None:
        super().__init__((backend,), jobs=3, env={}, attempts=prepared.project.attempts)
        self._world = world
        self._prepared = prepared
        self._under_way: list[tuple[AttemptSpec, Task]] = []
        self._left = cut_after
        self.events = _Events(self._end_one)  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]

    @property
    def runtime(self) -> str:
        return ""

    def scratch(self) -> str:
        return ""

    def start_first(self) -> None:
        pass

    def submit(self, backend: Backend, spec: AttemptSpec, task: Task, expected_s: float | None = None) -> None:
        self._running[spec.task] = _Slot(backend, 1.0, expected_s, 0.0)
        self._under_way.append((spec, task))

    def _end_one(self) -> Ended | None:
        if not self._under_way:
            return None
        if self._left is not None:
            if not self._left:
                raise _CutError
            self._left -= 1
        spec, task = self._under_way.pop(self._world.choices.randrange(len(self._under_way)))
        return Ended(task=spec.task, attempt=spec.attempt, result=self._world.perform(spec, task))


class World:
    """A project on disk, and what was executed in it."""

    def __init__(self, root: str, seed: int) -> None:
        self.root = root
        self.choices = random.Random(seed)
        self.specs = pipeline_of(self.choices)
        self.user: Files = {}
        self.failing: set[str] = set()
        self.executed: list[str] = []
        self._done: set[object] = set()
        for source in SOURCES:
            self.edit(source)
        self.write("pipeline.toml", "\n\n".join(spec.toml() for spec in self.specs))

    def write(self, path: str, text: str) -> None:
        place = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)

    def edit(self, source: str) -> None:
        """Let names join, leave and change places."""
        names = self.choices.sample(NAMES, self.choices.randrange(len(NAMES) + 1))
        self.user[source] = json.dumps({"names": names, "salt": self.choices.randrange(4)})
        self.write(source, self.user[source])

    def step(self) -> None:
        match self.choices.choice(("edit", "edit", "fail", "delete", "forget", "cut", "target", "build")):
            case "edit":
                self.edit(self.choices.choice(SOURCES))
            case "fail":
                self.failing = {self.choices.choice(self.specs).name}
                self.build(keep_going=self.choices.random() < 0.5)
                self.failing = set()
            case "delete":
                if made := sorted(self.files().keys() - {*self.user, "pipeline.toml"}):
                    os.unlink(os.path.join(self.root, self.choices.choice(made)))
            case "forget":
                shutil.rmtree(os.path.join(self.root, ".nbdag", "state"), ignore_errors=True)
            case "cut":
                self.build(cut_after=self.choices.randrange(6))
            case "target":
                spec = self.choices.choice(self.specs)
                try:
                    self.build(spec.name, keep_going=True)
                except UsageError as error:
                    # what it comes from is known, and has no rows or files
                    if "has no instances" not in str(error):
                        raise
            case _:
                self.build()

    def build(self, *targets: str, keep_going: bool = False, cut_after: int | None = None) -> RunOutcome | None:
        project = find_project(self.root)
        request = Request(targets=targets, keep_going=keep_going, jobs=3)
        self.executed = []
        with build_lock(project, wait=False, waiting=lambda _: None) as lock:
            stores = Stores.open(project)
            try:
                prepared = prepare(project, request, stores)
                pool = _Stub(self, prepared, Backend(name="stub", module="", at_once=3), cut_after)
                return carry_out(prepared, request, stores, lambda: pool, (), time.time_ns(), lock)
            except _CutError:
                return None
            finally:
                stores.close()

    def perform(self, spec: AttemptSpec, task: Task) -> AttemptResult:
        """Do the work with what is in the workspace."""
        started = time.time_ns()
        if task.family in self.failing:
            failure = Failure(type="exit", message="as it was told")
            return AttemptResult(outcome="failed", started=started, ended=time.time_ns(), failure=failure)
        there = self.files()
        inputs = {
            path: there[path]
            for item in task.inputs
            for path in (sorted(there) if item.is_glob else (item.path,))
            if means(item.path, path)
        }
        assert isinstance(task.work, Command)
        what = task.work.arguments[0]
        key = (what, tuple(inputs.items()), spec.declared_outputs)
        assert key not in self._done, f"{task.name} was executed with the same inputs before"
        self.executed.append(task.name)
        for path in spec.declared_outputs:
            if path.endswith("/"):
                os.mkdir(os.path.join(self.root, path))
        for path, text in work(what, inputs, spec.declared_outputs).items():
            self.write(path, text)
        outputs = collect_outputs(spec.root, spec.declared_outputs, BlobStore(spec.blobs))
        assert not isinstance(outputs, Failure), outputs
        self._done.add(key)
        return AttemptResult(outcome="succeeded", started=started, ended=time.time_ns(), outputs=outputs)

    def files(self) -> Files:
        found: Files = {}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name != ".nbdag"]
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    found[os.path.relpath(path, self.root)] = file.read()
        return found


def _examples(number: int) -> settings:
    return settings(max_examples=number, suppress_health_check=[HealthCheck.too_slow])


seeds, lengths = st.integers(0, 2**32), st.integers(0, 6)


@examples(32, HealthCheck.too_slow)
@given(seed=seeds, steps=lengths)
def test_families_grow_shrink_and_fail_and_a_build_leaves_what_a_clean_one_would(seed: int, steps: int) -> None:
    """After any history the files are those of a from-scratch evaluation, and nothing was executed twice."""
    _live(seed, steps)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@_examples(200)
@given(seed=seeds, steps=lengths)
def test_so_they_do_two_hundred_times(seed: int, steps: int) -> None:
    """The same, more often."""
    _live(seed, steps)


def _live(seed: int, steps: int) -> None:
    root = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        world = World(root, seed)
        for _ in range(steps):
            world.step()
        outcome = world.build()
        assert outcome is not None
        assert outcome.exit_code == 0, {end.task: end.attempts for end in outcome.tasks.values()}
        files = world.files()
        del files["pipeline.toml"]
        assert files == evaluate(world.specs, world.user)
        again = world.build()
        assert again is not None
        assert {end.status for end in again.tasks.values()} <= {"up_to_date"}
        assert again.tasks.keys() == outcome.tasks.keys()
    finally:
        shutil.rmtree(root)
