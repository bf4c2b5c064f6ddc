"""The process of one trial: ``python -m nbmake_dag.referee.child FOLDER`` builds in a copy that is ready.

A process of its own has the environment that its tasks are to see, and any number of them run at once. It ends,
and all below it, when the process that started it is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.reasons import changes, describe
from nbmake_dag.core.trial import Trial
from nbmake_dag.core.vocabulary import TrialKind
from nbmake_dag.engine.build import build
from nbmake_dag.engine.prepare import Prepared, load, prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.ends import what_failed
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import NbdagError, shown
from nbmake_dag.execute.executors import ONE_AT_A_TIME
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import replace_file
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.run_events import RunEvent, TaskEnded
from nbmake_dag.referee.order import TriedStatus
from nbmake_dag_cache.key import Ingredient, Key
from nbmake_dag_cache.record import Record

ORDER = "order.json"
ANSWER = "answer.json"

_OF_MACHINE = frozenset(
    {"format", "epoch", "kernel", "package", "lockfile", "variable", "secret", "named", "origin"}
)
"""Kinds of ingredients that are what the machine has, or that follow from others: they may differ."""


class ChildOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a child executes; the copy, and the records of what is given, are in place."""

    config: str
    root: str
    repository: str
    workspace: str
    store: str
    kind: TrialKind
    tasks: tuple[str, ...]
    given: dict[str, tuple[Key, Key]] = {}
    """Own key and key of the record of each task that is not executed."""
    alone: bool = False
    parameters: dict[str, dict[str, Any]] = {}
    overrides: dict[str, Any] = {}
    profiles: tuple[str, ...] = ()
    reuse: bool = True
    sandboxed: bool = True
    variables: dict[str, str] = {}
    commit: str = ""
    same: dict[str, tuple[Ingredient, ...]] = {}
    notes: str = ""


