"""The software that tasks run with, as far as ``[software]`` declares it: lock files, packages, variables."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.ingredients import Software
from nbmake_dag.core.model import ProjectPath, SoftwareSettings
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.observe.environments import Environment
from nbmake_dag.observe.interpreters import Interpreters, normalised
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.variables import Variables
from nbmake_dag_cache.memo import StatMemo


class DeclaredSoftware:
    """What `[software]` of one pipeline declares, observed once for each interpreter."""

    def __init__(
        self,
        project: Project,
        declared: SoftwareSettings,
        files: StatMemo,
        interpreters: Interpreters,
        variables: Variables,
    ) -> None:
        self._project = project
        self._declared = declared
        self._files = files
        self._interpreters = interpreters
        self._variables = variables
        self._known: dict[str | None, Software] = {}

    def of(self, interpreter: str | None) -> Software:
        """Observe it; packages are those of the interpreter that runs the work, absent where there is none."""
        if interpreter not in self._known:
            declared = self._declared
            packages: Mapping[str, str] = {}
            if declared.packages and interpreter is not None:
                packages = self._interpreters.ask(interpreter).packages
            self._known[interpreter] = Software(
                lockfiles={path: self._lockfile(path) for path in declared.lockfiles},
                packages={name: packages.get(normalised(name), ABSENT) for name in declared.packages},
                variables={name: self._variables.digest(name) for name in declared.variables},
            )
        return self._known[interpreter]

    def in_environment(self, environment: Environment) -> Software:
        """Observe it for tasks of an environment that nbdag makes: packages are those that are locked."""
        declared = self.of(None)
        versions = environment.versions
        packages = {name: versions.get(normalised(name), ABSENT) for name in declared.packages}
        return replace(declared, packages=packages, locked=environment.locked)

    def _lockfile(self, path: ProjectPath) -> str:
        try:
            return self._files.digest(self._project.absolute(path))
        except OSError as error:
            what = f"lock file `{path}` cannot be read: {error.strerror}"
            hint = "lock files are relative to the folder of this file"
            raise ConfigError((Complaint(what=what, place=self._declared.place, hint=hint),)) from error
