"""Which kernel runs a notebook, and what identifies it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.interpreters import Interpreters
from nbmake_dag_cache.stamps import Stamp, folder_stamp

DEFAULT = "python3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernelspec as it is installed; ``interpreter`` runs it, and is ``None`` for other languages."""

    name: str
    language: str
    interpreter: str | None

    def identity(self, interpreters: Interpreters) -> str:
        """Name, language, and of a Python the implementation and minor version; not where it is installed."""
        if self.interpreter is None:
            return f"{self.name} {self.language}"
        found = interpreters.ask(self.interpreter)
        return f"{self.name} {self.language} {found.implementation} {found.version}"


class Kernels:
    """The kernelspecs of this machine, looked up once each."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._path = variables.get("PATH")
        self._known: dict[str, Kernel] = {}
        self.folders: dict[str, Stamp | None] = {}
        """Folders that were searched, and those of kernels found: a change there may change what a name means."""

    def get(self, name: str) -> Kernel:
        """Look a kernel up; raises `UsageError` for a name that is not installed, with those that are."""
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def _look_up(self, name: str) -> Kernel:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415 - takes 0.1 s

        manager = KernelSpecManager()
        try:
            spec = manager.get_kernel_spec(name)
        except NoSuchKernel:
            installed = tuple(sorted(manager.find_kernel_specs()))
            raise UsageError(
                f"there is no kernel `{name}`",
                (("installed", ", ".join(installed) or "none"),),
                did_you_mean(name, installed) or "install its package, or name another with `kernel = ...`",
            ) from None
        for folder in (*manager.kernel_dirs, spec.resource_dir):
            self.folders.setdefault(folder, folder_stamp(folder))
        language = str(spec.language).lower()
        return Kernel(
            name=name,
            language=language,
            interpreter=self._interpreter(spec.argv) if language == "python" else None,
        )

    def _interpreter(self, argv: list[str]) -> str:
        """Resolve the first word of a kernelspec; the native one says ``python`` and means this one."""
        word = argv[0]
        if os.path.basename(word) in {"python", "python3"} and not os.path.dirname(word):
            return sys.executable
        return shutil.which(word, path=self._path) or word
