"""From a task to the order that a worker gets."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nbmake_dag.build.prepare import Prepared
from nbmake_dag.build.seen import files_of_input
from nbmake_dag.core.facts import Result
from nbmake_dag.core.model import Command, Function, Input, Notebook, Task, TaskName
from nbmake_dag.execute.ipykernels import is_ipykernel
from nbmake_dag.execute.protocol import (
    AttemptSpec,
    CommandWork,
    FunctionWork,
    NotebookWork,
    Paths,
    Upstream,
    Work,
)


def attempt_spec(
    task: Task,
    prepared: Prepared,
    results: Mapping[TaskName, Result],
    *,
    run_id: str,
    attempt: int,
    env: dict[str, str],
    scratch: str,
    runtime: str,
) -> AttemptSpec:
    """Describe one attempt; ``results`` has all tasks above it."""
    project, resources = prepared.project, task.policy.resources
    return AttemptSpec(
        run_id=run_id,
        task=task.name,
        attempt=attempt,
        root=project.root,
        repository=project.repository,
        workdir=task.workdir,
        work=_work(task, prepared),
        parameters=dict(task.parameters),
        inputs=_seen(task, {item: _input_value(item, task, prepared, results) for item in task.inputs}),
        outputs=_outputs(task),
        declared_outputs=tuple(output.path for output in task.outputs),
        env=env,
        blobs=project.cache,
        scratch=scratch,
        runtime=runtime,
        upstream={
            name: Upstream(params=dict(result.parameters), logged=result.logged)
            for name, result in results.items()
        },
        timeout=task.policy.timeout,
        store=task.policy.store and task.policy.cache,
        cpus=resources.cpus,
        gpus=resources.gpus,
        memory=resources.memory,
        custom=dict(resources.custom),
        labels=dict(resources.labels),
    )


def _work(task: Task, prepared: Prepared) -> Work:
    match task.work:
        case Notebook() as work:
            kernel = prepared.survey.kernel(task)
            settings = prepared.pipeline.kernel
            return NotebookWork(
                path=work.path,
                kernel=kernel.name if kernel else "",
                interpreter=kernel.interpreter if kernel and is_ipykernel(kernel.argv) else None,
                start=settings.start,
                preload=settings.preload,
                inject_inputs=work.inject_inputs,
                inject_outputs=work.inject_outputs,
                counted=frozenset(cell.index for cell in prepared.survey.notebook(work).cells),
            )
        case Function() as work:
            return FunctionWork(
                module=work.module,
                qualname=work.qualname,
                inject_inputs=work.inject_inputs,
                inject_outputs=work.inject_outputs,
            )
        case Command(arguments=arguments):
            return CommandWork(arguments=arguments)


def _input_value(
    item: Input, task: Task, prepared: Prepared, results: Mapping[TaskName, Result]
) -> str | list[str]:
    """Return an input as the work sees it: a path, or for a glob the sorted list of its files."""
    if not item.is_glob:
        return _relative(item.path, task)
    return [_relative(path, task) for path in sorted(set(files_of_input(item, task, prepared, results)))]


def _outputs(task: Task) -> Paths:
    if any(output.name is not None for output in task.outputs):
        return {str(output.name): _relative(output.path, task) for output in task.outputs}
    return [_relative(output.path, task) for output in task.outputs]


def _seen(task: Task, values: Mapping[Input, str | list[str]]) -> Paths:
    if any(item.name is not None for item in task.inputs):
        return {str(item.name): value for item, value in values.items()}
    return list(values.values())


def _relative(path: str, task: Task) -> str:
    """Say a declared path relative to the folder in which the work runs; a folder keeps its slash."""
    relative = os.path.relpath(path, task.workdir)
    return f"{relative}/" if path.endswith("/") else relative
