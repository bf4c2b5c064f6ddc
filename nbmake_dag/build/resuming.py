"""Notebooks that go on from snapshots while `nbdag watch` builds again and again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from nbmake_dag.build.prepare import Prepared
from nbmake_dag.core.facts import Result
from nbmake_dag.core.lookup import Identity, read_digest, read_name
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.resume import Basis, Taken, basis, choose, fits
from nbmake_dag.execute.protocol import (
    AttemptSpec,
    Ended,
    Event,
    NotebookWork,
    Resume,
    Snapshotted,
    Unresumable,
)
from nbmake_dag.execute.snapshots import Snapshots

LEAST_S = 0.2
"""How much cells must have taken for a snapshot after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An attempt that takes snapshots, and what it rests on."""

    prepared: Prepared
    basis: Basis
    results: Mapping[TaskName, Result]


class Resuming:
    """Says of attempts whether they begin at a snapshot, and holds the snapshots that they take.

    ``resumes`` is unset for a build whose tasks are all to run from the start.
    """

    def __init__(self) -> None:
        self.resumes = True
        self.snapshots = Snapshots()
        self._running: dict[TaskName, _Running] = {}
        self._used: dict[TaskName, str] = {}
        self._said: set[tuple[str, str]] = set()

    def prepare(
        self,
        spec: AttemptSpec,
        task: Task,
        prepared: Prepared,
        identity: Identity,
        results: Mapping[TaskName, Result],
    ) -> AttemptSpec:
        """Complete the order for an attempt at a notebook."""
        policy, work = task.policy, spec.work
        apart = policy.sandbox or not (policy.cache and policy.store)
        if not isinstance(work, NotebookWork) or not isinstance(task.work, Notebook) or apart:
            return spec
        if not self.snapshots.budget or sys.platform != "linux":
            return spec
        now = _basis(spec, work, identity)
        self._running[task.name] = _Running(prepared=prepared, basis=now, results=results)
        taken = self.snapshots.of(task.name)
        present = _present(taken, prepared, results)
        fitting = [each for each in taken if fits(each, now, present)]
        unusable = prepared.facts[task.name].unusable
        chosen = choose(fitting, now, present) if self.resumes and spec.attempt == 1 and not unusable else None
        self.snapshots.begin(task.name, fitting, chosen)
        if chosen is None:
            return replace(spec, snapshot_after=LEAST_S)
        self._used[task.name] = chosen.folder
        resume = Resume(folder=chosen.folder, cells=chosen.cells)
        return replace(spec, snapshot_after=LEAST_S, resume=resume)

    def heard(self, event: Event) -> str:
        """Take in what an executor tells; return what a person should know of it, or nothing."""
        match event:
            case Snapshotted():
                self._add(event)
            case Unresumable():
                return self._refused(event)
            case Ended(task=name, result=result):
                task = TaskName(name)
                if self._running.pop(task, None):
                    self._used.pop(task, None)
                    self.snapshots.end(task, frozenset(access.path for access in result.accesses))
            case _:
                pass
        return ""

    def clear(self) -> None:
        """Drop all snapshots."""
        self.snapshots.clear()

    def _add(self, event: Snapshotted) -> None:
        running = self._running[TaskName(event.task)]
        others = running.basis.others
        modules = [path for path in event.modules if ("module", path) not in others]
        digests = running.prepared.survey.again().module_digests(modules)
        reads = (read_name(read.task, read.kind, read.name) for read in event.reads)
        self.snapshots.add(
            TaskName(event.task),
            Taken(
                folder=event.folder,
                pid=event.pid,
                basis=running.basis,
                cells=event.cells,
                elapsed_s=event.elapsed_s,
                used={
                    **{("module", path): digest for path, digest in digests.items()},
                    **{("read", name): read_digest(name, running.results) for name in reads},
                },
                modules=frozenset(event.modules),
                opened=frozenset(event.opened),
            ),
        )

    def _refused(self, event: Unresumable) -> str:
        task = TaskName(event.task)
        if event.cell is None and task in self._used:
            self.snapshots.drop(self._used.pop(task))
        if (event.task, event.reason) in self._said:
            return ""
        self._said.add((event.task, event.reason))
        where = "" if event.cell is None else f" after cell {event.cell + 1}"
        return f"{event.task} cannot be resumed{where}: {event.reason}"


def _basis(spec: AttemptSpec, work: NotebookWork, identity: Identity) -> Basis:
    given = [spec.inputs if work.inject_inputs else None, spec.outputs if work.inject_outputs else None]
    injects = bool(spec.parameters) or work.inject_inputs or work.inject_outputs
    return basis(identity.ingredients, injects=injects, given=msgspec.json.encode(given).decode())


def _present(
    taken: list[Taken], prepared: Prepared, results: Mapping[TaskName, Result]
) -> dict[tuple[str, str], str]:
    """Return what is now of all that snapshots name as used."""
    names = {name for each in taken for name in each.used}
    modules = prepared.survey.module_digests(name for kind, name in names if kind == "module")
    return {
        (kind, name): modules[name] if kind == "module" else read_digest(name, results) for kind, name in names
    }
