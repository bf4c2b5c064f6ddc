"""Modules of the repository: compiled from source whatever lies in ``__pycache__``, and listed at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from types import ModuleType

from nbmake_dag.inside.repository import Repository


def compile_from_source(repository: Repository) -> None:
    """Let no loader trust a ``.pyc`` of a local module: it is taken for fresh by whole-second mtime and size.

    A loader that cannot stat a source neither reads nor writes its ``.pyc``. All loaders of source files are
    covered, also those that editable installs and users make themselves.
    """
    path_stats = SourceFileLoader.path_stats

    def local_path_stats(loader: SourceFileLoader, path: str) -> Mapping[str, object]:
        if repository.locate(path):
            raise OSError("local modules are compiled from source")
        return path_stats(loader, path)

    SourceFileLoader.path_stats = local_path_stats  # type: ignore[method-assign, assignment]


def loaded_modules(repository: Repository, root: str) -> list[str]:
    """Return the files of the local modules that are loaded, relative to ``root``; not those of nbdag itself."""
    files: set[str] = set()
    modules: list[tuple[str, object]] = list(sys.modules.items())
    for name, module in modules:
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None  # no lazy module wakes up
        path = repository.locate(file) if isinstance(file, str) else None
        if path and name != "__main__":
            files.add(os.path.relpath(path, root))
    return sorted(files)
