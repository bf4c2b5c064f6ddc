"""The registration of the inline executor: one attempt at a time, in a worker that is there at once.

It is apart from `worker`, whose process does not load what a build needs to choose executors.
"""

from __future__ import annotations

from nbmake_dag.execute.executor_kind import Backend, BuildContext, ExecutorKind

NAME = "inline"
MODULE = "nbmake_dag.execute.worker"
NOTEBOOKS = "--notebooks"
"""Given to a worker that will run some: it imports what they need, which takes longer than many a command."""


def _configure(context: BuildContext) -> Backend:
    from nbmake_dag.core.model import Notebook  # noqa: PLC0415 - a build with nothing to do needs no executor

    has_notebooks = any(isinstance(task.work, Notebook) for task in context.pipeline.tasks.values())
    return Backend(
        name=NAME,
        module=MODULE,
        arguments=(NOTEBOOKS,) if has_notebooks else (),
        at_once=1,
        takes_ahead=True,
        replaceable=True,
    )


KIND = ExecutorKind(name=NAME, summary="one at a time", configure=_configure)
