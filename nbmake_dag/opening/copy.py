"""A copy of a task's notebook with its parameters, inputs and outputs, whose edits flow back to the source."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import msgspec
import nbformat
from nbformat.v4 import new_code_cell

from nbmake_dag.build.executions import folder_name
from nbmake_dag.build.prepare import Prepared
from nbmake_dag.build.specs import attempt_spec
from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.facts import Result, result_of
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.notebook_source import ParameterError, prepare, values_to_inject
from nbmake_dag.execute.protocol import NotebookWork
from nbmake_dag.observe.project import Project
from nbmake_dag.opening.source_text import SETUP, edited_source
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.notebook import read_notebook

_SETUP = """\
# as the task sees it; this cell does not reach {source}
import os, sys
os.chdir({workdir!r})
sys.path[:] = dict.fromkeys([{root!r}, {folder!r}, *sys.path])"""


class _Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What both files were when they last agreed."""

    source: Digest
    copy: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of a notebook in a folder of its own; paths are absolute."""

    source: str
    path: str

    def save_back(self) -> bool:
        """Write what was edited in the copy to the source; return whether anything was.

        Raises `UsageError` where the source was changed meanwhile too.
        """
        taken = msgspec.json.decode(_read(_taken_path(self.path)), type=_Taken)
        copy, before = _read(self.path), _read(self.source)
        if digest_text(copy) == taken.copy:
            return False
        try:
            after = edited_source(before, self.source, copy)
        except ValueError:
            # it is just being written
            return False
        if after != before:
            if digest_text(before) != taken.source:
                raise UsageError(
                    f"{self.source} was changed since {self.path} was made of it, and so was the copy",
                    (),
                    "take over by hand what you need, then remove the copy",
                )
            _replace(self.source, after)
        self.agree(after, copy)
        return after != before

    def agree(self, source: str, copy: str) -> None:
        """Note that these texts of source and copy say the same."""
        taken = _Taken(source=digest_text(source), copy=digest_text(copy))
        _replace(_taken_path(self.path), msgspec.json.encode(taken).decode())


def copy_path(project: Project, task: Task) -> Copy:
    """Say where the copy of a task's notebook is; raises `UsageError` for a task without a notebook."""
    if not isinstance(task.work, Notebook):
        raise UsageError(f"task `{task.name}` has no notebook to open")
    name = os.path.splitext(os.path.basename(task.work.path))[0]
    folder = os.path.join(project.root, ".nbdag", "open", folder_name(task.name))
    return Copy(source=project.absolute(task.work.path), path=os.path.join(folder, f"{name}.ipynb"))


def make_copy(prepared: Prepared, name: TaskName) -> Copy:
    """Write the copy of a task's notebook; edits in a copy of before are saved first."""
    task = prepared.graph.tasks[name]
    copy = copy_path(prepared.project, task)
    with contextlib.suppress(FileNotFoundError):
        copy.save_back()
    os.makedirs(os.path.dirname(copy.path), exist_ok=True)
    source = _read(copy.source)
    content = notebook_text(prepared, task, source, copy.source)
    _replace(copy.path, content)
    copy.agree(source, content)
    return copy


def notebook_text(prepared: Prepared, task: Task, text: str, path: str) -> str:
    """Return the ``.ipynb`` text of a task's notebook as the task sees it; ``text`` is its source, at ``path``."""
    spec = attempt_spec(
        task, prepared, _results(prepared, task), run_id="", attempt=1, env={}, scratch="", runtime=""
    )
    kernel = prepared.survey.kernel(task)
    if kernel is None or not isinstance(spec.work, NotebookWork):
        raise UsageError(f"task `{task.name}` has no notebook to open")
    source = read_notebook(text.encode(), path)
    try:
        notebook = prepare(source, kernel.name, kernel.language, values_to_inject(spec, spec.work)).notebook
    except ParameterError as error:
        raise UsageError(f"the parameters of task `{task.name}` cannot be injected: {error}") from error
    if kernel.language == "python":
        root = prepared.project.root
        setup = _SETUP.format(
            source=spec.work.path,
            workdir=os.path.normpath(os.path.join(root, spec.workdir)),
            root=root,
            folder=os.path.dirname(path),
        )
        notebook.cells.insert(0, new_code_cell(setup, metadata={"tags": [SETUP]}, id=SETUP))  # type: ignore[no-untyped-call]
    notebook.metadata.kernelspec = {
        "name": kernel.name,
        "display_name": kernel.name,
        "language": kernel.language,
    }
    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]


def _results(prepared: Prepared, task: Task) -> dict[TaskName, Result]:
    """Return what the tasks above left; raises `UsageError` where one was not built."""
    verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    results: dict[TaskName, Result] = {}
    for name in prepared.graph.above((task.name,)) - {task.name}:
        verdict = verdicts[name]
        hit = verdict.record if isinstance(verdict, (UpToDate, Restorable)) else prepared.facts[name].previous
        if hit is None:
            raise UsageError(
                f"task `{task.name}` needs `{name}`, which was not built yet",
                (),
                f"nbdag build {task.name} builds all that it needs",
            )
        results[name] = result_of(hit, prepared.graph.tasks[name].parameters)
    return results


def _taken_path(copy: str) -> str:
    return os.path.join(os.path.dirname(copy), "source.json")


def _read(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _replace(path: str, text: str) -> None:
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    if os.path.exists(path):
        os.chmod(temporary, os.stat(path).st_mode & 0o777)
    os.replace(temporary, path)
