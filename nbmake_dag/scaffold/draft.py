"""Draft tasks from notebooks: a file that one writes and another reads is declared, others are suggested."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.config.matrix import name_fault
from nbmake_dag.config.paths import folded
from nbmake_dag.core.globs import is_glob, matches, unescaped
from nbmake_dag.scaffold.discovery import FoundNotebook
from nbmake_dag.scaffold.reading import Paths, Reading, exists, read


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A task to be. What is ``suggested`` becomes a comment; ``parameters`` are those of the notebook."""

    name: str
    notebook: str
    workdir: str
    inputs: Paths = ()
    outputs: Paths = ()
    suggested_inputs: tuple[str, ...] = ()
    suggested_outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = {}
    kernel: str = "python3"
    """The kernel that the notebook asks for; empty where it is in another language than Python and names none."""
    language: str = "python"


def draft(root: str, notebooks: Iterable[FoundNotebook]) -> tuple[Draft, ...]:
    """Make a task of each notebook of a folder."""
    readings = [read(root, notebook) for notebook in notebooks]
    names = _names([reading.notebook.path for reading in readings])
    makers = _makers(root, readings)
    outputs = [_outputs(reading, readings, makers) for reading in readings]
    made = {path: name for name, paths in zip(names, outputs, strict=True) for path in _plain(paths)}
    drafts = [
        _draft(root, reading, name, its, made) for reading, name, its in zip(readings, names, outputs, strict=True)
    ]
    return _without_circles(drafts)


def only_suggested(draft: Draft) -> Draft:
    """Turn everything that a draft declares into suggestions."""
    return _without(draft, inputs=_plain(draft.inputs), outputs=_plain(draft.outputs))


def runs_here(draft: Draft, kernels: Mapping[str, str]) -> bool:
    """Return whether one of the kernels, each with its language, can run the notebook."""
    is_known = draft.language == "python" or (not draft.kernel and draft.language in kernels.values())
    return draft.kernel in kernels or is_known


def as_made_here(root: str, drafts: Sequence[Draft], kernels: Mapping[str, str]) -> tuple[Draft, ...]:
    """Only suggest the inputs that do not exist, and that only notebooks make which cannot run here."""
    made = {path for draft in drafts if runs_here(draft, kernels) for path in _plain(draft.outputs)}
    unmade = {path for draft in drafts for path in _plain(draft.outputs)} - made
    missing = {path for path in unmade if not exists(root, path)}
    return tuple(
        _without(draft, inputs=[path for path in _plain(draft.inputs) if path in missing])
        if runs_here(draft, kernels)
        else draft
        for draft in drafts
    )


def _without_circles(drafts: list[Draft]) -> tuple[Draft, ...]:
    """Only suggest the inputs by which notebooks need each other, and the outputs that are then unread."""
    makers = {path: draft.name for draft in drafts for path in _plain(draft.outputs)}

    def made_by(pattern: str) -> set[str]:
        return {maker for path, maker in makers.items() if _reads(pattern, path)}

    needs = {draft.name: {name for path in _plain(draft.inputs) for name in made_by(path)} for draft in drafts}
    above = {name: _above(name, needs) for name in needs}
    circular = {
        draft.name: [path for path in _plain(draft.inputs) if any(draft.name in above[it] for it in made_by(path))]
        for draft in drafts
    }
    kept = [_without(draft, inputs=circular[draft.name]) for draft in drafts]
    read = [path for draft in kept for path in _plain(draft.inputs)]
    unread = {
        draft.name: [path for path in _plain(draft.outputs) if not any(_reads(pattern, path) for pattern in read)]
        for draft in kept
    }
    return tuple(_without(draft, outputs=unread[draft.name]) if circular[draft.name] else draft for draft in kept)


def _above(name: str, needs: Mapping[str, set[str]]) -> set[str]:
    """Return all that a task needs, directly or not; itself only in a circle."""
    found: set[str] = set()
    left = [name]
    while left:
        new = needs[left.pop()] - found
        found |= new
        left += new
    return found


