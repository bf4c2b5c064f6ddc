"""Replay: execute the tasks of a run again, with the inputs that the run had, and judge what they make.

No result of a replayed task is read. A task whose code, parameters or inputs are not stored as they were is not
executed: what it would make says nothing about the run.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import assert_never, cast

import msgspec

from nbmake_dag.core.bisection import Revision
from nbmake_dag.core.model import Pipeline, ProjectPath, TaskName, Value
from nbmake_dag.core.reasons import changes
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.core.targets import is_instance
from nbmake_dag.engine.results.executed_notebook import counted_cells
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.git import ask_git
from nbmake_dag.observe.history import GitHistory
from nbmake_dag.observe.project import Project
from nbmake_dag.referee.child import counts
from nbmake_dag.referee.contents import Contents
from nbmake_dag.referee.environment import passed_to
from nbmake_dag.referee.judgement import Judged, Rules, judged
from nbmake_dag.referee.order import Base, Blob, Commit, Content, Order, Tried, Workspace
from nbmake_dag.referee.trial import Trials
from nbmake_dag.referee.unfinished import Notes, unfinished
from nbmake_dag_cache.key import Ingredient, Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.run import TaskRun

_SOFTWARE = {"kernel", "package", "lockfile", "variable"}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay is asked for."""

    targets: tuple[str, ...] = ()
    from_scratch: bool = False
    """Whether tasks get replayed inputs in place of the recorded ones."""
    trust: bool = False
    """Whether code of commits may be executed that no local branch reaches."""
    secrets: bool = False
    """Whether tasks get the secrets that they declare."""


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one task: its result and how that compares, or why there is none."""

    record: Record | None = None
    judged: Judged | None = None
    why: str = ""
    notes: tuple[str, ...] = ()
    duration_s: float = 0.0


class Replay(msgspec.Struct, kw_only=True):
    """A run that can be replayed: its tasks, and what is there of what they had."""

    project: Project
    recorded: Recorded
    pipeline: Pipeline
    trials: Trials
    wish: Wish
    names: tuple[TaskName, ...]
    """The tasks to execute again, in the order of the pipeline."""
    records: Mapping[TaskName, Record]
    """The results of all tasks of the run that are still recorded."""
    commits: tuple[str, ...]
    """Those whose code it may execute."""
    untrusted: tuple[str, ...]
    refused: Mapping[TaskName, str]
    """Why tasks cannot be executed again."""
    files: Mapping[TaskName, Mapping[ProjectPath, Content]]
    """What each task read, where it is there."""
    missing: Mapping[TaskName, tuple[ProjectPath, ...]]
    """What it read of what other tasks made, where that is nowhere."""
    run_ids: list[str] = []
    """The runs of its trials."""
    notes: Notes = msgspec.field(default_factory=Notes)
    """What an interrupted replay like this one has executed."""

    @property
    def ready(self) -> tuple[TaskName, ...]:
        """The tasks that can be tried."""
        return tuple(name for name in self.names if name not in self.refused)

    @property
    def expected_s(self) -> float:
        """How long these took when they were recorded."""
        return sum(self.records[name].origin.duration_s for name in self.ready)

    @contextmanager
    def going_on(self, *more: object) -> Generator[bool]:
        """Go on where the same replay, with ``more`` that it is asked, was interrupted; yields whether it was."""
        question = (self.recorded.run.id, self.wish, self.names, self.commits, more)
        with unfinished(os.path.join(self.project.trials, "unfinished"), question) as self.notes:
            yield self.notes.are_there

    def once(
        self, names: Collection[TaskName], variables: Mapping[str, str] | None = None
    ) -> dict[TaskName, Again]:
        """Execute tasks again, and judge each."""
        found: dict[TaskName, Again] = {}
        left = [name for name in self.names if name in names]
        others: dict[TaskName, str] = {}
        bases: list[Base] = [Workspace(), *map(Commit, self.commits)]
        for base in bases:
            if not left:
                break
            tried = self._try(left, base, variables or {})
            found |= self._judge(left, base, tried, others, variables or {})
            left = [name for name in left if name not in found]
        for name in left:
            found[name] = Again(why=self._why_other(others.get(name, "")))
        return found

    def _try(self, names: Collection[TaskName], base: Base, variables: Mapping[str, str]) -> Tried:
        files = {path: content for name in names for path, content in self.files[name].items()}
        tried = self.trials.run(
            Order(
                kind="replay",
                tasks=tuple(names),
                base=base,
                files=files,
                given=self.records,
                alone=True,
                overrides=cast("dict[str, Value]", dict(self.recorded.run.parameters)),
                profiles=self.recorded.run.profiles,
                reuse=False,
                passed=passed_to(self.pipeline, secrets=self.wish.secrets),
                variables=variables,
                notes=self.notes.of_next_trial(),
                same={name: self.records[name].ingredients for name in names},
            )
        )
        if tried.run_id:
            self.run_ids.append(tried.run_id)
        return tried

    def _judge(
        self,
        names: Collection[TaskName],
        base: Base,
        tried: Tried,
        others: dict[TaskName, str],
        variables: Mapping[str, str],
    ) -> dict[TaskName, Again]:
        """Judge what was executed; a task that had other inputs than the recorded ones is executed once more."""
        found: dict[TaskName, Again] = {}
        for name in names:
            task = tried.tasks.get(name)
            if task is None:
                others[name] = tried.problem or "it was not executed"
                continue
            match task.status:
                case "other":
                    others[name] = "; ".join(task.other)
                case "ran" | "restored" | "up_to_date":
                    if task.record is None:
                        found[name] = Again(why="it left no record", duration_s=task.duration_s)
                    elif self.wish.from_scratch or not _was_given_others(self.records[name], task.record):
                        found[name] = self._compared(name, task.record, task.duration_s)
                    else:
                        found[name] = self._alone(name, names, base, variables)
                case "failed":
                    found[name] = Again(why=f"it fails: {task.failure}", duration_s=task.duration_s)
                case "skipped" if not self.wish.from_scratch:
                    found[name] = self._alone(name, names, base, variables)
                case "skipped" | "cancelled":
                    found[name] = Again(why=task.failure or tried.problem or "it was cancelled")
                case _:
                    assert_never(task.status)
        return found

    def _alone(
        self, name: TaskName, among: Collection[TaskName], base: Base, variables: Mapping[str, str]
    ) -> Again:
        """Execute a task on what was recorded of those above it, which made something else, or nothing, again."""
        if self.missing[name]:
            return Again(why=f"{self.missing[name][0]} is not stored, and was not made again as it was")
        if len(among) == 1:
            return Again(why="it read other values than the recorded ones")
        tried = self._try([name], base, variables)
        return self._judge([name], base, tried, {}, variables).get(name, Again(why=tried.problem))

    def _compared(self, name: TaskName, after: Record, duration_s: float) -> Again:
        before = self.records[name]
        path = self.recorded.run.tasks[name].path or ""
        task = self.pipeline.tasks.get(name)
        rules = Rules(
            outputs={output.path: output.rule for output in task.outputs} if task else {},
            metrics=self.pipeline.report.metrics,
            cells=counted_cells(self.recorded, name),
            notebook=path,
        )
        found = judged(before, after, rules, self.trials.read)
        return Again(record=after, judged=found, notes=tuple(_notes(before, after)), duration_s=duration_s)

    def _why_other(self, other: str) -> str:
        if self.untrusted:
            return f"its code is in commit {self.untrusted[0][:12]}, which no local branch reaches (--trust)"
        return f"it is not stored as it was: {other}" if other else "its code is not stored"


def prepare_replay(project: Project, recorded: Recorded, pipeline: Pipeline, wish: Wish) -> Replay:
    """Choose the tasks of a run, and find what they had; raises `UsageError` for a target that is not there."""
    run = recorded.run
    names = tuple(TaskName(name) for name in chosen(run.tasks, wish.targets))
    store = RecordStore(project.cache)
    records = {
        TaskName(name): record
        for name, task in run.tasks.items()
        if task.record and (record := store.get(Key(task.record.own_key), Key(task.record.key)))
    }
    commits = [
        commit
        for commit in dict.fromkeys(
            [*(record.origin.commit for record in records.values()), run.vcs.head_revision]
        )
        if commit and ask_git(project.repository, "cat-file", "-e", f"{commit}^{{commit}}") is not None
    ]
    history = GitHistory(repository=project.repository)
    trusted = tuple(commit for commit in commits if wish.trust or history.is_on_a_branch(Revision(commit)))
    contents = Contents(project, records.values(), trusted)
    refused: dict[TaskName, str] = {}
    files: dict[TaskName, dict[ProjectPath, Content]] = {}
    missing: dict[TaskName, tuple[ProjectPath, ...]] = {}
    for name in names:
        if why := _refusal(run.tasks[name], records.get(name), pipeline, wish):
            refused[name] = why
            continue
        record = records[name]
        found = list(contents.inputs_of(record))
        files[name] = {path: content for path, content, _ in found if content is not None}
        if record.source is not None and run.tasks[name].path and _is_trusted(record, trusted, wish):
            files[name][ProjectPath(run.tasks[name].path or "")] = Blob(record.source)
        missing[name] = tuple(path for path, content, made in found if content is None and made)
        if gone := [path for path, content, made in found if content is None and not made]:
            refused[name] = f"{gone[0]} is not stored as it was"
    return Replay(
        project=project,
        recorded=recorded,
        pipeline=pipeline,
        trials=Trials(project),
        wish=wish,
        names=names,
        records=records,
        commits=trusted,
        untrusted=tuple(commit for commit in commits if commit not in trusted),
        refused=refused,
        files=files,
        missing=missing,
    )


def chosen(tasks: Mapping[str, TaskRun], targets: Iterable[str]) -> list[str]:
    """Return the tasks of a run that targets mean, all without one; raises `UsageError` for one that means none.

    A target is a task, a family, a pattern over names, or the path of an output or of a notebook.
    """
    targets = tuple(targets)
    wanted: set[str] = set() if targets else set(tasks)
    for target in targets:
        found = {target} & tasks.keys() or {
            name
            for name, task in tasks.items()
            if task.family == target
            or is_instance(name, target)
            or fnmatchcase(name, target)
            or target in {task.path, *task.outputs}
        }
        if not found:
            raise UsageError(f"the run has no task or output `{target}`", (), did_you_mean(target, tuple(tasks)))
        wanted |= found
    return [name for name in tasks if name in wanted]


def _refusal(task: TaskRun, record: Record | None, pipeline: Pipeline, wish: Wish) -> str:
    """Return why a task cannot be executed again, whatever is stored; nothing if it can."""
    if task.status in {"failed", "skipped", "cancelled"}:
        return f"it has no result in that run: it is `{task.status}`"
    if task.draft:
        return "its result is a draft, which went on from a snapshot: `nbdag build` confirms it"
    if record is None:
        return "its record is no longer in the cache, or it keeps none"
    declared = pipeline.tasks.get(TaskName(task.name))
    if declared is not None and declared.secrets and not wish.secrets:
        return f"it needs {declared.secrets[0]}, and secrets are passed only with --secrets"
    if record.accepted:
        return "its result was accepted, and made by no execution"
    return ""


def _is_trusted(record: Record, commits: Collection[str], wish: Wish) -> bool:
    """Return whether the code of a result may be executed: no commit's is that of whoever executed it here."""
    return wish.trust or not record.origin.commit or record.origin.commit in commits


def _was_given_others(before: Record, after: Record) -> bool:
    """Return whether a task read something else of tasks above it than was recorded."""
    old = {item.which: item.value for item in before.ingredients if _is_from_above(item)}
    new = {item.which: item.value for item in after.ingredients}
    more = {item.which for item in after.ingredients if item.stage == "upstream"} - old.keys()
    # a folder that no task of the trial makes is named by its files
    return bool(more) or any(new.get(which, value) != value for which, value in old.items())


def _is_from_above(item: Ingredient) -> bool:
    return item.stage == "upstream" or item.kind == "read"


def _notes(before: Record, after: Record) -> Iterator[str]:
    for change in changes(before.ingredients, after.ingredients):
        if change.kind in _SOFTWARE:
            name = f" {change.name}" if change.name else ""
            yield f"other software: {change.kind}{name}"
    old, new = (
        {item.name for item in record.ingredients if item.stage == "trace" and counts(item)}
        for record in (before, after)
    )
    if more := sorted(new - old):
        yield f"it used {more[0]}, which the recorded execution did not"
