"""One survey of all facts about the disk and the machine that a plan needs."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Collection, Iterable, Mapping
from importlib.util import find_spec

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.facts import ABSENT, Facts
from nbmake_dag.core.graph import Graph, input_files
from nbmake_dag.core.ingredients import Files, Observed, Software, own_ingredients
from nbmake_dag.core.model import (
    Command,
    Function,
    Input,
    Notebook,
    Pipeline,
    ProjectPath,
    Task,
    TaskName,
    nothing,
)
from nbmake_dag.core.reasons import changes, describe
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.observe.environments import Environment, Environments
from nbmake_dag.observe.git import index_of, tracked
from nbmake_dag.observe.inputs import Inputs
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.kernels import DEFAULT, IPYKERNEL, Kernel, Kernels
from nbmake_dag.observe.modules import Modules
from nbmake_dag.observe.needs import Needs
from nbmake_dag.observe.places import PathKind
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.remote_copies import RemoteCopies
from nbmake_dag.observe.secrets import declared_secrets
from nbmake_dag.observe.software import DeclaredSoftware
from nbmake_dag.observe.sources import Sources
from nbmake_dag.observe.task_code import TaskCode
from nbmake_dag.observe.variables import Variables
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.identity import NotebookIdentity
from nbmake_dag_cache.key import Ingredient, key_of
from nbmake_dag_cache.memo import StatMemo
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_cache.stamps import Stamp
from nbmake_dag_reporting.cell_ref import CellRef


class Instruments(msgspec.Struct, frozen=True, kw_only=True):
    """What a survey looks through."""

    files: StatMemo
    sources: Sources
    modules: Modules
    kernels: Kernels
    interpreters: Interpreters
    environments: Environments
    inputs: Inputs
    records: RecordStore
    variables: Variables
    python: str
    """The driver's interpreter, which runs functions."""


