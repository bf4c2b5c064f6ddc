"""One build of the model: real survey, planner, schedule and stores; only the work is a stub."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import result_of
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.ignore import Ignored
from nbmake_dag.core.model import Pipeline, ProjectPath, TaskName
from nbmake_dag.core.plan import Verdict, plan
from nbmake_dag.core.schedule import (
    Began,
    Cancel,
    Event,
    Execute,
    Failed,
    Finished,
    GivenUp,
    Instruction,
    Interrupted,
    MarkUpToDate,
    Restore,
    Restored,
    Schedule,
    Skip,
    Stopped,
    Unrestorable,
)
from nbmake_dag.engine.prepare import Prepared
from nbmake_dag.engine.results.publish import record_of
from nbmake_dag.engine.results.restore import restore
from nbmake_dag.engine.state.drafts import Drafts
from nbmake_dag.engine.state.leftovers import find_leftovers, move_away
from nbmake_dag.engine.state.made_files import MadeFiles
from nbmake_dag.engine.state.previous_results import PreviousResults
from nbmake_dag.engine.state.rescued_files import rescue_files
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.output_backup import Aside, drop, put_back, set_aside
from nbmake_dag.execute.protocol import AttemptResult, Failure, Read
from nbmake_dag.observe.environments import Environments
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import Kernels
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.remote_copies import RemoteCopies
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.survey import Instruments, Survey
from nbmake_dag.observe.variables import Variables
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.record import Logged, Origin
from tests.core.simulation.checkout import Checkout
from tests.core.simulation.world import (
    SOURCES,
    Effect,
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


@dataclass(kw_only=True)
class _Running:
    instruction: Execute
    aside: Aside
    effect: Effect
    started: int


def refuse(message: str) -> None:
    raise AssertionError(message)


def _no_other_pipeline(file: str, data: bytes, profiles: tuple[str, ...]) -> Pipeline:
    raise AssertionError(f"{file} is no pipeline file: {data!r} {profiles}")


def _no_code(pipeline: Pipeline, graph: Graph) -> frozenset[str]:
    """Return nothing: commands of the simulation run no scripts."""
    del pipeline, graph
    return frozenset()


def build(checkout: Checkout, specs: Specs, order: Order) -> Report:
    """Build as ordered, and hold the schedule to its rules after every event."""
    return _Build(checkout, specs, order).run()


class _Build:
    def __init__(self, checkout: Checkout, specs: Specs, order: Order) -> None:
        self._checkout = checkout
        self._specs = specs
        self._order = order
        self._random = random.Random(order.choices)
        self._last = PreviousResults(checkout.project.state, refuse)
        self._prepared = self._prepare()
        self._graph = self._prepared.graph
        self._ready: list[Execute] = []
        self._running: list[_Running] = []
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
        graph = build_graph(pipeline, only=frozenset(whole.with_upstream(targets)))
        stores = Stores(
            files=memos.files,
            identities=memos.identities,
            records=records,
            blobs=self._checkout.blobs,
            previous=self._last,
            drafts=Drafts(project.state, refuse),
        )
        leftovers = find_leftovers(
            project, pipeline, whole, stores, MadeFiles(stores).read(), _no_other_pipeline, _no_code
        )
        variables = Variables({})
        interpreters = Interpreters(memos.identities, variables)
        instruments = Instruments(
            files=memos.files,
            sources=Sources(project, memos.files, memos.identities, ()),
            modules=Modules(project, memos.files, memos.identities, ()),
            kernels=Kernels(variables, memos.identities, interpreters),
            interpreters=interpreters,
            environments=Environments(project, memos.files, memos.identities),
            inputs=Inputs(
                project,
                graph,
                memos.files,
                leftovers.digests,
                Ignored(()),
                copies=RemoteCopies(project=project, warn=print),
            ),
            records=records,
            variables=variables,
            python=sys.executable,
        )
        survey = Survey(project, pipeline, graph, instruments)
        previous = {
            name: record for name in graph.order if (record := self._last.record(name, records)) is not None
        }
        return Prepared(
            whole=whole,
            targets=frozenset(targets),
            facts=survey.facts(previous),
            rules=Rules(forced=frozenset(TaskName(name) for name in self._order.forced)),
            survey=survey,
            leftovers=leftovers.files,
        )

    def run(self) -> Report:
        move_away(self._checkout.project, self._prepared.leftovers, self._prepared.whole)
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
            self._give_up_restores()
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
                case MarkUpToDate(task=task, record=record):
                    statuses[task] = "up_to_date"
                    self._note(task, record)
                case Restore():
                    self._restoring.append(instruction)
                case Execute():
                    self._ready.append(instruction)
                case Skip(task=task):
                    statuses[task] = "skipped"
                case Cancel(task=task):
                    statuses[task] = "cancelled"
                    self._ready = [run for run in self._ready if run.task != task]

    def _note(self, task: TaskName, record: Any) -> None:
        self._last.note(task, record)

    def _keep(self, task: TaskName, paths: Iterable[ProjectPath]) -> None:
        facts = self._prepared.facts[task]
        known = (*facts.records, *([facts.previous] if facts.previous else ()))
        rescue_files(self._checkout.project, self._checkout.blobs, paths, known, self._last.files(task))

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

    def _give_up_restores(self) -> None:
        for item in [item for item in self._restoring if self._random.random() < 0.5]:
            self._restoring.remove(item)
            self._happen(GivenUp(task=item.task))

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
        self._running.append(_Running(instruction=run, aside=aside, effect=effect, started=started))

    def _perform(self, spec: Spec) -> Effect:
        """Do the stub's work with what is in the workspace, as a notebook would."""
        above = self._schedule.upstream_results(TaskName(spec.name))
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
        spec = self._specs[execution.instruction.task]
        name = execution.instruction.task
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

    def _succeed(self, spec: Spec, execution: _Running) -> None:
        name = execution.instruction.task
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
        above = self._schedule.upstream_results(name)
        done = record_of(
            task,
            self._prepared.survey,
            self._prepared.facts[name],
            execution.instruction.keys,
            attempt,
            above,
            origin,
            None,
        )
        assert done.unstable if self._disturbed == spec.name else (self._disturbed or not done.unstable)
        if spec.cache and not done.unstable:
            self._checkout.records.publish(done.record)
            place = self._checkout.layout.record(done.record.own_key, done.record.key)
            self._checkout.cached[execution.effect.footprint] = place
            for path, text in execution.effect.files.items() if spec.store else ():
                self._checkout.made.setdefault((path, text), set()).add(place)
        drop(execution.aside)
        self._report.statuses[name] = "ran"
        self._note(name, done.record)
        self._happen(Finished(task=name, result=result_of(done.record, task.parameters)))
