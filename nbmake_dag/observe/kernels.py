"""Which kernel runs a notebook, and what identifies it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from nbmake_dag.core.model import Notebook, Task
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import Complaint, UsageError
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.memo import IdentityMemo
from nbmake_dag_cache.stamps import Stamp, folder_stamp

DEFAULT = "python3"
_SCHEMA = "kernelspec-1"
_DECISIVE = ("HOME", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_PREFER_ENV_PATH", "JUPYTER_NO_CONFIG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernelspec as it is installed; ``interpreter`` runs it, and is ``None`` for other languages."""

    name: str
    language: str
    argv: tuple[str, ...]
    interpreter: str | None

    def identity(self, interpreters: Interpreters) -> str:
        """Name, language, and of a Python the implementation and minor version; not where it is installed."""
        if self.interpreter is None:
            return f"{self.name} {self.language}"
        found = interpreters.ask(self.interpreter)
        return f"{self.name} {self.language} {found.implementation} {found.version}"


class _Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A kernelspec as it was found, and the folders that decided it, as they were."""

    language: str
    argv: list[str]
    folders: dict[str, Stamp | None]


def missing_kernels(
    project: Project, tasks: Iterable[Task], sources: Sources, kernels: Kernels
) -> list[Complaint]:
    """Complain about notebooks whose kernel is not installed."""
    complaints: list[Complaint] = []
    for task in tasks:
        if isinstance(task.work, Notebook):
            name = task.work.kernel or sources.notebook(task.work.path).identity.kernel or DEFAULT
            try:
                kernels.get(name)
            except UsageError as error:
                facts = "; ".join(f"{fact}: {value}" for fact, value in error.facts)
                complaints.append(
                    Complaint(
                        what=f"task `{task.name}`: {error.what}",
                        place=f"{os.path.basename(project.config)}:{task.line}",
                        hint=f"{error.hint} ({facts})",
                    )
                )
    return complaints


class Kernels:
    """The kernelspecs of this machine; one that was found is remembered while its folders are unchanged."""

    def __init__(self, variables: Mapping[str, str], memo: IdentityMemo) -> None:
        self._variables = variables
        self._memo = memo
        self._known: dict[str, Kernel] = {}
        self.folders: dict[str, Stamp | None] = {}
        """What was searched, and what was found there: a change of it may change what a name means."""

    def get(self, name: str) -> Kernel:
        """Look a kernel up; raises `UsageError` for a name that is not installed, with those that are."""
        if name not in self._known:
            spec = self._recall(name) or self._find(name)
            self.folders.update(spec.folders)
            interpreter = self._interpreter(spec.argv) if spec.language == "python" else None
            self._known[name] = Kernel(
                name=name, language=spec.language, argv=tuple(spec.argv), interpreter=interpreter
            )
        return self._known[name]

    def _recall(self, name: str) -> _Spec | None:
        text = self._memo.get(self._question(name), _SCHEMA)
        if text is None:
            return None
        spec = msgspec.json.decode(text, type=_Spec)
        unchanged = all(folder_stamp(folder) == stamp for folder, stamp in spec.folders.items())
        return spec if unchanged else None

    def _find(self, name: str) -> _Spec:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415 - takes 0.2 s

        manager = KernelSpecManager()
        folders = {folder: folder_stamp(folder) for folder in manager.kernel_dirs}
        try:
            found = manager.get_kernel_spec(name)
        except NoSuchKernel:
            installed = tuple(sorted(manager.find_kernel_specs()))
            raise UsageError(
                f"there is no kernel `{name}`",
                (("installed", ", ".join(installed) or "none"),),
                did_you_mean(name, installed) or "install its package, or name another with `kernel = ...`",
            ) from None
        # a file that is rewritten in its place leaves no trace in its folder
        for path in (found.resource_dir, os.path.join(found.resource_dir, "kernel.json")):
            folders[path] = folder_stamp(path)
        spec = _Spec(language=str(found.language).lower(), argv=found.argv, folders=folders)
        self._memo.put(self._question(name), _SCHEMA, msgspec.json.encode(spec).decode())
        return spec

    def _question(self, name: str) -> Digest:
        """Name all that decides which kernelspec a name means, besides the folders."""
        decisive = (self._variables.get(variable, "") for variable in _DECISIVE)
        return digest_text("\0".join((name, sys.executable, *decisive)))

    def _interpreter(self, argv: list[str]) -> str:
        """Resolve the first word of a kernelspec; the native one says ``python`` and means this one."""
        word = argv[0]
        if os.path.basename(word) in {"python", "python3"} and not os.path.dirname(word):
            return sys.executable
        return shutil.which(word, path=self._variables.get("PATH")) or word
