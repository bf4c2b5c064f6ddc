"""The code of tasks: what their notebooks, functions and commands reach by what they import and start."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import Command, Function, Notebook, Task, TaskName
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import Kernel
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.reach import Code, Reached
from nbmake_dag.observe.sources import Sources
from nbmake_dag_cache.computed_imports import Import
from nbmake_dag_cache.identity import NotebookIdentity
from nbmake_dag_cache.imports import Imports
from nbmake_dag_cache.started import PYTHON, StartedCommand, Word


class TaskCode(msgspec.Struct, frozen=True, kw_only=True):
    """What the code of tasks reaches, found once for each task."""

    project: Project
    modules: Modules
    sources: Sources
    interpreters: Interpreters
    python: str
    """The driver's interpreter, which runs functions."""
    notebook: Callable[[Notebook], NotebookIdentity]
    kernel: Callable[[Task], Kernel | None]
    _reached: dict[TaskName, Reached] = {}

    def of(self, task: Task) -> Reached:
        """Return what a task's code reaches, the module of a function included."""
        if task.name not in self._reached:
            self._reached[task.name] = self._explore(task)
        return self._reached[task.name]

    def named_by(self, task: Task) -> tuple[str, ...]:
        """Return the names by which a task's code mentions modules and scripts, also those that mean no file."""
        return self._explore(task, named=True).names

    def of_script(self, path: str, task: Task) -> Reached:
        """Return what a script, by its path relative to the root, reaches when a task starts it; and itself."""
        place = os.path.normpath(self.project.absolute(path))
        code = Imports(commands=(StartedCommand((PYTHON, Word("working", place))),))
        folder = os.path.normpath(self.project.absolute(task.workdir))
        return self.modules.explore(Code(code, folder, folder, (folder,)), self._editable(self.python))

    def of_commands(self, commands: Iterable[tuple[str, Sequence[str], str]]) -> frozenset[str]:
        """Return the files, relative to the root, that commands reach.

        Each is the folder in which it was started, its words, and its ``PYTHONPATH``.
        """
        together: dict[tuple[str, str], list[StartedCommand]] = {}
        for folder, words, python_path in commands:
            command = StartedCommand(tuple(Word("working", word) for word in words))
            together.setdefault((folder, python_path), []).append(command)
        found: set[str] = set()
        for (folder, python_path), started in together.items():
            place = os.path.normpath(self.project.absolute(folder))
            places = tuple(os.path.join(place, part) for part in python_path.split(":") if part)
            code = Code(Imports(commands=tuple(started)), place, place, (place,), python_path=places)
            found.update(self.modules.explore(code, self._editable(self.python)).paths)
        return frozenset(map(self.project.relative, found))

    def _explore(self, task: Task, *, named: bool = False) -> Reached:
        root = self.project.root
        place = os.path.normpath(self.project.absolute(task.workdir))
        match task.work:
            case Notebook() as work:
                notebook, kernel = self.notebook(work), self.kernel(task)
                interpreter = kernel.interpreter if kernel else None
                folder = os.path.dirname(self.project.absolute(work.path))
                is_python = notebook.language == "python"
                code = Code(notebook.imports, folder, place, (root, folder), is_traced=is_python)
                code = replace(code, python_path=_python_path(task, place))
                found = self.modules.explore(code, self._editable(interpreter), named=named)
                return found if is_python else replace(found, is_opaque=True)
            case Function() as work:
                folder = os.path.dirname(self.sources.function(work).path)
                code = Code(Imports((Import(work.module),)), folder, place, (root, folder), is_traced=True)
                code = replace(code, python_path=_python_path(task, place))
            case Command(arguments=words):
                known = "".join(f"{name}={shlex.quote(value)}\n" for name, value in task.env.items())
                path = tuple(f"{name}={task.env[name]}" for name in ("PATH", "PYTHONPATH") if name in task.env)
                arguments = (
                    known + words
                    if isinstance(words, str)
                    else tuple(Word("working", word) for word in (*path, *words))
                )
                command = Imports(commands=(StartedCommand(arguments),))
                code = Code(command, place, place, (place,))
        interpreter = None if task.environment else self.python
        return self.modules.explore(code, self._editable(interpreter), named=named)

    def _editable(self, interpreter: str | None) -> Callable[[], dict[str, str]]:
        """Return a look-up, done when needed, of the packages that an interpreter has as links."""

        def links() -> dict[str, str]:
            found = self.interpreters.ask(interpreter).editable if interpreter else {}
            return {name: self.project.here(path) for name, path in found.items()}

        return links


def _python_path(task: Task, place: str) -> tuple[str, ...]:
    """Return the folders from which everything that a task starts imports, where it declares some."""
    folders = task.env.get("PYTHONPATH", "").split(":")
    return tuple(os.path.normpath(os.path.join(place, folder)) for folder in folders if folder)