def _without(draft: Draft, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Draft:
    """Turn declared paths into suggestions; of a table of names all or none are declared."""
    return replace(
        draft,
        inputs=_less(draft.inputs, inputs),
        outputs=_less(draft.outputs, outputs),
        suggested_inputs=(*inputs, *draft.suggested_inputs),
        suggested_outputs=(*outputs, *draft.suggested_outputs),
    )


def _less(paths: Paths, gone: Sequence[str]) -> Paths:
    if isinstance(paths, Mapping):
        return () if gone else paths
    return tuple(path for path in paths if path not in gone)


def _makers(root: str, readings: Iterable[Reading]) -> dict[str, Reading]:
    """Return who writes each file that can be declared: one notebook alone, and nothing in its way.

    In its way are a file of the same name in other letters, a folder that is written as a file, a source.
    """
    readings = tuple(readings)
    written = [(path, reading) for reading in readings for path in reading.writes]
    times = Counter(folded(path) for path, _ in written)
    taken = {folded("pipeline.toml"), *(folded(reading.notebook.path) for reading in readings)}
    folders = {folder for path in (*times, *taken) for folder in _folders(path)}
    return {
        path: reading
        for path, reading in written
        if times[folded(path)] == 1
        and folded(path) not in taken | folders
        and not any(folder in times for folder in _folders(folded(path)))
        and _is_inside(root, path)
    }


def _folders(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:length]) for length in range(1, len(parts)))


def _is_inside(root: str, path: str) -> bool:
    """Return whether a path leads into the project, also through links."""
    real = os.path.realpath(root)
    return os.path.commonpath([real, os.path.realpath(os.path.join(root, path))]) == real


def _outputs(reading: Reading, readings: Iterable[Reading], makers: Mapping[str, Reading]) -> Paths:
    """Return the outputs of a notebook: those in its parameters cell, else those that others read."""
    if "outputs" in reading.takes:
        outputs = reading.injected.get("outputs", ())
        return outputs if all(makers.get(path) is reading for path in _plain(outputs)) else ()
    others = [pattern for other in readings if other is not reading for pattern in other.reads]
    return tuple(
        path
        for path in reading.writes
        if makers.get(path) is reading and any(_reads(pattern, path) for pattern in others)
    )


def _draft(root: str, reading: Reading, name: str, outputs: Paths, made: Mapping[str, str]) -> Draft:
    own = {*reading.writes}

    def is_there(path: str) -> bool:
        """Return whether another task or a file provides what is read."""
        if path in own or any(_reads(path, mine) for mine in own):
            return False
        return exists(root, path) or any(_reads(path, one) for one in made)

    inputs: Paths = reading.injected.get("inputs", ())
    if not all(is_there(path) for path in _plain(inputs)):
        inputs = ()
    if "inputs" not in reading.takes:
        inputs = tuple(path for path in reading.reads if is_there(path))
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
        kernel=reading.notebook.source.kernel
        or ("python3" if reading.notebook.source.language == "python" else ""),
        language=reading.notebook.source.language,
    )


def _names(paths: list[str]) -> list[str]:
    """Name tasks by their notebooks, with as many folders as needed to make them unique."""
    names: list[str] = []
    seen: set[str] = set()
    for path in paths:
        *folders, name = posixpath.splitext(path)[0].split("/")
        name = re.sub(r"[\[\]=,]", "-", name).strip()
        while (name_fault(name) or folded(name) in seen) and folders:
            name = f"{folders.pop()}-{name}"
        number = 2
        candidate = name
        while folded(candidate) in seen:
            candidate, number = f"{name}-{number}", number + 1
        seen.add(folded(candidate))
        names.append(candidate)
    return names


def _plain(paths: Paths) -> tuple[str, ...]:
    return tuple(paths.values()) if isinstance(paths, Mapping) else paths


def _reads(pattern: str, path: str) -> bool:
    """Return whether what is read is, matches, or lies in what is written."""
    if is_glob(pattern):
        return matches(pattern, unescaped(path))
    return pattern == path or (path.endswith("/") and pattern.startswith(path))
