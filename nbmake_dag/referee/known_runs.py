"""What the runs of a project say of commits: its own runs and the pulled ones, as far as a commit decides them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress

import msgspec

from nbmake_dag.core.bisection import Revision
from nbmake_dag.core.model import Pipeline, TaskName
from nbmake_dag.engine.prepare import load
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.observe.project import Project
from nbmake_dag.runs.find import pulled_runs, reach
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.run import Run, RunHead
from nbmake_dag_reporting.runs import RunNotFoundError, read_head, read_run, run_names


class KnownRuns(msgspec.Struct):
    """The runs of a project, each read when it is needed."""

    project: Project

    def newest_first(self) -> Iterator[Recorded]:
        """Yield all runs: the project's own, then the pulled ones."""
        for name in run_names(self.project.runs):
            if (recorded := self._read(os.path.join(self.project.runs, name))) is not None:
                yield recorded
        yield from pulled_runs(self.project)

    def of_commits(self, commits: Collection[Revision]) -> dict[Revision, list[Recorded]]:
        """Return the runs of some commits, the newest first."""
        found: dict[Revision, list[Recorded]] = {}
        for name in run_names(self.project.runs):
            directory = os.path.join(self.project.runs, name)
            head = read_head(directory)
            commit = self._commit_of(head) if head else None
            if commit in commits and commit and (recorded := self._read(directory)) is not None:
                found.setdefault(commit, []).append(recorded)
        for recorded in pulled_runs(self.project):
            commit = self._commit_of(recorded.run)
            if commit in commits and commit:
                found.setdefault(commit, []).append(recorded)
        return found

    def _read(self, directory: str) -> Recorded | None:
        record, blob = reach(self.project)
        with suppress(RunNotFoundError):
            return Recorded(run=read_run(directory, record), blob=blob, record=record)
        return None

    def _commit_of(self, head: RunHead) -> Revision | None:
        """Return the commit that decides a run; none if files or parameters of nobody's commit did.

        What CI checked out is as the commit has it; elsewhere nobody looked where nothing was executed.
        """
        is_clean = head.vcs.dirty is False or (head.vcs.dirty is None and head.ci is not None)
        is_usual = not head.parameters and head.profiles == self.project.profiles
        commit = head.vcs.merge_revision or head.vcs.head_revision
        return Revision(commit) if commit and is_clean and is_usual else None


def seconds_of(recorded: Recorded, tasks: Collection[str]) -> float:
    """Return how long tasks of a run take with all above them, as far as their records say."""
    return sum(_took(recorded, name) for name in with_above(recorded.run, tasks))


def _took(recorded: Recorded, name: str) -> float:
    ref = recorded.run.tasks[name].record
    record = recorded.record(ref.own_key, ref.key) if ref else None
    return float(record["origin"]["duration_s"]) if record else 0.0


def with_above(run: Run, tasks: Collection[str]) -> list[TaskName]:
    """Return tasks of a run and all that are above them, in its order."""
    wanted, left = set[str](), list(tasks)
    while left:
        name = left.pop()
        if name in run.tasks and name not in wanted:
            wanted.add(name)
            left += run.tasks[name].upstreams
    return [TaskName(name) for name in run.tasks if name in wanted]


def pipeline_of(project: Project) -> Pipeline:
    """Read the pipeline as it is now: it names the variables that tasks may see."""
    stores = Stores.open(project)
    try:
        return load(project, Request(), stores, by_last=True)[0]
    finally:
        stores.close()
