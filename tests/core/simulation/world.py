"""A pipeline whose tasks are pure functions, and what they come to when everything is computed from scratch.

This is the first oracle of the model test. It knows no key, no record and no cache; of nbdag it uses only the
values that a pipeline is made of.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from nbmake_dag.core.model import Command, Input, Output, Pipeline, Policy, ProjectPath, Task, TaskName, Value
from nbmake_dag.core.vocabulary import ReadKind

GROUP = 4
"""Tasks with numbers of the same group write files into the same folder, for globs to find."""
SOURCES = tuple(f"src/{number}.txt" for number in range(4))
MODULES = ("lib/first.py", "lib/second.py")
Files: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a task does. ``mode`` says how much of what it computes shows in its outputs."""

    version: int = 0
    mode: str = "exact"
    ignores: tuple[int, ...] = ()
    """The places of inputs that are declared, and never looked at."""
    reads: tuple[str, ...] = ()
    """Tasks whose metric is read; the second one only where the first one's is odd."""
    lists_upstream: bool = False
    """Reads the metric of every task above."""
    imports: bool = False
    """Loads the first module, and the second one where the first one's value is odd."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A task of the model; inputs, outputs and ``after`` name only what tasks of smaller numbers make."""

    name: str
    number: int
    program: Program
    parameter: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    after: tuple[str, ...]
    cache: bool = True
    store: bool = True


Specs: TypeAlias = Mapping[str, Spec]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One declared input as a task finds it: path, content, and whether a task made it, of each file."""

    path: str
    files: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one execution does, and everything that decided it."""

    files: Files
    metric: int
    read: tuple[tuple[str, ReadKind, Any], ...]
    """What it asked `upstream()` for: task, kind, and what it got."""
    loaded: tuple[tuple[str, str], ...]
    footprint: tuple[Any, ...]


def perform(spec: Spec, seen: tuple[Seen, ...], metrics: Mapping[str, int], modules: Files) -> Effect:
    """Compute what a task does with what it finds; ``metrics`` are those of all tasks above it."""
    program = spec.program
    read = tuple(_read(program, metrics))
    loaded = tuple(_load(program, modules))
    used = tuple(item for place, item in enumerate(seen) if place not in program.ignores)
    number = int(
        hashlib.sha256(repr((program, repr(spec.parameter), used, read, loaded)).encode()).hexdigest(), 16
    )
    value = {"exact": number, "coarse": number % 2, "constant": 0}[program.mode]
    files: dict[str, str] = {}
    for path in spec.outputs:
        if path.endswith("/"):
            files |= {f"{path}{part}.part": f"{path} {part} {value}" for part in range(value % 3)}
        else:
            files[path] = f"{path} {value}"
    decided = (program, repr(spec.parameter), spec.outputs, seen, frozenset(read), frozenset(loaded))
    return Effect(files=files, metric=number % 3, read=read, loaded=loaded, footprint=decided)


def _read(program: Program, metrics: Mapping[str, int]) -> Iterable[tuple[str, ReadKind, Any]]:
    if program.lists_upstream:
        yield "", "tasks", tuple(sorted(metrics))
        for name in sorted(metrics):
            yield name, "metrics", metrics[name]
    else:
        for name in program.reads:
            value = metrics.get(name)
            yield name, "metrics", value
            if value is None or not value % 2:
                break


def _load(program: Program, modules: Files) -> Iterable[tuple[str, str]]:
    if program.imports:
        first, second = MODULES
        yield first, modules[first]
        if int(modules[first]) % 2:
            yield second, modules[second]


def below(pattern: str, path: str) -> bool:
    """Say whether ``folder/*.suffix`` or ``folder/`` holds a path; these are all patterns of the model."""
    folder, _, name = pattern.partition("*") if "*" in pattern else (pattern, "", "")
    rest = path.removeprefix(folder)
    return path.startswith(folder) and rest.endswith(name) and ("*" not in pattern or "/" not in rest)


def find(spec: Spec, made: Files, user: Files) -> tuple[Seen, ...]:
    """Find what a task declares as inputs: first what tasks make, then what is the user's."""
    found: list[Seen] = []
    for path in spec.inputs:
        files = [(name, text, True) for name, text in matching(path, made).items()]
        files += [(name, text, False) for name, text in matching(path, user).items()]
        found.append(Seen(path=path, files=tuple(sorted(files))))
    return tuple(found)


def matching(pattern: str, files: Files) -> Files:
    """Return the files that an input means."""
    if "*" in pattern or pattern.endswith("/"):
        return {path: text for path, text in files.items() if below(pattern, path)}
    return {pattern: files[pattern]} if pattern in files else {}


def owned(specs: Specs, path: str) -> bool:
    return any(
        path == output or (output.endswith("/") and path.startswith(output))
        for spec in specs.values()
        for output in spec.outputs
    )


def producers(specs: Specs, pattern: str) -> set[str]:
    """Return the tasks with an output that an input means, or that holds it."""
    folder = pattern.partition("*")[0]
    return {
        spec.name
        for spec in specs.values()
        for output in spec.outputs
        if output == pattern
        or (output.endswith("/") and folder.startswith(output))
        or (("*" in pattern or pattern.endswith("/")) and below(pattern, output))
    }


def needs(specs: Specs) -> dict[str, set[str]]:
    """Return the tasks directly above each task."""
    return {
        spec.name: {name for path in spec.inputs for name in producers(specs, path)} | set(spec.after)
        for spec in specs.values()
    }


def above(specs: Specs) -> dict[str, set[str]]:
    """Return all tasks above each task."""
    direct = needs(specs)
    closure: dict[str, set[str]] = {}
    for name in sorted(specs, key=lambda name: specs[name].number):
        closure[name] = direct[name].union(*(closure[other] for other in direct[name]))
    return closure


def evaluate(specs: Specs, user: Files, modules: Files) -> dict[str, Effect]:
    """Compute every task from scratch."""
    effects: dict[str, Effect] = {}
    made: dict[str, str] = {}
    over = above(specs)
    for spec in sorted(specs.values(), key=lambda spec: spec.number):
        metrics = {name: effects[name].metric for name in over[spec.name]}
        seen = find(spec, made, user)
        effects[spec.name] = perform(spec, seen, metrics, modules)
        made |= effects[spec.name].files
    return effects


def files_below(root: str) -> dict[str, str]:
    """Return every file of a folder, by path relative to it."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".nbdag"]
        for name in names:
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                found[os.path.relpath(path, root)] = file.read()
    return found


def pipeline_of(specs: Specs) -> Pipeline:
    """Write the model's tasks as nbdag's."""
    return Pipeline(name="model", tasks={TaskName(spec.name): _task(spec) for spec in specs.values()})


def _task(spec: Spec) -> Task:
    parameter: Value = spec.parameter
    return Task(
        name=TaskName(spec.name),
        family=spec.name,
        work=Command(arguments=repr(spec.program)),
        inputs=tuple(Input(path=ProjectPath(path), is_glob="*" in path) for path in spec.inputs),
        outputs=tuple(Output(path=ProjectPath(path)) for path in spec.outputs),
        parameters={"parameter": parameter},
        after=tuple(TaskName(name) for name in spec.after),
        policy=Policy(cache=spec.cache, store=spec.store),
    )
