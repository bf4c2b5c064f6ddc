"""One look at everything that a plan needs to know of the disk and the machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from nbmake_dag.core.facts import ABSENT, Facts
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.ingredients import Files, Observed, Software, own_ingredients
from nbmake_dag.core.model import Command, Function, Input, Notebook, Pipeline, ProjectPath, Task, TaskName
from nbmake_dag.core.reasons import changes, describe
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.interpreters import Interpreters, normalised
from nbmake_dag.observe.kernels import DEFAULT, Kernel, Kernels, missing_kernels
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.scripts import scripts_of
from nbmake_dag.observe.sources import Sources
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.identity import NotebookIdentity
from nbmake_dag_cache.key import Ingredient, key_of
from nbmake_dag_cache.memo import StatMemo
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_cache.stamps import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What a survey looks through."""

    files: StatMemo
    sources: Sources
    modules: Modules
    kernels: Kernels
    interpreters: Interpreters
    inputs: Inputs
    records: RecordStore
    variables: Mapping[str, str]
    """The driver's environment, captured once."""
    python: str
    """The driver's interpreter, which runs functions."""


class Survey:
    """Facts about the tasks of one graph, at one moment."""

    def __init__(self, project: Project, pipeline: Pipeline, graph: Graph, instruments: Instruments) -> None:
        self._project = project
        self._pipeline = pipeline
        self._graph = graph
        self._look = instruments
        self._software: dict[str | None, Software] = {}
        self._now = time.time_ns()

    @property
    def sources(self) -> Sources:
        return self._look.sources

    @property
    def folders(self) -> dict[str, Stamp | None]:
        """Every folder, by absolute path, in which something was looked for, as it was then."""
        look = self._look
        return {
            **look.interpreters.folders,
            **look.kernels.folders,
            **look.modules.folders,
            **look.inputs.folders,
        }

    def files(self, item: Input) -> Files:
        """Return path and digest of every file on disk that an input names."""
        return self._look.inputs.files(item)

    def again(self) -> Survey:
        """Return a survey that looks at everything afresh, with the same memory of digests."""
        look = self._look
        fresh = replace(
            look, sources=look.sources.fresh(), modules=look.modules.fresh(), inputs=look.inputs.fresh()
        )
        return Survey(self._project, self._pipeline, self._graph, fresh)

    def rests_on(self, task: Task) -> frozenset[str]:
        """Return the files, relative to the root, that a task is known to use before it runs."""
        observed, _ = self._observe(task)
        inputs = {path for files in observed.inputs.values() for path, _ in files}
        own = {task.work.path} if isinstance(task.work, Notebook) else set[str]()
        return frozenset({*own, *observed.modules, *inputs})

    def cells(self, task: Task) -> tuple[int, ...]:
        """Return the place in the file of each cell that counts, from 0; nothing for other work."""
        if not isinstance(task.work, Notebook):
            return ()
        return tuple(cell.index for cell in self.notebook(task.work).cells)

    def changed_since(self, task: Task, own: tuple[Ingredient, ...]) -> tuple[str, ...]:
        """Say which own ingredients of a task are not what they were."""
        try:
            now = own_ingredients(task, *self._observe(task), self._pipeline.cache.epoch)
        except ConfigError as error:
            return (str(error),)
        return tuple(describe(change, task, self.cells(task)) for change in changes(own, now))

    def digests(self, paths: Iterable[ProjectPath]) -> dict[ProjectPath, Digest]:
        """Return the digests of files and folders, those that exist."""
        digests: dict[ProjectPath, Digest] = {}
        for path in paths:
            absolute = self._project.absolute(path)
            with contextlib.suppress(OSError):
                digests[path] = (
                    self._look.files.digest_directory(absolute)
                    if path.endswith("/")
                    else self._look.files.digest(absolute)
                )
        return digests

    def touched_since(self, moment: int, paths: Iterable[str]) -> tuple[str, ...]:
        """Return those files that were written after a moment, in nanoseconds since the epoch."""
        touched: list[str] = []
        for path in paths:
            with contextlib.suppress(OSError):
                if os.stat(self._project.absolute(path)).st_mtime_ns >= moment:
                    touched.append(path)
        return tuple(touched)

    def facts(self, previous: Mapping[TaskName, Record]) -> dict[TaskName, Facts]:
        """Observe every task; raises `ConfigError` with every input and kernel that is missing."""
        self._refuse_what_is_missing()
        return {name: self._facts(self._graph.tasks[name], previous.get(name)) for name in self._graph.order}

    def notebook(self, work: Notebook) -> NotebookIdentity:
        """Identify a notebook in the language of the kernel that runs it."""
        language = self._look.kernels.get(work.kernel).language if work.kernel else None
        return self._look.sources.notebook(work.path, language=language).identity

    def kernel(self, task: Task) -> Kernel | None:
        """Return the kernel that runs a notebook, ``None`` for other work."""
        if not isinstance(task.work, Notebook):
            return None
        return self._look.kernels.get(task.work.kernel or self.notebook(task.work).kernel or DEFAULT)

    def packages(self, task: Task) -> Mapping[str, str]:
        """Return the versions of what is installed where a task's work runs, by normalised name."""
        kernel = self.kernel(task)
        interpreter = kernel.interpreter if kernel else self._look.python
        return self._look.interpreters.ask(interpreter).packages if interpreter else {}

    def _refuse_what_is_missing(self) -> None:
        look = self._look
        complaints = missing_kernels(self._project, self._graph.tasks.values(), look.sources, look.kernels)
        complaints += [
            Complaint(
                what=f"input `{item.path}` of task `{name}` does not exist, and no task makes it",
                place=f"{os.path.basename(self._project.config)}:{self._graph.tasks[name].line}",
                hint="check the path, or add it to the outputs of the task that makes it",
            )
            for name in self._graph.order
            for item in self._graph.external[name]
            if not item.is_glob
            and not self._look.inputs.files(item)
            and not item.path.endswith("/")
            and not os.path.isdir(self._project.absolute(item.path))
        ]
        if complaints:
            raise ConfigError(tuple(complaints))

    def _facts(self, task: Task, previous: Record | None) -> Facts:
        own = own_ingredients(task, *self._observe(task), self._pipeline.cache.epoch)
        own_key = key_of(own)
        found = self._look.records.candidates(own_key)
        unusable = {record.key: self._unusable(record, task) for record in found}
        usable = tuple(record for record in found if not unusable[record.key])
        traced = {
            item.name
            for record in (*usable, *([previous] if previous else ()))
            for item in record.ingredients
            if item.stage == "trace" and item.kind == "module"
        }
        return Facts(
            own=own,
            own_key=own_key,
            records=usable,
            present=self.digests(output.path for output in task.outputs),
            modules=self.module_digests(traced),
            cells=self.cells(task),
            previous=previous,
            unusable=next(filter(None, unusable.values()), ""),
        )

    def module_digests(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the digests of modules, given relative to the root."""
        return {
            path: self._look.modules.digest(os.path.normpath(self._project.absolute(path))) or ABSENT
            for path in paths
        }

    def is_usable(self, record: Record, task: Task) -> bool:
        """Say whether a record is young enough, and of an execution that was strict enough."""
        return not self._unusable(record, task)

    def _unusable(self, record: Record, task: Task) -> str:
        max_age = task.policy.max_age
        if max_age is not None and self._now - record.origin.started > max_age * 1e9:
            return "expired: older than max_age"
        if record.undeclared and (task.policy.strict or task.policy.sandbox):
            return "strict: its result rests on files that are not declared"
        return ""

    def _observe(self, task: Task) -> tuple[Observed, Software]:
        look = self._look
        inputs = {item: look.inputs.files(item) for item in self._graph.external[task.name]}
        match task.work:
            case Notebook() as work:
                notebook = self.notebook(work)
                kernel = look.kernels.get(work.kernel or notebook.kernel or DEFAULT)
                folder = os.path.dirname(self._project.absolute(work.path))
                editable = look.interpreters.ask(kernel.interpreter).editable if kernel.interpreter else {}
                paths = look.modules.closure(notebook.imports, folder, editable, search=(folder,))
                observed = Observed(
                    source=tuple(notebook.ingredients()),
                    kernel=kernel.identity(look.interpreters),
                    modules=self._digests(paths),
                    inputs=inputs,
                )
                return observed, self._software_of(kernel.interpreter)
            case Function() as work:
                path = look.sources.function(work).path
                own = look.interpreters.ask(look.python)
                is_local = look.modules.is_local(path)
                code = (Ingredient("code", work.module, look.modules.digest(path) or ABSENT),)
                observed = Observed(
                    # where a package is installed says nothing
                    source=() if is_local else code,
                    kernel=f"{own.implementation} {own.version}",
                    modules=self._digests(self._closure_of_file(path, own.editable)) if is_local else {},
                    inputs=inputs,
                )
                return observed, self._software_of(look.python)
            case Command() as work:
                modules = self._digests(self._modules_of_command(work, task.workdir))
                return Observed(modules=modules, inputs=inputs), self._software_of(look.python)

    def _modules_of_command(self, work: Command, workdir: ProjectPath) -> Iterator[str]:
        folder = os.path.normpath(self._project.absolute(workdir))
        scripts = scripts_of(work.arguments, folder)
        if scripts.files or scripts.imports.modules:
            editable = self._look.interpreters.ask(self._look.python).editable
            yield from self._look.modules.closure(scripts.imports, folder, editable, search=(folder,))
            for path in scripts.files:
                yield from self._closure_of_file(path, editable)

    def _closure_of_file(self, path: str, editable: dict[str, str]) -> tuple[str, ...]:
        identity = self._look.modules.identity(path)
        if identity is None:
            return (path,)
        folder = os.path.dirname(path)
        return (path, *self._look.modules.closure(identity.imports, folder, editable, search=(folder,)))

    def _digests(self, paths: Iterable[str]) -> dict[str, str]:
        return {
            os.path.relpath(path, self._project.root): self._look.modules.digest(path) or ABSENT for path in paths
        }

    def _software_of(self, interpreter: str | None) -> Software:
        """Observe the declared environment; packages are those of the interpreter that runs the work."""
        if interpreter not in self._software:
            declared = self._pipeline.environment
            packages: Mapping[str, str] = {}
            if declared.packages and interpreter is not None:
                packages = self._look.interpreters.ask(interpreter).packages
            self._software[interpreter] = Software(
                lockfiles={path: self._lockfile(path) for path in declared.lockfiles},
                packages={name: packages.get(normalised(name), ABSENT) for name in declared.packages},
                variables={
                    name: digest_text(self._look.variables[name]) if name in self._look.variables else None
                    for name in declared.variables
                },
            )
        return self._software[interpreter]

    def _lockfile(self, path: ProjectPath) -> str:
        try:
            return self._look.files.digest(self._project.absolute(path))
        except OSError as error:
            place = os.path.basename(self._project.config)
            what = f"lock file `{path}` cannot be read: {error.strerror}"
            raise ConfigError((Complaint(what=what, place=place, hint="see `[environment]`"),)) from error
