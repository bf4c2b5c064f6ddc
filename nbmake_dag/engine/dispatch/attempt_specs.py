"""Make the specification of an attempt for a worker from a task."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nbmake_dag.core.facts import Result
from nbmake_dag.core.model import Command, Function, Input, Notebook, Task, TaskName
from nbmake_dag.engine.dispatch.visible_files import files_of_input, is_absent
from nbmake_dag.execute.protocol import (
    AttemptSpec,
    CommandWork,
    Declared,
    EnvironmentSpec,
    FunctionWork,
    NotebookWork,
    Paths,
    Work,
)
from nbmake_dag.observe.kernels import python_options
from nbmake_dag.observe.survey import Survey


def attempt_spec(
    task: Task,
    survey: Survey,
    results: Mapping[TaskName, Result],
    *,
    run_id: str,
    attempt: int,
    env: dict[str, str],
    scratch: str,
    runtime: str,
) -> AttemptSpec:
    """Describe one attempt, but for what the tasks above left; ``results`` has those that make its inputs."""
    project, resources = survey.project, task.policy.resources
    return AttemptSpec(
        run_id=run_id,
        task=task.name,
        attempt=attempt,
        root=project.root,
        repository=project.repository,
        workdir=task.workdir,
        work=_work(task, survey),
        parameters=dict(task.parameters),
        inputs=_seen(
            task,
            {
                item: _input_value(item, task, survey, results)
                for item in task.inputs
                if item.name is None or item.name not in task.gathers
            },
        ),
        outputs=_outputs(task),
        declared_outputs=tuple(output.path for output in task.outputs),
        env=env,
        environment=environment_of(task, survey),
        blobs=project.cache,
        scratch=scratch,
        runtime=runtime,
        secrets=tuple(survey.secrets),
        timeout=task.policy.timeout,
        store=task.policy.store and task.policy.cache,
        cpus=resources.cpus,
        gpus=resources.gpus,
        memory=resources.memory,
        custom=dict(resources.custom),
        labels=dict(resources.labels),
    )


def environment_of(task: Task, survey: Survey) -> EnvironmentSpec | None:
    """Describe the environment of a task to whoever makes it."""
    found = survey.environment(task)
    if found is None:
        return None
    return EnvironmentSpec(
        name=found.name, python=found.version, requirements=found.requirements, build=found.build
    )


def _work(task: Task, survey: Survey) -> Work:
    match task.work:
        case Notebook() as work:
            kernel = survey.kernel(task)
            options = python_options(kernel.argv) if kernel else None
            settings = survey.pipeline.kernel
            return NotebookWork(
                path=work.path,
                form=work.form,
                kernel=kernel.name if kernel else "",
                interpreter=kernel.interpreter if kernel and options is not None else None,
                options=options or (),
                python=kernel.python if kernel else "",
                start=settings.start,
                preload=settings.preload,
                shutdown_timeout=settings.shutdown_timeout,
                allow_errors=survey.allows_errors(work),
                inject_inputs=work.inject_inputs,
                inject_outputs=work.inject_outputs,
                counted=frozenset(cell.index for cell in survey.notebook(work).cells),
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


def _input_value(item: Input, task: Task, survey: Survey, results: Mapping[TaskName, Result]) -> Declared:
    """Return an input as the work sees it: a path, for a glob the sorted list of its files, ``None`` if absent."""
    if item.remote is not None and not item.remote.fetch:
        return item.remote.url
    if is_absent(item, task, survey, results):
        return None
    if not item.is_glob:
        return _relative(item.path, task)
    return [_relative(path, task) for path in sorted(set(files_of_input(item, task, survey, results)))]


def _outputs(task: Task) -> Paths:
    if any(output.name is not None for output in task.outputs):
        return {str(output.name): _relative(output.path, task) for output in task.outputs}
    return [_relative(output.path, task) for output in task.outputs]


def _seen(task: Task, values: Mapping[Input, Declared]) -> Paths:
    if task.gathers or any(item.name is not None for item in task.inputs):
        gathered: dict[str, Declared] = {
            name: [{"path": _relative(file.path, task), "params": dict(file.params)} for file in files]
            for name, files in task.gathers.items()
        }
        return {**{str(item.name): value for item, value in values.items()}, **gathered}
    return list(values.values())


def _relative(path: str, task: Task) -> str:
    """Return a declared path relative to the folder in which the work runs; a folder keeps its slash."""
    relative = os.path.relpath(path, task.workdir)
    return f"{relative}/" if path.endswith("/") else relative
