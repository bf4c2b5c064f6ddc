"""The files that one notebook reads and writes, from its code, and the folder in which it expects to run."""

from __future__ import annotations

import ast
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from nbmake_dag.config.paths import PathError, read_pattern, written_path
from nbmake_dag.config.values import value_fault
from nbmake_dag.core.globs import escaped, is_glob, matches, unescaped
from nbmake_dag.scaffold.discovery import FoundNotebook
from nbmake_dag.scaffold.file_uses import uses_and_home
from nbmake_dag.scaffold.literals import parameters_of, trees_of
from nbmake_dag.scaffold.r_files import r_file_uses
from nbmake_dag_cache.identity import identify

Paths: TypeAlias = tuple[str, ...] | Mapping[str, str]
"""As ``inputs`` and ``outputs`` are written: a list, or a table of names."""

_LARGEST_MODULE = 1 << 20
_INJECTED = ("inputs", "outputs")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The uses of files found in one notebook. Paths are relative to the project."""

    notebook: FoundNotebook
    workdir: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    injected: Mapping[str, Paths]
    """What its parameters cell assigns to ``inputs`` and ``outputs``, where that can be declared."""
    takes: frozenset[str]
    """Which of the two it assigns at all."""
    parameters: Mapping[str, Any]


def read(root: str, notebook: FoundNotebook) -> Reading:
    uses, home = uses_and_home(
        trees_of(notebook.source), lambda name: _module(root, posixpath.dirname(notebook.path), name)
    )
    if notebook.source.language.lower() == "r":
        uses = r_file_uses(notebook.source)
    assigned = identify(notebook.source).parameters or ()
    values = parameters_of(notebook.source)
    given = {"read": _texts(values.get("inputs")), "write": _texts(values.get("outputs"))}
    said = [*(use.path for use in uses), *given["read"], *given["write"]]
    folder = posixpath.dirname(notebook.path)
    workdir = _workdir(root, folder, said)
    if home is not None and not (place := posixpath.normpath(posixpath.join(folder, home))).startswith(".."):
        workdir = "" if place == "." else place
    injected = {name: paths for name in _INJECTED if (paths := _declarable(name, values.get(name), workdir))}
    return Reading(
        notebook=notebook,
        workdir=workdir,
        reads=_project_paths(
            [*given["read"], *(use.path for use in uses if use.mode == "read")], workdir, "inputs"
        ),
        writes=_project_paths(
            [*given["write"], *(use.path for use in uses if use.mode == "write")], workdir, "outputs"
        ),
        injected=injected,
        takes=frozenset(_INJECTED).intersection(assigned),
        parameters={
            name: value for name, value in values.items() if name not in _INJECTED and not value_fault(value)
        },
    )


def _module(root: str, folder: str, name: str) -> tuple[str, ast.Module] | None:
    """Find a module beside a notebook, in a folder above it, or in ``src`` there.

    Its path is relative to the folder of the notebook.
    """
    start = folder
    while True:
        for place in (start, posixpath.join(start, "src")):
            path = posixpath.join(place, f"{name.replace('.', '/')}.py")
            try:
                with open(os.path.join(root, path), "rb") as file:
                    return posixpath.relpath(path, folder or "."), ast.parse(file.read(_LARGEST_MODULE))
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                continue
        if not start:
            return None
        start = posixpath.dirname(start)


def _workdir(root: str, folder: str, paths: list[str]) -> str:
    """Guess where a notebook expects to run: in its own folder, as in Jupyter, unless its paths lead elsewhere.

    Folders that are in neither place are those of the project, which the first run makes.
    """
    relative = [path for path in paths if not path.startswith(("/", "~")) and "://" not in path]

    def score(start: str) -> tuple[int, int, int]:
        places = [posixpath.normpath(posixpath.join(start, path)) for path in relative]
        inside = [place for place in places if place != ".." and not place.startswith("../")]
        there = sum(exists(root, place) for place in inside)
        return (
            len(inside),
            there,
            sum(os.path.isdir(os.path.join(root, posixpath.dirname(place))) for place in inside),
        )

    own, top = score(folder), score("")
    if relative and own == top and own[1:] == (0, 0):
        return ""
    return folder if own >= top else ""


def _project_paths(paths: Iterable[str], workdir: str, role: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found for path in paths if (found := _project_path(path, workdir, role))))


def _project_path(path: str, workdir: str, role: str) -> str | None:
    declared = posixpath.join(escaped(workdir), path)
    try:
        found = str((read_pattern if role == "inputs" else written_path)(declared))
    except PathError:
        return None
    if not is_glob(declared):
        found = escaped(found)
    return None if found.startswith("../") or found == "./" or re.search("[{}]", found) else found


def _declarable(role: str, value: Any, workdir: str) -> Paths | None:
    """Turn the values of a parameters cell into values of TOML, all of them or none."""
    if not isinstance(value, dict | list) or not all(isinstance(path, str) for path in _items(value)):
        return None
    places = [_project_path(path, workdir, role) for path in _items(value)]
    found = tuple(place for place in places if place)
    if not found or len(found) < len(places):
        return None
    return dict(zip(value, found, strict=True)) if isinstance(value, dict) else found


def _texts(value: Any) -> list[str]:
    """Return every string in lists and tables."""
    match value:
        case str():
            return [value]
        case dict() | list():
            return [text for item in _items(value) for text in _texts(item)]
        case _:
            return []


def _items(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def exists(root: str, path: str) -> bool:
    """Return whether something on disk provides an input: a file, a folder where `/` ends the path, or a match."""
    place = os.path.join(root, unescaped(path))
    if not is_glob(path):
        return os.path.isdir(place) if path.endswith("/") else os.path.isfile(place)
    folder = posixpath.dirname(path)
    try:
        names = os.listdir(os.path.join(root, folder))
    except OSError:
        return False
    return any(matches(path, posixpath.join(folder, name)) for name in names)
