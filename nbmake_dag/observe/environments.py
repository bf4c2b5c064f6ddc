"""The Python environments that nbdag makes, known from their lock files alone: nothing is made or asked here."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from nbmake_dag import __version__
from nbmake_dag.core.model import EnvironmentSettings, Notebook, ProjectPath, Task, TaskName
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.memo import IdentityMemo, StatMemo

if TYPE_CHECKING:
    from nbmake_dag.observe.locks.selection import Locked

_SCHEMA = "environment-1"
IMPLEMENTATION = "cpython"


class _Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package of an environment: how it counts, and how it is asked for."""

    name: str
    version: str
    identity: str
    requirement: str


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a lock file gave: packages, or what is wrong with it."""

    packages: tuple[_Package, ...] = ()
    what: str = ""
    hint: str = ""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """An environment as its lock file describes it, or why it cannot be made."""

    name: str
    version: str
    """That of its Python: ``3.12``."""
    build: bool
    packages: tuple[_Package, ...]
    problem: Complaint | None

    @property
    def python(self) -> str:
        """Implementation and minor version of its Python."""
        return f"{IMPLEMENTATION} {self.version}"

    @property
    def locked(self) -> dict[str, str]:
        """Version and hash of each package, which is what counts."""
        return {package.name: package.identity for package in self.packages}

    @property
    def versions(self) -> dict[str, str]:
        return {package.name: package.version for package in self.packages}

    @property
    def requirements(self) -> tuple[str, ...]:
        """One line for each package, with its hashes."""
        return tuple(package.requirement for package in self.packages)


class Environments:
    """The environments of a pipeline; what a lock file selects is remembered for as long as it is unchanged."""

    def __init__(self, project: Project, files: StatMemo, memo: IdentityMemo) -> None:
        self._project = project
        self._files = files
        self._memo = memo
        self._known: dict[tuple[str, bool], Environment] = {}

    def fresh(self) -> Environments:
        """Return environments that look at their lock files afresh."""
        return Environments(self._project, self._files, self._memo)

    def of(self, task: Task) -> Environment | None:
        """Return what a task runs in, if nbdag makes that; one for notebooks has a kernel."""
        if task.environment is None:
            return None
        which = task.environment.name, isinstance(task.work, Notebook)
        if which not in self._known:
            self._known[which] = self._look(task.environment, kernel=which[1])
        return self._known[which]

    def unusable(self, tasks: Iterable[Task]) -> dict[TaskName, Complaint]:
        """Complain about the tasks whose environment cannot be made from its lock file."""
        found = {task.name: environment for task in tasks if (environment := self.of(task))}
        return {name: each.problem for name, each in found.items() if each.problem}

    def _look(self, settings: EnvironmentSettings, *, kernel: bool) -> Environment:
        python = settings.python or sys.version_info[:2]
        found = self._read(settings, python, kernel=kernel)
        problem = None
        if found.what:
            problem = Complaint(
                what=f"environment `{settings.name}`: {settings.lock} {found.what}",
                place=settings.place,
                hint=found.hint,
            )
        return Environment(
            name=settings.name,
            version="{}.{}".format(*python),
            build=settings.build,
            packages=found.packages,
            problem=problem,
        )

    def _read(self, settings: EnvironmentSettings, python: tuple[int, int], *, kernel: bool) -> _Found:
        path = self._project.absolute(settings.lock)
        try:
            digest = self._files.digest(path)
            question = _question(digest, settings, python, kernel=kernel)
            text = self._memo.get(question, _SCHEMA)
            if text is not None:
                return msgspec.json.decode(text, type=_Found)
            data, _ = self._files.read(path)
        except OSError as error:
            return _Found(what=f"cannot be read: {error.strerror}")
        found = _selected(data, settings, python, kernel=kernel)
        self._memo.put(question, _SCHEMA, msgspec.json.encode(found).decode())
        return found


def lock_files(tasks: Iterable[Task]) -> frozenset[ProjectPath]:
    """Return the lock files of the environments that tasks run in."""
    return frozenset(task.environment.lock for task in tasks if task.environment)


def _selected(data: bytes, settings: EnvironmentSettings, python: tuple[int, int], *, kernel: bool) -> _Found:
    # packaging is not for builds without environments
    from nbmake_dag.observe.locks.lock_file import select  # noqa: PLC0415
    from nbmake_dag.observe.locks.selection import LockError, Wanted  # noqa: PLC0415

    wanted = Wanted(python=python, groups=settings.groups, extras=settings.extras, build=settings.build)
    try:
        return _Found(packages=tuple(map(_package, select(data, settings.lock, wanted, kernel=kernel))))
    except LockError as error:
        return _Found(what=error.what, hint=error.hint)


def _package(locked: Locked) -> _Package:
    return _Package(
        name=locked.name, version=locked.version, identity=locked.identity, requirement=locked.requirement
    )


def _question(digest: Digest, settings: EnvironmentSettings, python: tuple[int, int], *, kernel: bool) -> Digest:
    """Digest all that decides what a lock file selects."""
    wanted = (settings.lock, settings.groups, settings.extras, settings.build, python, kernel)
    machine = (*os.uname(), platform.libc_ver())
    return digest_text(repr((_SCHEMA, __version__, str(digest), wanted, machine)))
