"""Run a failed notebook again in IPython on the terminal, with a debugger that stops at the exception."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from nbmake_dag.core.model import Notebook, TaskName
from nbmake_dag.editor.copy import notebook_text
from nbmake_dag.editor.made_environment import python_of
from nbmake_dag.engine.prepare import prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.lock import build_lock
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.output_backup import put_back, set_aside
from nbmake_dag.execute.redaction import search_for
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RunOutcome


def failed_notebook(outcome: RunOutcome) -> TaskName | None:
    """Return the first task that failed with an executed notebook."""
    failed = (name for name, task in outcome.tasks.items() if task.status == "failed" and task.failed_folder)
    return next(failed, None)


def debug(project: Project, request: Request, name: TaskName, waiting: Callable[[str], None]) -> None:
    """Run a task's notebook in the terminal's foreground; its outputs are put back as they were afterwards."""
    stores = Stores.open(project)
    try:
        prepared = prepare(project, request, stores)
    finally:
        stores.close()
    task = prepared.graph.tasks[name]
    kernel = prepared.survey.kernel(task)
    interpreter = python_of(task, prepared.survey) or (kernel.interpreter if kernel else None)
    if not isinstance(task.work, Notebook) or interpreter is None:
        raise UsageError(f"task `{name}` is not a Python notebook, and the debugger supports no other")
    source = project.absolute(task.work.path)
    with open(source, encoding="utf-8") as file:
        text = notebook_text(prepared, task, file.read(), source)
    folder = os.path.join(project.root, ".nbdag", "debug")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "notebook.ipynb")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    with build_lock(project, wait=request.wait, waiting=waiting):
        secrets = prepared.survey.secrets
        aside = set_aside(
            project.state,
            project.root,
            [output.path for output in task.outputs],
            os.path.join(folder, "outputs"),
            secrets.keys(),
        )
        # what interrupts IPython is not for this process, which puts outputs back after it
        before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
        try:
            subprocess.run(
                [interpreter, "-m", "IPython", "--pdb", "--no-banner", "--no-confirm-exit", path],
                cwd=os.path.join(project.root, task.workdir),
                env={**prepared.survey.variables, **task.env},
                check=False,
            )
        finally:
            signal.signal(signal.SIGINT, before)
            put_back(aside, search_for(secrets.keys(), secrets))