class ChildTask(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one task."""

    status: TriedStatus
    record: Record | None = None
    failure: str = ""
    other: tuple[str, ...] = ()
    duration_s: float = 0.0


class ChildAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an order."""

    run_id: str = ""
    problem: str = ""
    tasks: dict[str, ChildTask] = {}


def main(folder: str) -> None:
    """Carry out the order in a folder, and write the answer there."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with open(os.path.join(folder, ORDER), "rb") as file:
        order = msgspec.json.decode(file.read(), type=ChildOrder)
    try:
        answer = _carry_out(order)
    except NbdagError as error:
        answer = ChildAnswer(problem=shown(error))
    replace_file(os.path.join(folder, ANSWER), msgspec.json.encode(answer))


def _end_with_parent() -> None:
    """Wait until the parent's end of the standard input closes, then end as by Ctrl-C: kernels are told too."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _carry_out(order: ChildOrder) -> ChildAnswer:
    project = Project(
        config=order.config,
        root=order.root,
        repository=order.repository,
        workspace=order.workspace,
        store=order.store,
        profiles=order.profiles,
    )
    request = Request(
        targets=order.tasks,
        overrides=order.overrides,
        only=order.alone,
        keep_going=True,
        executor=ONE_AT_A_TIME,
        cache="read-write" if order.reuse else "write",
        trial=Trial(
            kind=order.kind,
            sandboxed=order.sandboxed,
            parameters={TaskName(name): values for name, values in order.parameters.items()},
            variables=order.variables,
            commit=order.commit,
        ),
    )
    made = _note_given(project, order.given)
    others = _ready(project, request, order, made)
    tasks = tuple(name for name in order.tasks if name not in others)
    if not tasks:
        return ChildAnswer(tasks=others)
    end = _Ends(notes=order.notes)
    outcome = build(project, replace(request, targets=tasks), (end,), waiting=_ignore)
    return ChildAnswer(run_id=outcome.run_id, problem=outcome.error or "", tasks={**others, **end.found})


def _note_given(project: Project, given: Mapping[str, tuple[Key, Key]]) -> frozenset[str]:
    """Note the results of tasks that are not executed, as the last ones here; return their outputs."""
    stores = Stores.open(project)
    outputs: set[str] = set()
    try:
        for name, (own_key, key) in given.items():
            record = stores.records.get(own_key, key)
            if record is not None:
                stores.previous.note(TaskName(name), record)
                outputs.update(output.path for output in record.outputs)
    finally:
        stores.close()
    return frozenset(outputs)


def _ready(project: Project, request: Request, order: ChildOrder, made: Collection[str]) -> dict[str, ChildTask]:
    """Remove the outputs of what will be executed; return the tasks that are not what they must be.

    ``made`` are outputs of tasks that are given: where these are not executed, they count as files of nobody.
    """
    stores = Stores.open(project)
    try:
        pipeline, _, _ = load(project, replace(request, targets=()), stores)
        unknown = [name for name in order.same if name not in pipeline.tasks]
        others = {name: _other("there is no such task") for name in unknown}
        known = tuple(name for name in request.targets if name not in others)
        if not known:
            return others
        prepared = prepare(project, replace(request, targets=known), stores)
        for name in known:
            if name in order.same and (found := tuple(_changed(prepared, TaskName(name), order, made))):
                others[name] = _other(*found)
    finally:
        stores.close()
    for name, task in prepared.graph.tasks.items():
        for output in task.outputs if name not in others else ():
            _remove(project.absolute(output.path).rstrip("/"))
    return others


def _other(*what: str) -> ChildTask:
    return ChildTask(status="other", other=what)


def _changed(prepared: Prepared, name: TaskName, order: ChildOrder, made: Collection[str]) -> Iterator[str]:
    """Yield what of a task is not what it must be, of all that can be known before it runs."""
    task, survey = prepared.graph.tasks[name], prepared.survey

    def is_compared(item: Ingredient) -> bool:
        if item.kind == "input" and any(_is_of(item.path, output) for output in made):
            return False
        return counts(item) and not (item.kind == "env" and item.name in order.variables)

    before = [*filter(is_compared, order.same[name])]
    own = [*filter(is_compared, prepared.facts[name].own)]
    learned = [item for item in before if item.stage == "trace" and item.kind == "module"]
    digests = survey.module_digests(item.name for item in learned)
    now = [Ingredient("module", item.name, digests.get(item.name, ABSENT), "trace") for item in learned]
    cells = survey.cells(task)
    for change in changes((item for item in before if item.stage == "own"), own):
        yield describe(change, task, cells)
    for change in changes(learned, now):
        yield describe(change, task, cells)


def _is_of(path: str, output: str) -> bool:
    return path.startswith(output) if output.endswith("/") else path == output


def counts(item: Ingredient) -> bool:
    """Return whether an ingredient is of a task and not of the machine; a copy has only some of the folders."""
    return item.kind not in _OF_MACHINE and not (item.kind == "module" and item.name.endswith("/"))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


class _Ends(msgspec.Struct):
    """A listener that notes how tasks ended, those that ran also in a file."""

    notes: str = ""
    found: dict[str, ChildTask] = {}

    def notify(self, event: RunEvent) -> None:
        if isinstance(event, TaskEnded):
            name, task = event.outcome.task, _task_of(event.outcome)
            self.found[name] = task
            if self.notes and task.status == "ran":
                with open(self.notes, "ab") as file:
                    file.write(msgspec.json.encode((name, task)) + b"\n")


def _task_of(outcome: TaskOutcome) -> ChildTask:
    failure = ""
    if outcome.status == "failed":
        failure = what_failed(outcome.attempts[-1]) if outcome.attempts else "; ".join(outcome.reasons)
    elif outcome.status == "skipped":
        failure = f"task `{outcome.because}` failed"
    return ChildTask(status=outcome.status, record=outcome.record, failure=failure, duration_s=outcome.duration_s)


def _ignore(_message: str) -> None:
    """No other process uses the copy's lock."""


if __name__ == "__main__":
    main(sys.argv[1])
