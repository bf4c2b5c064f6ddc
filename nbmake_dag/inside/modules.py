"""Modules of the repository: always compiled from source, never from ``__pycache__``, and listed at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import SourceFileLoader
from types import ModuleType

from nbmake_dag.inside.repository import Repository


def compile_from_source(repository: Repository) -> None:
    """Let no loader trust a ``.pyc`` of a local module: Python trusts it by size and a time in whole seconds.

    A loader that cannot stat a source neither reads nor writes its ``.pyc``. All loaders of source files are
    covered, also those that editable installs and users make themselves.
    """
    path_stats = SourceFileLoader.path_stats

    def local_path_stats(loader: SourceFileLoader, path: str) -> Mapping[str, object]:
        if repository.locate(path):
            raise OSError("local modules are compiled from source")
        return path_stats(loader, path)

    SourceFileLoader.path_stats = local_path_stats  # type: ignore[method-assign, assignment]


def local_modules(repository: Repository) -> Iterator[tuple[str, ModuleType, str]]:
    """Yield name, module and absolute path of the local modules that are loaded; not those of nbdag itself."""
    modules: list[tuple[str, object]] = list(sys.modules.items())
    for name, module in modules:
        if isinstance(module, ModuleType) and name != "__main__":
            file = vars(module).get("__file__")  # no lazy module wakes up
            if isinstance(file, str) and repository.surrounds(file):
                path = repository.locate(_archive_or_file(file))
                if path:
                    yield name, module, path


def _archive_or_file(path: str) -> str:
    """Return the file that a module is in: of one in a zip archive, the archive."""
    place = path
    while not os.path.exists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return place if os.path.isfile(place) else path


def loaded_modules(repository: Repository, root: str) -> list[str]:
    """Return the files of the local modules that are loaded, relative to ``root``."""
    return sorted({os.path.relpath(path, root) for _, _, path in local_modules(repository)})
