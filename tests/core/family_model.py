"""A project in memory, whose families become known while it is built: expansion, plan and schedule alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nbmake_dag.config.pipeline_file import Found, expand, parse
from nbmake_dag.core.decide import Rules, UpToDate
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.ingredients import Observed, own_ingredients
from nbmake_dag.core.lookup import Made, TaskKeys
from nbmake_dag.core.model import Command, Input, Pipeline, ProjectPath, Task, TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.core.schedule import (
    Began,
    Cancel,
    Execute,
    Expand,
    Expanded,
    Failed,
    Finished,
    Instruction,
    Interrupted,
    LookUp,
    MarkUpToDate,
    Restore,
    Restored,
    Schedule,
    Skip,
    State,
    Stopped,
)
from nbmake_dag.engine.unknown_families import awaiting, steady_results
from nbmake_dag.errors import ConfigError
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.key import Ingredient, Key, key_of
from nbmake_dag_cache.record import Logged, Origin, Output, Record
from tests.core.builders import NO_SOFTWARE, made
from tests.core.validation import validate_schedule
from tests.support.family_pipelines import (
    NAMES,
    SOURCES,
    Files,
    Spec,
    evaluate,
    instances_of,
    means,
    pipeline_of,
    work,
)

COLLIDING = "clash"
"""A name that rows have twice where a list is not to be used."""


@dataclass
class Build:
    """How a build went."""

    schedule: Schedule
    graph: Graph
    known: Found
    ready: dict[TaskName, Instruction] = field(default_factory=dict[TaskName, Instruction])
    running: dict[TaskName, Instruction] = field(default_factory=dict[TaskName, Instruction])
    executed: list[TaskName] = field(default_factory=list[TaskName])
    refused: set[str] = field(default_factory=set[str])
    """Families that could not be expanded."""
    restored: list[TaskName] = field(default_factory=list[TaskName])
    told: set[TaskName] = field(default_factory=set[TaskName])

    @property
    def states(self) -> Mapping[TaskName, State]:
        return self.schedule.states

    def tell(self, name: TaskName) -> None:
        """Note an end that an instruction says; each task has one."""
        assert name not in self.told
        self.told.add(name)


class World:
    """Files, records and blobs of one project; each build is checked against both oracles.

    What everything comes to is computed from scratch, and nothing may be executed twice.
    """

    def __init__(self, choices: random.Random) -> None:
        self.choices = choices
        self.specs = pipeline_of(choices)
        self.user: Files = {}
        self.disk: Files = {}
        self.failing = ""
        self._file = parse("\n\n".join(spec.toml() for spec in self.specs).encode())
        self._makeable = self._file.makeable({})
        self._folders: set[str] = set()
        self._texts: dict[str, str] = {}
        self._records: dict[Key, dict[Key, Record]] = {}
        self._previous: dict[TaskName, Record] = {}
        self._done: set[tuple[object, ...]] = set()
        self._clock = 0
        for source in SOURCES:
            self.edit(source)

    # what happens to a project

    def edit(self, source: str) -> None:
        """Let names join, leave and change places; now and then one is there twice, which rows must not have."""
        names = self.choices.sample(NAMES, self.choices.randrange(len(NAMES) + 1))
        if self.choices.random() < 0.15:
            names += [COLLIDING, COLLIDING]
        self.user[source] = json.dumps({"names": names, "salt": self.choices.randrange(4)})

    def step(self) -> None:
        match self.choices.choice(("edit", "edit", "fail", "delete", "forget", "interrupt", "lose", "build")):
            case "edit":
                self.edit(self.choices.choice(SOURCES))
            case "fail":
                self.failing = self.choices.choice(self.specs).name
                self.build(keep_going=self.choices.random() < 0.5)
                self.failing = ""
            case "delete":
                if self.disk:
                    del self.disk[self.choices.choice(sorted(self.disk))]
            case "forget":
                self._previous.clear()
            case "interrupt":
                self.build(interrupted_after=self.choices.randrange(8))
            case "lose":
                # a record that is gone may be made again
                if self._records:
                    lost = self._records.pop(self.choices.choice(sorted(self._records)))
                    for record in lost.values():
                        self._done = {each for each in self._done if each[0] != record.task}
            case _:
                self.build()

    # one build

    def build(self, *, keep_going: bool = False, interrupted_after: int | None = None) -> Build:
        """Build, with tasks that end in any order; what was true of plan, schedule and files is checked."""
        known, pipeline = self._known_by_plan()
        graph = build_graph(pipeline)
        self._move_away(graph)
        facts = self._facts(graph)
        verdicts = plan(graph, facts, Rules())
        schedule = Schedule(graph, facts, Rules(), keep_going=keep_going)
        build = Build(schedule=schedule, graph=graph, known=known)
        self._follow(build, schedule.start())
        events = 0
        while not schedule.done:
            validate_schedule(schedule, build.graph)
            if events == interrupted_after:
                self._interrupt(build)
            elif build.ready and (not build.running or self.choices.random() < 0.5):
                name = self.choices.choice(list(build.ready))
                build.running[name] = build.ready.pop(name)
                schedule.handle(Began(task=name))
            else:
                name = self.choices.choice(list(build.running))
                self._follow(build, self._end(build.running.pop(name), schedule, build))
            events += 1
        for name, verdict in verdicts.items():
            assert not isinstance(verdict, UpToDate) or name not in build.executed, f"{name} was up to date"
        went_on = keep_going or not (self.failing or build.refused)
        self._check(build, whole=interrupted_after is None and went_on)
        return build

    def _follow(self, build: Build, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Execute(task=name):
                    build.ready[name] = instruction
                case Restore(task=name):
                    build.running[name] = instruction
                case Expand(task=name):
                    if name in build.graph.tasks:
                        self._expand(name, build)
                case MarkUpToDate(task=name, record=record):
                    self._previous[name] = record
                    build.tell(name)
                case Skip(task=name) | Cancel(task=name):
                    build.ready.pop(name, None)
                    build.tell(name)
                case LookUp():
                    raise AssertionError("there is no shared cache")

    def _interrupt(self, build: Build) -> None:
        self._follow(build, build.schedule.handle(Interrupted()))
        for name, each in list(build.running.items()):
            if isinstance(each, Execute):
                del build.running[name]
                self._follow(build, build.schedule.handle(Stopped(task=name)))

    def _expand(self, name: TaskName, build: Build) -> None:
        source = build.graph.tasks[name].source
        try:
            build.known, build.graph = self._learn(build.known, build.graph, build.schedule.results, source)
        except ConfigError:
            build.refused.add(build.graph.tasks[name].family)
            self._follow(build, build.schedule.handle(Failed(task=name)))
            return
        self._move_away(build.graph)
        facts = self._facts(build.graph)
        expanded = Expanded(task=name, graph=build.graph, facts=facts, rules=Rules())
        self._follow(build, build.schedule.handle(expanded))

    def _end(self, ending: Instruction, schedule: Schedule, build: Build) -> list[Instruction]:
        task = build.graph.tasks[ending.task]
        if isinstance(ending, Restore):
            for output in ending.record.outputs:
                self._put(output)
            self._previous[task.name] = ending.record
            build.restored.append(task.name)
            return schedule.handle(Restored(task=task.name))
        assert isinstance(ending, Execute)
        if task.family == self.failing:
            return schedule.handle(Failed(task=task.name))
        record = self._perform(task, ending.keys, build)
        return schedule.handle(Finished(task=task.name, result=result_of(record, task.parameters)))

    def _perform(self, task: Task, keys: TaskKeys, build: Build) -> Record:
        there = {**self.user, **self.disk}
        inputs = {
            path: there[path]
            for item in task.inputs
            for path in (sorted(there) if item.is_glob else (item.path,))
            if means(item.path, path)
        }
        assert isinstance(task.work, Command)
        declared = tuple(str(output.path) for output in task.outputs)
        done = task.name, task.work.arguments[0], tuple(inputs.items()), declared
        assert done not in self._done, f"{task.name} was executed with the same inputs before"
        self._done.add(done)
        build.executed.append(task.name)
        effect = work(task.work.arguments[0], inputs, declared)
        for path in [path for path in self.disk if path.startswith(declared)]:
            del self.disk[path]
        outputs: list[Output] = []
        for path in declared:
            if path.endswith("/"):
                outputs.append(made(path, {each[len(path) :]: text for each, text in effect.items()}))
            else:
                outputs.append(made(path, effect[path]))
        self._texts |= {digest_text(text): text for text in effect.values()}
        self._clock += 1
        origin = Origin(run_id="r", trace_id="0" * 32, span_id="0" * 16, started=self._clock, duration_s=1.0)
        left = Made(outputs=tuple(outputs), logged=Logged(), cells=None, injected=None)
        record = keys.record(task, (), left, origin, source=None)
        self._records.setdefault(record.own_key, {})[record.key] = record
        self._previous[task.name] = record
        for output in outputs:
            self._put(output)
        return record

    def _put(self, output: Output) -> None:
        for path in [path for path in self.disk if path.startswith(output.path) and output.path.endswith("/")]:
            del self.disk[path]
        self._folders |= {output.path} if output.path.endswith("/") else set()
        self.disk |= {file.path: self._texts[file.xxh3] for file in output.files}

    # what is observed

    def _facts(self, graph: Graph) -> dict[TaskName, Facts]:
        return {name: self._facts_of(graph, graph.tasks[name]) for name in graph.order}

    def _facts_of(self, graph: Graph, task: Task) -> Facts:
        if task.is_unknown:
            return Facts(own=(), own_key=key_of(()))
        inputs = {item: tuple(self._external(graph, item)) for item in graph.external[task.name]}
        own: tuple[Ingredient, ...] = own_ingredients(task, Observed(inputs=inputs), NO_SOFTWARE, "")
        own_key = key_of(own)
        found = sorted(self._records.get(own_key, {}).values(), key=lambda record: -record.origin.started)
        present = {output.path: self._digest(output.path) for output in task.outputs}
        return Facts(
            own=own,
            own_key=own_key,
            records=tuple(found),
            present={path: digest for path, digest in present.items() if digest is not None},
            previous=self._previous.get(task.name),
        )

    def _external(self, graph: Graph, item: Input) -> Iterable[tuple[ProjectPath, Digest]]:
        for path, text in sorted({**self.user, **self.disk}.items()):
            if means(item.path, path) and graph.owner_of(path) is None:
                yield ProjectPath(path), digest_text(text)

    def _digest(self, path: ProjectPath) -> Digest | None:
        if not path.endswith("/"):
            return digest_text(self.disk[path]) if path in self.disk else None
        files = {each[len(path) :]: text for each, text in self.disk.items() if each.startswith(path)}
        return Digest(made(path, dict(sorted(files.items()))).digest) if path in self._folders else None

    def _move_away(self, graph: Graph) -> None:
        """Remove what tasks made and no task makes any more."""
        for path in [path for path in self.disk if graph.owner_of(path) is None]:
            del self.disk[path]
        self._folders &= set(graph.owners)

    # families

    def _pipeline(self, known: Found) -> Pipeline:
        return expand(
            self._file,
            {},
            {},
            Found(
                rows=known.rows, files=known.files, awaited=self._makeable - known.rows.keys() - known.files.keys()
            ),
        )

    def _known_by_plan(self) -> tuple[Found, Pipeline]:
        """Expand what can be known before anything runs: where all that it comes from is up to date."""
        known, late = Found(), set[str]()
        pipeline = self._pipeline(known)
        while waiting := awaiting(graph := build_graph(pipeline), late):
            facts = self._facts(graph)
            results = steady_results(graph, plan(graph, facts, Rules()))
            ready = [source for source, makers in waiting.items() if makers <= results.keys()]
            if not ready:
                break
            for source in ready:
                try:
                    known, _ = self._learn(known, graph, results, source, once=True)
                except ConfigError:
                    late.add(source.path)
            pipeline = self._pipeline(known)
        return known, pipeline

    def _learn(
        self,
        known: Found,
        graph: Graph,
        results: Mapping[TaskName, Result],
        wanted: Input | None,
        *,
        once: bool = False,
    ) -> tuple[Found, Graph]:
        """Add what can be known of what instances come from; raises `ConfigError` if that is of no use."""
        assert wanted is not None
        late = set[str]()
        sources = {wanted: awaiting(graph)[wanted]} if not once else {wanted: frozenset[TaskName]()}
        while sources:
            for source in sources:
                more = self._found(known, graph, results, source)
                try:
                    found = build_graph(self._pipeline(more))
                except ConfigError:
                    if source == wanted:
                        raise
                    late.add(source.path)
                    continue
                known, graph = more, found
            if once:
                break
            sources = {each: makers for each, makers in awaiting(graph, late).items() if makers <= results.keys()}
        return known, graph

    def _found(self, known: Found, graph: Graph, results: Mapping[TaskName, Result], source: Input) -> Found:
        makers = graph.source_makers[source]
        if not source.is_glob:
            ((maker, declared),) = makers
            text = self._texts[results[maker].outputs[declared].files[0].xxh3]
            return Found(rows={**known.rows, source.path: text.encode()}, files=known.files)
        paths: list[str] = []
        for maker, declared in makers:
            inside = results[maker].outputs[declared].files if declared.endswith("/") else ()
            paths += [file.path for file in inside] if declared.endswith("/") else [declared]
        found = tuple(sorted(ProjectPath(path) for path in paths if matches(source.path, path)))
        return Found(rows=known.rows, files={**known.files, source.path: found})

    # what must be true after a build

    def _check(self, build: Build, *, whole: bool) -> None:
        sound = self._sound()
        expected = evaluate(sound, self.user)
        bad = {spec.name for spec in self.specs} - {spec.name for spec in sound}
        for name, state in build.states.items():
            family = build.graph.tasks[name].family
            assert state is not State.RAN or family not in bad
            if whole and family not in bad and not self._below(family, self.failing):
                assert state in {State.UP_TO_DATE, State.RESTORED, State.RAN}, f"{name} {state}"
        if whole and not self.failing:
            made_by_sound = {path: text for path, text in self.disk.items() if path in expected}
            assert made_by_sound == {path: text for path, text in expected.items() if path not in self.user}
            for spec in sound:
                values = list(instances_of(spec, expected))
                there = [name for name, task in build.graph.tasks.items() if task.family == spec.name]
                assert len(there) == len(values), f"{spec.name}: {there}, {values}"
        if not bad and whole and not self.failing:
            assert self.disk == {path: text for path, text in expected.items() if path not in self.user}
            assert not build.refused

    def _sound(self) -> list[Spec]:
        """Return the tasks that need nothing which cannot be expanded."""
        bad = {f"mid{number}" for number, source in enumerate(SOURCES) if self._clashes(number, source)}
        return [spec for spec in self.specs if not any(self._below(spec.name, name) for name in bad)]

    def _clashes(self, number: int, source: str) -> bool:
        is_list = any(spec.name == f"make{number}" and spec.what == "list" for spec in self.specs)
        return is_list and COLLIDING in json.loads(self.user[source])["names"]

    def _below(self, name: str, other: str) -> bool:
        """Return whether a family is another one, or needs it: of one half of the pipeline, in its order."""
        order = [spec.name for spec in self.specs]
        return bool(other) and name[-1] == other[-1] and order.index(name) >= order.index(other)
