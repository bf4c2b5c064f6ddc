"""From notebooks to tasks: what one writes and another reads is declared, what one end says is a suggestion."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nbmake_dag.core.globs import is_glob, matches
from nbmake_dag.core.matrix import name_fault
from nbmake_dag.core.paths import PathError, identity, read_pattern, written_path
from nbmake_dag.core.values import value_fault
from nbmake_dag.scaffold.discovery import FoundNotebook
from nbmake_dag.scaffold.file_uses import file_uses
from nbmake_dag.scaffold.literals import Literals, NotLiteralError, trees_of
from nbmake_dag_cache.identity import identify

Paths: TypeAlias = tuple[str, ...] | Mapping[str, str]
"""As ``inputs`` and ``outputs`` are written: a list, or a table of names."""

_INJECTED = ("inputs", "outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task to be. What is ``suggested`` becomes a comment; ``parameters`` are those of the notebook."""

    name: str
    notebook: str
    workdir: str
    inputs: Paths = ()
    outputs: Paths = ()
    suggested_inputs: tuple[str, ...] = ()
    suggested_outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What one notebook says of itself. Paths are relative to the project."""

    notebook: FoundNotebook
    workdir: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    injected: Mapping[str, Paths]
    """What its parameters cell assigns to ``inputs`` and ``outputs``, where that can be declared."""
    takes: frozenset[str]
    """Which of the two it assigns at all."""
    parameters: Mapping[str, Any]


def draft(root: str, notebooks: Iterable[FoundNotebook]) -> tuple[Draft, ...]:
    """Make a task of each notebook of a folder."""
    readings = [_read(root, notebook) for notebook in notebooks]
    writers: dict[str, list[_Reading]] = {}
    for reading in readings:
        for path in reading.writes:
            writers.setdefault(path, []).append(reading)
    names = _names([reading.notebook.path for reading in readings])
    return tuple(
        _draft(root, reading, name, readings, writers) for reading, name in zip(readings, names, strict=True)
    )


def _draft(
    root: str, reading: _Reading, name: str, readings: list[_Reading], writers: Mapping[str, list[_Reading]]
) -> Draft:
    own = {path for path, found in writers.items() if reading in found}
    sole = {path for path, found in writers.items() if len(found) == 1}
    others = [pattern for other in readings if other is not reading for pattern in other.reads]

    def is_there(path: str) -> bool:
        """Say whether something is at the other end of a read."""
        made = (other for other in sole - own if matches(path, other)) if is_glob(path) else {path} & (sole - own)
        return any(made) or (path not in writers and _exists(root, path))

    inputs: Paths = reading.injected.get("inputs", ())
    if not all(is_there(path) for path in _plain(inputs)):
        inputs = ()
    if "inputs" not in reading.takes:
        inputs = tuple(path for path in reading.reads if is_there(path))
    outputs: Paths = reading.injected.get("outputs", ())
    if not sole.issuperset(_plain(outputs)):
        outputs = ()
    if "outputs" not in reading.takes:
        outputs = tuple(
            path for path in reading.writes if path in sole and any(_reads(pattern, path) for pattern in others)
        )
    said_inputs, said_outputs = {*_plain(inputs), *own}, {*_plain(outputs)}
    return Draft(
        name=name,
        notebook=reading.notebook.path,
        workdir=reading.workdir,
        inputs=inputs,
        outputs=outputs,
        suggested_inputs=tuple(path for path in reading.reads if path not in said_inputs),
        suggested_outputs=tuple(path for path in sorted(own) if path not in said_outputs),
        parameters=reading.parameters,
    )


def _read(root: str, notebook: FoundNotebook) -> _Reading:
    trees = trees_of(notebook.source)
    literals = Literals(trees)
    uses = [use for use in file_uses(trees, literals) if _looks_like_a_path(use.path)]
    assigned = identify(notebook.source).parameters or ()
    values = {name: literals.get(name) for name in assigned if _is_known(literals, name)}
    given = {"read": _texts(values.get("inputs")), "write": _texts(values.get("outputs"))}
    said = [*(use.path for use in uses), *given["read"], *given["write"]]
    workdir = _workdir(root, posixpath.dirname(notebook.path), said)
    injected = {name: paths for name in _INJECTED if (paths := _declarable(name, values.get(name), workdir))}
    return _Reading(
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


def _workdir(root: str, folder: str, paths: list[str]) -> str:
    """Guess where a notebook expects to run: in its own folder, if more of its paths lead somewhere from there."""
    if not folder:
        return ""

    def count(start: str) -> int:
        places = (posixpath.normpath(posixpath.join(start, path)) for path in paths)
        return sum(
            not place.startswith("../") and _exists(root, posixpath.dirname(place) or ".") for place in places
        )

    return folder if count(folder) > count("") else ""


def _project_paths(paths: Iterable[str], workdir: str, role: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found for path in paths if (found := _project_path(path, workdir, role))))


def _project_path(path: str, workdir: str, role: str) -> str | None:
    try:
        read = read_pattern if role == "inputs" else written_path
        found = read(posixpath.join(workdir, path))
    except PathError:
        return None
    return None if found.startswith("../") or found == "./" or re.search("[{}]", found) else found


def _declarable(role: str, value: Any, workdir: str) -> Paths | None:
    """Turn what a parameters cell assigns into what the file can say, all of it or nothing."""
    if not isinstance(value, dict | list) or not all(isinstance(path, str) for path in _items(value)):
        return None
    places = [_project_path(path, workdir, role) for path in _items(value)]
    found = tuple(place for place in places if place)
    if not found or len(found) < len(places):
        return None
    return dict(zip(value, found, strict=True)) if isinstance(value, dict) else found


def _names(paths: list[str]) -> list[str]:
    """Name tasks by their notebooks, with as many folders as it takes to tell them apart."""
    names: list[str] = []
    seen: set[str] = set()
    for path in paths:
        *folders, name = posixpath.splitext(path)[0].split("/")
        name = re.sub(r"[\[\]=,]", "-", name).strip()
        while (name_fault(name) or identity(name) in seen) and folders:
            name = f"{folders.pop()}-{name}"
        number = 2
        candidate = name
        while identity(candidate) in seen:
            candidate, number = f"{name}-{number}", number + 1
        seen.add(identity(candidate))
        names.append(candidate)
    return names


def _plain(paths: Paths) -> tuple[str, ...]:
    return tuple(paths.values()) if isinstance(paths, Mapping) else paths


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


def _is_known(literals: Literals, name: str) -> bool:
    try:
        literals.get(name)
    except NotLiteralError:
        return False
    return True


def _reads(pattern: str, path: str) -> bool:
    return matches(pattern, path) if is_glob(pattern) else pattern == path


def _exists(root: str, path: str) -> bool:
    if not is_glob(path):
        return os.path.exists(os.path.join(root, path))
    folder = posixpath.dirname(path)
    try:
        names = os.listdir(os.path.join(root, folder))
    except OSError:
        return False
    return any(matches(path, posixpath.join(folder, name)) for name in names)


def _looks_like_a_path(text: str) -> bool:
    return "\n" not in text and ("/" in text or "." in text)
