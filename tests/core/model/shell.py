"""One build of the model: real survey, planner, schedule and stores over real files; only the work is a stub."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbmake_dag.build.keep import keep_bytes, restore
from nbmake_dag.build.last import LastResults
from nbmake_dag.build.prepare import Prepared
from nbmake_dag.build.publish import record_of
from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import result_of
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag.core.plan import Verdict, plan
from nbmake_dag.core.schedule import (
    Abandon,
    Began,
    Event,
    Failed,
    Finished,
    Instruction,
    Interrupted,
    Keep,
    Restore,
    Restored,
    Run,
    Schedule,
    Skip,
    Stopped,
    Unrestorable,
)
from nbmake_dag.execute.aside import Aside, drop, put_back, set_aside
from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.protocol import AttemptResult, Failure, Read
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import Kernels
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.survey import Instruments, Survey
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from nbmake_dag_cache.place import Place
from nbmake_dag_cache.record import Logged, Origin
from nbmake_dag_cache.records import RecordStore
from tests.core.model.world import (
    MODULES,
    SOURCES,
    Effect,
    Files,
    Spec,
    Specs,
    files_below,
    find,
    owned,
    perform,
    pipeline_of,
)
from tests.core.validation import validate_schedule


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one build is asked for. ``choices`` seeds the order in which things happen."""

    targets: tuple[str, ...] = ()
    forced: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()
    keep_going: bool = True
    interrupt_after: int | None = None
    """Executions that begin before the user interrupts."""
    disturb: bool = False
    """A source is edited while the first task that declares it runs."""
    jobs: int = 1
    choices: int = 0


@dataclass(kw_only=True)
class Report:
    """What a build did."""

    verdicts: Mapping[TaskName, Verdict]
    statuses: dict[str, str] = field(default_factory=dict[str, str])
    executed: list[str] = field(default_factory=list[str])
    unrestorable: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, kw_only=True)
class Memos:
    """Indexes that many examples share, since opening them takes longer than an example."""

    files: StatMemo
    identities: IdentityMemo


class Checkout:
    """A project on disk; ``cached`` has the file of the record for each footprint that was published."""

    def __init__(self, root: str, memos: Memos) -> None:
        self.project = Project(config=f"{root}/pipeline.toml", root=root, repository=root)
        self.place = Place(self.project.cache)
        self.memos = memos
        self.records = RecordStore(self.project.cache)
        self.blobs = BlobStore(self.project.cache)
        self.cached: dict[tuple[Any, ...], str] = {}
        self.left: dict[str, str] = {}
        """What tasks last left at each path that was ever theirs."""
        os.makedirs(self.project.state)

    def write(self, path: str, text: str) -> None:
        place = self.project.absolute(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)

    def user_files(self, specs: Specs, files: Files) -> Files:
        """Return those files that no task owns, and that none left unchanged."""
        return {
            path: text for path, text in files.items() if not owned(specs, path) and self.left.get(path) != text
        }

    def modules(self) -> Files:
        """Return the value that each module assigns."""
        return {path: _value(self.project.absolute(path)) for path in MODULES}

    def is_stored(self, text: str) -> bool:
        """Say whether the blob of a content is there and sound."""
        name = hashlib.sha256(text.encode()).hexdigest()
        try:
            return self.blobs.is_sound(name)
        except BlobError:
            return False

    def has_record(self, footprint: tuple[Any, ...]) -> bool:
        return footprint in self.cached and os.path.exists(self.cached[footprint])

    def build(self, specs: Specs, order: Order) -> Report:
        return _Build(self, specs, order).run()


