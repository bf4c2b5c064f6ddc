"""Resume notebooks from snapshots in repeated builds of `nbdag watch`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.facts import Facts, Result
from nbmake_dag.core.lookup import TaskKeys, read_digest, read_name
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.resume import Basis, Taken, basis, choose, fits
from nbmake_dag.execute.notebook.snapshots import Snapshots
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Ended,
    Event,
    NotebookWork,
    Resume,
    Snapshotted,
    Unresumable,
)
from nbmake_dag.observe.survey import Survey
from nbmake_dag_cache.digest import Digest

_MEMORY = "memory"
LEAST_S = 0.2
"""The time that cells must have taken for a snapshot after them."""


class _Running(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that takes snapshots, and what it depends on."""

    survey: Survey
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
        self._used: dict[TaskName, Taken] = {}
        self._failed: dict[TaskName, Taken] = {}
        self._misleading: set[tuple[TaskName, tuple[Digest, ...]]] = set()
        """Cells after which a task failed when it was resumed there, and did not when it ran from the start."""
        self._said: set[tuple[str, str]] = set()

    def prepare(
        self,
        spec: AttemptSpec,
        task: Task,
        survey: Survey,
        facts: Facts,
        keys: TaskKeys,
        results: Mapping[TaskName, Result],
    ) -> AttemptSpec:
        """Complete the order for an attempt at a notebook."""
        policy, work = task.policy, spec.work
        apart = policy.sandbox or not (policy.cache and policy.store)
        if not isinstance(work, NotebookWork) or not isinstance(task.work, Notebook) or apart:
            return spec
        if not self.snapshots.budget or sys.platform != "linux":
            return spec
        now = _basis(spec, work, keys)
        self._running[task.name] = _Running(survey=survey, basis=now, results=results)
        taken = self.snapshots.of(task.name)
        present = _present(taken, survey, results)
        fitting = [each for each in taken if fits(each, now, present)]
        unusable = facts.unusable
        trusted = [each for each in fitting if (task.name, each.executed) not in self._misleading]
        chosen = choose(trusted, now, present) if self.resumes and spec.attempt == 1 and not unusable else None
        self.snapshots.begin(task.name, fitting, chosen)
        if chosen is None:
            return replace(spec, snapshot_after=LEAST_S)
        self._used[task.name] = chosen
        resume = Resume(folder=chosen.folder, cells=chosen.cells)
        return replace(spec, snapshot_after=LEAST_S, resume=resume)

    def heard(self, event: Event) -> str:
        """Handle an event of an executor; return a notice for the user, or nothing."""
        match event:
            case Snapshotted():
                return self._say_dropped(self._add(event))
            case Unresumable():
                return self._refused(event)
            case Ended(task=name, result=result):
                task = TaskName(name)
                if self._running.pop(task, None):
                    self._judge(task, result)
                    opened = frozenset(access.path for access in result.accesses)
                    return self._say_dropped(self.snapshots.end(task, opened))
            case _:
                pass
        return ""

    def clear(self) -> None:
        """Drop all snapshots."""
        self.snapshots.clear()

    def _add(self, event: Snapshotted) -> frozenset[TaskName]:
        running = self._running[TaskName(event.task)]
        others = running.basis.others
        modules = [path for path in event.modules if ("module", path, "") not in others]
        digests = running.survey.again().module_digests(modules)
        reads = (read_name(read.task, read.kind, read.name) for read in event.reads)
        return self.snapshots.add(
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

    def _judge(self, task: TaskName, result: AttemptResult) -> None:
        """Distrust a snapshot from which a task failed, if its next attempt succeeds from the start."""
        used, failed = self._used.pop(task, None), self._failed.pop(task, None)
        if used is not None and result.outcome == "failed":
            self._failed[task] = used
        elif failed is not None and result.outcome == "succeeded" and not result.resumed:
            self._misleading.add((task, failed.executed))

    def _say_dropped(self, tasks: frozenset[TaskName]) -> str:
        """Warn once for each task that memory is too short to resume it as late as possible."""
        new = sorted(task for task in tasks if (task, _MEMORY) not in self._said)
        self._said.update((task, _MEMORY) for task in new)
        if not new:
            return ""
        allowed = f"{self.snapshots.budget / 1e6:,.0f} MB"
        return (
            f"{', '.join(new)}: a snapshot was dropped, because all of them take more memory than "
            f"`[kernel] snapshots` allows, which is {allowed}; after an edit more cells run again"
        )

    def _refused(self, event: Unresumable) -> str:
        task = TaskName(event.task)
        if event.cell is None and task in self._used:
            self.snapshots.drop(self._used.pop(task).folder)
        if (event.task, event.reason) in self._said:
            return ""
        self._said.add((event.task, event.reason))
        where = "" if event.cell is None else f" after {event.cell}"
        return f"{event.task} cannot be resumed{where}: {event.reason}"


def _basis(spec: AttemptSpec, work: NotebookWork, keys: TaskKeys) -> Basis:
    given = [spec.inputs if work.inject_inputs else None, spec.outputs if work.inject_outputs else None]
    injects = bool(spec.parameters) or work.inject_inputs or work.inject_outputs
    return basis(keys.ingredients, injects=injects, given=msgspec.json.encode(given).decode())


def _present(taken: list[Taken], survey: Survey, results: Mapping[TaskName, Result]) -> dict[tuple[str, str], str]:
    """Return what is now of all that snapshots name as used."""
    names = {name for each in taken for name in each.used}
    modules = survey.module_digests(name for kind, name in names if kind == "module")
    return {
        (kind, name): modules[name] if kind == "module" else read_digest(name, results) for kind, name in names
    }


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """``outdated`` is asked again and again for tasks that have become pointless: they stop, or do not begin.

    With ``resuming`` notebooks leave snapshots, and go on from them.
    """

    outdated: Callable[[], frozenset[TaskName]] = frozenset
    resuming: Resuming | None = None
