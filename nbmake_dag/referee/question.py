"""A question to a state of a project, of a metric, an output or a check, and what is an answer to it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, assert_never

import msgspec

from nbmake_dag.core.bisection import Side, side_of
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import UsageError
from nbmake_dag.referee.order import Tried, metrics_of
from nbmake_dag_reporting.compare import Declared, Verdict, judge
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.vocabulary import HITS

Answer: TypeAlias = float | str | bool
"""The value of a metric, a digest of an output, or whether a check passes."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric; ``task`` where several tasks log one of that name."""

    name: str
    task: TaskName | None = None
    declared: Declared = msgspec.field(default_factory=Declared)

    def __str__(self) -> str:
        return f"{self.task}:{self.name}" if self.task else self.name


class OutputPath(msgspec.Struct, frozen=True, kw_only=True):
    """A declared output."""

    path: str

    def __str__(self) -> str:
        return self.path


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A task that fails where something is wrong."""

    task: TaskName

    def __str__(self) -> str:
        return self.task


Question: TypeAlias = Metric | OutputPath | Check

_NOTHING_YET = "build once, or `nbdag runs pull` those of others"
_WORSE = frozenset({Verdict.WORSE, Verdict.CHANGED})


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a task in one state; ``outputs`` are digests by path."""

    ended: bool
    """Whether it ran, or was a hit."""
    failed: bool = False
    metrics: Mapping[str, float] = {}
    outputs: Mapping[str, str] = {}


def told_by_run(run: Run) -> dict[TaskName, Told]:
    """Return what a run says about its tasks; drafts and accepted results say nothing."""
    return {
        TaskName(name): Told(
            ended=task.status == "ran" or task.status in HITS,
            failed=task.status == "failed",
            metrics=task.metrics,
            outputs=task.outputs,
        )
        for name, task in run.tasks.items()
        if not (task.draft or task.accepted)
    }


def told_by_trial(tried: Tried) -> dict[TaskName, Told]:
    """Return what a trial says about its tasks."""
    return {
        name: Told(
            ended=task.record is not None,
            failed=task.status == "failed",
            metrics=metrics_of(task.record) if task.record else {},
            outputs={output.path: output.digest for output in task.record.outputs} if task.record else {},
        )
        for name, task in tried.tasks.items()
    }


def answers(question: Question, told: Mapping[TaskName, Told]) -> dict[TaskName, Answer]:
    """Return the answers to a question, by the tasks that give them: several if its metric is ambiguous."""
    match question:
        case Metric(name=metric, task=task):
            return {
                name: float(each.metrics[metric])
                for name, each in told.items()
                if each.ended and metric in each.metrics and task in {None, name}
            }
        case OutputPath(path=path):
            return {name: each.outputs[path] for name, each in told.items() if each.ended and path in each.outputs}
        case Check(task=task):
            each = told.get(task)
            return {task: each.ended} if each and (each.ended or each.failed) else {}
        case _:
            assert_never(question)


def side(question: Question, answer: Answer | None, good: Answer, bad: Answer) -> Side:
    """Return to which of two answers a third belongs: a metric to the nearer, else to the good one if equal."""
    if answer is None:
        return Side.SKIPPED
    if isinstance(question, Metric):
        return side_of(float(answer), float(good), float(bad))
    return Side.GOOD if answer == good else Side.BAD


def is_better(question: Question, answer: Answer | None, bad: Answer | None) -> bool:
    """Return whether an answer can be the good one: where no direction is declared, whether it differs."""
    if answer is None or bad is None:
        return False
    match question:
        case Metric(declared=declared):
            return judge(float(answer), float(bad), declared) in _WORSE
        case OutputPath():
            return answer != bad
        case Check():
            return bool(answer) and not bad
        case _:
            assert_never(question)


def understood(
    name: str,
    *,
    outputs: Iterable[str],
    checks: Iterable[TaskName],
    runs: Iterable[Mapping[TaskName, Told]],
    declared: Mapping[str, Declared],
) -> Question:
    """Find out what is meant: an output, a check, a metric, or `TASK:METRIC`; raises `UsageError`.

    ``runs`` are read only as far as they are needed, the newest first.
    """
    outputs, checks = tuple(outputs), tuple(checks)
    if name in outputs:
        return OutputPath(path=name)
    if name in checks:
        return Check(task=TaskName(name))
    what = f"no run has logged a metric `{name}`, and no task has such an output or is such a check"
    known: dict[str, None] = dict.fromkeys((*outputs, *checks))
    for told in runs:
        if any(name in each.outputs for each in told.values()):
            return OutputPath(path=name)
        if (found := _metric(name, told, declared)) is not None:
            return found
        known.update(dict.fromkeys(_names(told)))
    raise UsageError(what, (), did_you_mean(name, known) or _NOTHING_YET)


def understood_metric(
    name: str, runs: Iterable[Mapping[TaskName, Told]], declared: Mapping[str, Declared]
) -> Metric:
    """Find out which metric is meant, `METRIC` or `TASK:METRIC`; raises `UsageError`."""
    known: dict[str, None] = {}
    for told in runs:
        if (found := _metric(name, told, declared)) is not None:
            return found
        known.update(dict.fromkeys(_names(told)))
    raise UsageError(f"no run has logged a metric `{name}`", (), did_you_mean(name, known) or _NOTHING_YET)


def _metric(name: str, told: Mapping[TaskName, Told], declared: Mapping[str, Declared]) -> Metric | None:
    """Return the metric of a name, if a run has it; raises `UsageError` if several tasks log it."""
    logging = [(task, metric) for task, each in told.items() for metric in each.metrics]
    for task, metric in logging:
        if name == f"{task}:{metric}":
            return Metric(name=metric, task=task, declared=declared.get(metric, Declared()))
    tasks = [task for task, metric in logging if metric == name]
    if len(tasks) > 1:
        several = ", ".join(shlex.quote(f"{task}:{name}") for task in tasks[:20])
        raise UsageError(f"{len(tasks)} tasks log `{name}`", (), f"name one of them: {several}")
    return Metric(name=name, declared=declared.get(name, Declared())) if tasks else None


def _names(told: Mapping[TaskName, Told]) -> Iterator[str]:
    for task, each in told.items():
        for metric in each.metrics:
            yield metric
            yield f"{task}:{metric}"