def _value(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().removeprefix("VALUE = ").strip()


@dataclass(kw_only=True)
class _Execution:
    run: Run
    aside: Aside
    effect: Effect
    started: int


class _Build:
    def __init__(self, checkout: Checkout, specs: Specs, order: Order) -> None:
        self._checkout = checkout
        self._specs = specs
        self._order = order
        self._random = random.Random(order.choices)
        self._last = LastResults(checkout.project.state)
        self._prepared = self._prepare()
        self._graph = self._prepared.graph
        self._ready: list[Run] = []
        self._running: list[_Execution] = []
        self._restoring: list[Restore] = []
        self._interrupted = False
        self._disturbed = ""
        self._report = Report(verdicts=plan(self._graph, self._prepared.facts, self._prepared.rules))
        self._schedule = Schedule(
            self._graph, self._prepared.facts, self._prepared.rules, keep_going=order.keep_going
        )

    def _prepare(self) -> Prepared:
        project, memos, records = self._checkout.project, self._checkout.memos, self._checkout.records
        pipeline = pipeline_of(self._specs)
        whole = build_graph(pipeline)
        targets = [TaskName(name) for name in self._order.targets] or whole.order
        graph = build_graph(pipeline, only=whole.above(targets))
        interpreters = Interpreters(memos.identities)
        instruments = Instruments(
            files=memos.files,
            sources=Sources(project, memos.files, memos.identities, ()),
            modules=Modules(project, memos.files, memos.identities, ()),
            kernels=Kernels({}, memos.identities),
            interpreters=interpreters,
            inputs=Inputs(project, graph, memos.files, self._last.leftovers(whole)),
            records=records,
            variables={},
            python=sys.executable,
        )
        survey = Survey(project, pipeline, graph, instruments)
        previous = {
            name: record for name in graph.order if (record := self._last.record(name, records)) is not None
        }
        return Prepared(
            project=project,
            pipeline=pipeline,
            whole=whole,
            graph=graph,
            targets=frozenset(targets),
            facts=survey.facts(previous),
            rules=Rules(forced=frozenset(TaskName(name) for name in self._order.forced)),
            writes_cache=True,
            survey=survey,
            variables={},
            ignored=(),
        )

    def run(self) -> Report:
        self._follow(self._schedule.start())
        validate_schedule(self._schedule, self._graph)
        while not self._schedule.done:
            self._step()
        self._last.save()
        return self._report

    def _step(self) -> None:
        """Let one of the things happen that can happen now."""
        begun = len(self._report.executed)
        if (
            self._order.interrupt_after is not None
            and begun >= self._order.interrupt_after
            and not self._interrupted
        ):
            self._interrupted = True
            self._happen(Interrupted())
            return
        possible = [self._end] * bool(self._running) + [self._put_back] * bool(self._restoring)
        possible += [self._begin] * (bool(self._ready) and len(self._running) < self._order.jobs)
        self._random.choice(possible)()

    def _happen(self, event: Event) -> None:
        self._follow(self._schedule.handle(event))
        validate_schedule(self._schedule, self._graph)

    def _follow(self, instructions: Iterable[Instruction]) -> None:
        statuses = self._report.statuses
        for instruction in instructions:
            match instruction:
                case Keep(task=task, record=record):
                    statuses[task] = "up_to_date"
                    self._note(task, record)
                case Restore():
                    self._restoring.append(instruction)
                case Run():
                    self._ready.append(instruction)
                case Skip(task=task):
                    statuses[task] = "skipped"
                case Abandon(task=task):
                    statuses[task] = "cancelled"
                    self._ready = [run for run in self._ready if run.task != task]

    def _note(self, task: TaskName, record: Any) -> None:
        self._last.note(task, record)
        paths = [file.path for output in record.outputs for file in output.files]
        for path in paths:
            with open(self._checkout.project.absolute(path), encoding="utf-8") as file:
                self._checkout.left[path] = file.read()

    def _keep(self, task: TaskName, paths: Iterable[ProjectPath]) -> None:
        facts = self._prepared.facts[task]
        known = (*facts.records, *([facts.previous] if facts.previous else ()))
        keep_bytes(self._checkout.project, self._checkout.blobs, paths, known, self._last.files(task))

    def _put_back(self) -> None:
        item = self._restoring.pop(self._random.randrange(len(self._restoring)))
        self._keep(item.task, item.missing)
        outputs = [output for output in item.record.outputs if output.path in item.missing]
        try:
            restore(self._checkout.project, self._checkout.blobs, outputs)
        except BlobError:
            self._report.unrestorable.add(item.task)
            self._happen(Unrestorable(task=item.task))
            return
        self._report.statuses[item.task] = "restored"
        self._note(item.task, item.record)
        self._happen(Restored(task=item.task))

    def _begin(self) -> None:
        run = self._ready.pop(self._random.randrange(len(self._ready)))
        spec = self._specs[run.task]
        self._report.executed.append(run.task)
        self._keep(run.task, [ProjectPath(path) for path in spec.outputs])
        project = self._checkout.project
        aside = set_aside(project.state, project.root, spec.outputs, f"{project.failed}/{run.task}")
        started = time.time_ns()
        self._happen(Began(task=run.task))
        early = self._random.random() < 0.5
        if early:
            self._disturb(spec)
        effect = self._perform(spec)
        if not early:
            self._disturb(spec)
        self._running.append(_Execution(run=run, aside=aside, effect=effect, started=started))

    def _perform(self, spec: Spec) -> Effect:
        """Do the stub's work with what is in the workspace, as a notebook would."""
        above = self._schedule.results_above(TaskName(spec.name))
        metrics = {str(name): int(result.logged.metrics["metric"]) for name, result in above.items()}
        there = files_below(self._checkout.project.root)
        made = {path: text for path, text in there.items() if owned(self._specs, path)}
        user = self._checkout.user_files(self._specs, there)
        seen = find(spec, made, user)
        return perform(spec, seen, metrics, self._checkout.modules())

    def _disturb(self, spec: Spec) -> None:
        """Edit a source that a running task declares, before or after the task reads it; once in a build."""
        declared = [path for path in spec.inputs if path in SOURCES]
        if self._order.disturb and not self._disturbed and declared:
            self._disturbed = spec.name
            self._checkout.write(declared[0], f"edited while {spec.name} ran {time.time_ns()}")

    def _end(self) -> None:
        execution = self._running.pop(self._random.randrange(len(self._running)))
        spec = self._specs[execution.run.task]
        name = execution.run.task
        stopped = self._interrupted and self._random.random() < 0.5
        whole = not stopped and spec.name not in self._order.failing
        for path in spec.outputs:
            if path.endswith("/"):
                os.mkdir(self._checkout.project.absolute(path))
        for number, (path, text) in enumerate(execution.effect.files.items()):
            if whole or number == 0:
                self._checkout.write(path, text)
        if whole:
            self._succeed(spec, execution)
            return
        put_back(execution.aside)
        self._report.statuses[name] = "cancelled" if stopped else "failed"
        self._happen(Stopped(task=name) if stopped else Failed(task=name))

    def _succeed(self, spec: Spec, execution: _Execution) -> None:
        name = execution.run.task
        project, task = self._checkout.project, self._graph.tasks[name]
        stored = collect_outputs(
            project.root, spec.outputs, self._checkout.blobs if spec.cache and spec.store else None
        )
        assert not isinstance(stored, Failure)
        attempt = AttemptResult(
            outcome="succeeded",
            started=execution.started,
            ended=time.time_ns(),
            outputs=stored,
            logged=Logged(metrics={"metric": float(execution.effect.metric)}),
            reads=tuple(
                Read(task=other, kind=kind, name="metric" if other else None)
                for other, kind, _ in execution.effect.read
            ),
            modules=tuple(path for path, _ in execution.effect.loaded),
        )
        origin = Origin(
            run_id="run",
            trace_id="0" * 32,
            span_id="0" * 16,
            started=execution.started,
            duration_s=0.0,
        )
        above = self._schedule.results_above(name)
        done = record_of(task, self._prepared, execution.run.identity, attempt, above, origin, None)
        assert done.unstable if self._disturbed == spec.name else (self._disturbed or not done.unstable)
        if spec.cache and not done.unstable:
            self._checkout.records.publish(done.record)
            place = self._checkout.place.record(done.record.own_key, done.record.key)
            self._checkout.cached[execution.effect.footprint] = place
        drop(execution.aside)
        self._report.statuses[name] = "ran"
        self._note(name, done.record)
        self._happen(Finished(task=name, result=result_of(done.record, task.parameters)))