class Survey:
    """Facts about the tasks of one graph, at one moment."""

    def __init__(self, project: Project, pipeline: Pipeline, graph: Graph, instruments: Instruments) -> None:
        self.project = project
        self.pipeline = pipeline
        self.graph = graph
        self._look = instruments
        self._software = DeclaredSoftware(
            project, pipeline.software, instruments.files, instruments.interpreters, instruments.variables
        )
        self.reach = TaskCode(
            project=project,
            modules=instruments.modules,
            sources=instruments.sources,
            interpreters=instruments.interpreters,
            python=instruments.python,
            notebook=self.notebook,
            kernel=self.kernel,
        )
        self._made: dict[TaskName, frozenset[str]] = {}
        self.refused: dict[TaskName, Complaint] = {}
        """The tasks that cannot begin because their kernel, source or input is missing."""
        self._now = time.time_ns()
        self._last: tuple[TaskName, Observed, Software] | None = None

    @property
    def variables(self) -> Mapping[str, str]:
        """The driver's environment, for tasks; what decides a result is read through the instruments."""
        return self._look.variables.environ

    @property
    def noted(self) -> Mapping[str, str | None]:
        """The digests of all variables that decided something so far, ``None`` for one that is not set."""
        return self._look.variables.noted()

    @functools.cached_property
    def secrets(self) -> Mapping[str, str]:
        """The values of the secrets that any task of the pipeline declares: all tasks see all variables."""
        return declared_secrets(self.pipeline, self.variables)

    @property
    def sources(self) -> Sources:
        return self._look.sources

    @property
    def folders(self) -> dict[str, Stamp | None]:
        """Every place, by absolute path, at which something was searched for, as it was before the search."""
        look = self._look
        return {
            **look.interpreters.folders,
            **look.kernels.folders,
            **look.modules.folders,
            **look.inputs.folders,
            **look.sources.places,
        }

    @property
    def contents(self) -> dict[str, str]:
        """What was at those of them that may be compared by that, where their times say nothing."""
        look = self._look
        found = {**look.modules.folders.contents, **look.inputs.folders.contents, **look.sources.places.contents}
        software = look.interpreters.folders.keys() | look.kernels.folders.keys()
        # what packages are in a folder is not told by names alone
        return {path: content for path, content in found.items() if path not in software}

    @property
    def kinds(self) -> Mapping[str, PathKind]:
        """What was at the paths of which that alone decided how a command is read."""
        return self._look.modules.folders.kinds

    @property
    def programs(self) -> Mapping[str, bool]:
        """Whether there was a program at the paths of which that alone decided how a command is read."""
        return self._look.modules.folders.programs

    @property
    def copies(self) -> RemoteCopies:
        """What is known of remote inputs."""
        return self._look.inputs.copies

    def files(self, item: Input) -> Files:
        """Return path and digest of every file on disk that an input names."""
        return self._look.inputs.files(item)

    def is_folder(self, item: Input) -> bool:
        """Return whether an input is a folder on disk."""
        return self._look.inputs.is_folder(item)

    def again(self) -> Survey:
        """Return a survey that looks at everything afresh, with the same memory of digests."""
        look = self._look
        fresh = replace(
            look,
            sources=look.sources.fresh(),
            modules=look.modules.fresh(),
            environments=look.environments.fresh(),
            inputs=look.inputs.fresh(),
        )
        again = Survey(self.project, self.pipeline, self.graph, fresh)
        again._made = self._made
        return again

    def files_of(self, task: Task) -> frozenset[str]:
        """Return the files, relative to the root, that a task is known to use before it runs."""
        observed, _ = self._observe(task)
        inputs = {path for files in observed.inputs.values() for path, _ in files}
        own: set[str] = {task.work.path} if isinstance(task.work, Notebook) else set()
        if task.environment:
            own.add(task.environment.lock)
        return frozenset({*own, *observed.modules, *inputs})

    def mentioned_in(self, path: str) -> frozenset[str]:
        """Return the names by which a file of code, by absolute path, mentions modules and scripts."""
        return self._look.modules.mentioned_in(path)

    @property
    def kernel_folders(self) -> tuple[str, ...]:
        """The folders of the project, by absolute path, in which kernels were looked for."""
        return tuple(path for path in self._look.kernels.folders if path.startswith(f"{self.project.root}/"))

    def made_before(self, task: Task) -> frozenset[str]:
        """Return the code that a task's last execution made itself, so that it is no ingredient."""
        return self._made.get(task.name, frozenset())

    def code_of(self, task: Task) -> frozenset[str]:
        """Return the modules and scripts that a task is known to use, relative to the root."""
        return frozenset(self._observed(task)[0].modules)

    def code(self) -> frozenset[str]:
        """Return the modules and scripts that the tasks are known to use, relative to the root."""
        return frozenset(module for task in self.graph.tasks.values() for module in self._observe(task)[0].modules)

    def cells(self, task: Task) -> tuple[CellRef, ...]:
        """Return the cells that count; nothing for other work."""
        if not isinstance(task.work, Notebook):
            return ()
        return tuple(CellRef(cell.index) for cell in self.notebook(task.work).cells)

    def changed_since(
        self, task: Task, own: tuple[Ingredient, ...], written: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Return which own ingredients of a task are not what they were, but for modules that it wrote itself."""
        try:
            now = own_ingredients(task, *self._observed(task), self.pipeline.cache.epoch)
        except ConfigError as error:
            return (str(error),)
        return tuple(
            describe(change, task, self.cells(task))
            for change in changes(own, now)
            if not (change.kind == "module" and change.name in written)
        )

    def digests(self, paths: Iterable[ProjectPath]) -> dict[ProjectPath, Digest]:
        """Return the digests of files and folders, those that exist."""
        digests: dict[ProjectPath, Digest] = {}
        for path in paths:
            absolute = self.project.absolute(path)
            with contextlib.suppress(OSError):
                digests[path] = (
                    self._look.files.digest_directory(absolute)
                    if path.endswith("/")
                    else self._look.files.digest_with_permission(absolute)
                )
        return digests

    def content_digest(self, path: str) -> Digest | None:
        """Return the digest of one file, given relative to the root; ``None`` for one that cannot be read."""
        with contextlib.suppress(OSError):
            return self._look.files.digest(self.project.absolute(path))
        return None

    def touched_since(self, moment: int, paths: Iterable[str]) -> tuple[str, ...]:
        """Return those files that were written after a moment, in nanoseconds since the epoch."""
        touched: list[str] = []
        for path in paths:
            with contextlib.suppress(OSError):
                if os.stat(self.project.absolute(path)).st_mtime_ns >= moment:
                    touched.append(path)
        return tuple(touched)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unknown about kernels."""
        return tuple(self._look.kernels.notes)

    def facts(
        self,
        previous: Mapping[TaskName, Record],
        *,
        keep_going: bool = False,
        known: Mapping[TaskName, Facts] | None = None,
    ) -> dict[TaskName, Facts]:
        """Observe every task, but for those that are ``known``; raises `ConfigError` with all that is missing.

        With ``keep_going``, tasks without their source, kernel or input are ``refused`` instead, if there are
        others to build.
        """
        known = known or {}
        self._refuse_what_is_missing(keep_going=keep_going)
        if any(record.made for record in previous.values()):
            # whether git tracks what they made decides
            self._look.modules.search(index_of(self.project.repository))
        self._made = {name: self._untracked(record.made) for name, record in previous.items() if record.made}
        return {
            name: known.get(name) or self._facts(self.graph.tasks[name], previous.get(name))
            for name in self.graph.order
        }

    def notebook(self, work: Notebook) -> NotebookIdentity:
        """Identify a notebook in the language of the kernel that runs it."""
        language = self._look.kernels.get(work.kernel).language if work.kernel else None
        return self._look.sources.notebook(work.path, language=language or None, form=work.form).identity

    def allows_errors(self, work: Notebook) -> bool:
        """Return whether its cells may raise: by the pipeline, else by its metadata."""
        return self.notebook(work).allow_errors if work.allow_errors is None else work.allow_errors

    def kernel(self, task: Task) -> Kernel | None:
        """Return the kernel that runs a notebook, ``None`` for other work."""
        if not isinstance(task.work, Notebook):
            return None
        if environment := self.environment(task):
            return Kernel(name=DEFAULT, language="python", argv=IPYKERNEL, python=environment.python)
        return self._look.kernels.get(task.work.kernel or self.notebook(task.work).kernel or DEFAULT)

    def environment(self, task: Task) -> Environment | None:
        """Return what a task runs in, if nbdag makes that."""
        return self._look.environments.of(task)

    def packages(self, task: Task) -> Mapping[str, str]:
        """Return the versions of what is installed where a task's work runs, by normalised name."""
        if environment := self.environment(task):
            return environment.versions
        kernel = self.kernel(task)
        interpreter = kernel.interpreter if kernel else self._look.python
        return self._look.interpreters.ask(interpreter).packages if interpreter else {}

    def records_mlflow(self, task: Task) -> bool:
        """Return whether MLflow and nbdag are both installed where a task's work runs."""
        own = not isinstance(task.work, Notebook) and self.environment(task) is None
        if own and not self._may_have_mlflow:
            return False
        return {"mlflow", "nbmake-dag"} <= self.packages(task).keys()

    @functools.cached_property
    def _may_have_mlflow(self) -> bool:
        """Whether this interpreter can import MLflow: where not, it need not be asked for its packages."""
        return find_spec("mlflow") is not None

    def _refuse_what_is_missing(self, *, keep_going: bool) -> None:
        look = self._look
        needs = Needs(self.project, self.graph, look.sources, look.kernels, look.environments, look.inputs)
        if unreadable := needs.unreadable():
            raise ConfigError(tuple(unreadable))
        missing = needs.missing()
        names = [name for name, _ in missing]
        if keep_going and len(self.graph.with_downstream(names)) < len(self.graph.order):
            self.refused = dict(reversed(missing))
        elif missing:
            raise ConfigError(tuple(complaint for _, complaint in missing))

    def _facts(self, task: Task, previous: Record | None) -> Facts:
        if task.is_unknown:
            return Facts(own=(), own_key=key_of(()))
        own = own_ingredients(task, *self._observe(task), self.pipeline.cache.epoch)
        own_key = key_of(own)
        found = self._look.records.candidates(own_key, previous)
        unusable = {record.key: self._unusable(record, task) for record in found}
        usable = tuple(record for record in found if not unusable[record.key])
        traced = {
            name
            for record in (*usable, *([previous] if previous else ()))
            for kind, name in record.trace
            if kind == "module"
        }
        return Facts(
            own=own,
            own_key=own_key,
            records=usable,
            present=self.digests(output.path for output in task.outputs) or nothing(),
            modules=self.module_digests(traced) if traced else nothing(),
            cells=self.cells(task),
            previous=previous,
            unusable=next(filter(None, unusable.values()), ""),
        )

    def module_digests(self, paths: Iterable[str]) -> dict[str, str]:
        """Return the digests of modules and of folders of modules, given relative to the root."""
        return {path: self._look.modules.digest(self._place_of(path)) or ABSENT for path in paths}

    def _place_of(self, path: str) -> str:
        place = os.path.normpath(self.project.absolute(path))
        return f"{place}/" if path.endswith("/") else place

    def is_usable(self, record: Record, task: Task) -> bool:
        """Return whether a record is young enough, and of an execution that was strict enough."""
        return not self._unusable(record, task)

    def _unusable(self, record: Record, task: Task) -> str:
        max_age = task.policy.max_age
        if max_age is not None and self._now - record.origin.started > max_age * 1e9:
            return "expired: older than max_age"
        if record.undeclared and (task.policy.strict or task.policy.sandbox):
            return "strict: its result depends on files that are not declared"
        return ""

    def _observed(self, task: Task) -> tuple[Observed, Software]:
        """Observe the last task that was asked for once, however often that is."""
        if self._last is None or self._last[0] != task.name:
            self._last = task.name, *self._observe(task)
        return self._last[1:]

    def _observe(self, task: Task) -> tuple[Observed, Software]:
        look = self._look
        inputs = {item: look.inputs.files(item) for item in self.graph.external[task.name]}
        made = {edge.input for edge in self.graph.edges[task.name]}
        folders = frozenset(
            item for item in inputs if self.is_folder(item) or (item in made and item.path.endswith("/"))
        )
        environment = self.environment(task)
        match task.work:
            case Notebook() as work:
                notebook, kernel = self.notebook(work), self.kernel(task)
                place = os.path.normpath(self.project.absolute(task.workdir))
                written = {os.path.normpath(os.path.join(place, path)) for path in notebook.writes}
                paths = (path for path in self.reach.of(task).paths if path not in written)
                observed = Observed(
                    source=tuple(notebook.ingredients()),
                    kernel=kernel.identity if kernel else "",
                    allow_errors=self.allows_errors(work),
                    modules=self._digests(task, paths),
                    inputs=inputs,
                    folders=folders,
                )
                interpreter = kernel.interpreter if kernel else None
            case Function() as work:
                path = look.sources.function(work).path
                own = look.interpreters.ask(look.python)
                python = f"{own.implementation} {own.version}"
                is_local = look.modules.is_local(path)
                installed = (Ingredient("code", work.module, look.modules.digest(path) or ABSENT),)
                observed = Observed(
                    # where a package is installed says nothing
                    source=() if is_local else installed,
                    kernel=environment.python if environment else python,
                    modules=self._digests(task, (path, *self.reach.of(task).paths)) if is_local else {},
                    inputs=inputs,
                    folders=folders,
                )
                interpreter = look.python
            case Command():
                observed = Observed(
                    kernel=environment.python if environment else "",
                    modules=self._digests(task, self.reach.of(task).paths),
                    inputs=inputs,
                    folders=folders,
                )
                interpreter = look.python
        if environment:
            return observed, self._software.in_environment(environment)
        return observed, self._software.of(interpreter)

    def _digests(self, task: Task, paths: Iterable[str]) -> dict[str, str]:
        """Return the digests of modules, but for those that the task itself makes: they are no ingredients.

        Nor are those that tasks above make and that are declared as inputs: these count as inputs, once they are
        made.
        """
        relative = {path: os.path.relpath(path, self.project.root) for path in paths}
        return {
            name: self._look.modules.digest(path) or ABSENT
            for path, name in relative.items()
            if not self._is_made(name, task)
        }

    def _untracked(self, paths: Iterable[str]) -> frozenset[str]:
        places = {os.path.realpath(self.project.absolute(path)): path for path in paths}
        kept = tracked(places)
        return frozenset(path for place, path in places.items() if place not in kept)

    def _is_made(self, path: str, task: Task) -> bool:
        owner = self.graph.owner_of(path)
        return path in self._made.get(task.name, ()) or (
            owner is not None
            and (
                owner == task.name or any(input_files(edge.input, [path]) for edge in self.graph.edges[task.name])
            )
        )
