"""Trials: runs in a private copy that answer a question, and whose results no build uses."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import CacheSettings, Pipeline, Task, TaskName, Value
from nbmake_dag.core.vocabulary import TrialKind


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What is special about a run that is a trial."""

    kind: TrialKind
    sandboxed: bool = True
    """Whether tasks see only what they declare."""
    parameters: Mapping[TaskName, Mapping[str, Value]] = {}
    """Parameters of single tasks, in place of what the pipeline says."""
    variables: Mapping[str, str] = {}
    """Environment variables of all tasks."""
    commit: str = ""
    """The commit whose files it has, if they are those of one."""


def as_tried(pipeline: Pipeline, trial: Trial) -> Pipeline:
    """Return a pipeline as a trial executes it: what it makes is kept, and nothing leaves for a shared cache."""
    return replace(
        pipeline,
        tasks={name: _tried(task, trial) for name, task in pipeline.tasks.items()},
        cache=_read_only(pipeline.cache),
    )


def _tried(task: Task, trial: Trial) -> Task:
    policy = replace(
        task.policy,
        cache=True,
        store=True,
        max_age=None,
        sandbox=trial.sandboxed or task.policy.sandbox,
        notebook_output=None,
    )
    return replace(
        task,
        policy=policy,
        parameters={**task.parameters, **trial.parameters.get(task.name, {})},
        env={**task.env, **trial.variables},
    )


def _read_only(settings: CacheSettings) -> CacheSettings:
    return replace(settings, remote=settings.remote if settings.reads_remote else None, remote_mode="read")
