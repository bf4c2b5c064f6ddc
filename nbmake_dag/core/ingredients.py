"""The own ingredients of a task: everything that decides its result and is known before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

import msgspec

from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.lookup import labels, literal
from nbmake_dag.core.model import Command, Function, Input, Notebook, ProjectPath, Task, Value
from nbmake_dag.core.urls import scrubbed
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.key import Ingredient

Files: TypeAlias = tuple[tuple[ProjectPath, Digest], ...]

FORMAT = "4"
"""Changes when the meaning of ingredients does, and thereby every key."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about one task from the disk and the machine."""

    source: tuple[Ingredient, ...] = ()
    """The cells of a notebook, or the installed code of a function."""
    kernel: str = ""
    """What identifies the kernel or the interpreter; empty for a command."""
    allow_errors: bool = False
    """Whether the cells of a notebook may raise."""
    modules: Mapping[str, str] = {}
    """Digests of the local modules that reading the code finds, by path."""
    inputs: Mapping[Input, Files] = {}
    """Files of each external input."""
    folders: frozenset[Input] = frozenset()
    """Those that are folders, whether or not they are written so, and are there or made by tasks above."""


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """What `[software]` is at present, the same for all tasks of one interpreter."""

    lockfiles: Mapping[ProjectPath, str]
    packages: Mapping[str, str]
    variables: Mapping[str, str | None]
    """Digests of values; ``None`` for a variable that is not set."""
    locked: Mapping[str, str] = {}
    """Version and hash of what the lock file of a task's environment selects, by name."""


_shared = lru_cache(maxsize=4096)(Ingredient)
"""Makes an ingredient that many tasks have, once for all of them."""


def own_ingredients(task: Task, observed: Observed, software: Software, epoch: str) -> tuple[Ingredient, ...]:
    """List a task's own ingredients, each once, in no particular order."""
    return (
        _shared("format", "", FORMAT),
        *([Ingredient("epoch", "", epoch)] if epoch else ()),
        *_work(task, observed),
        *(Ingredient("parameter", name, literal(value)) for name, value in task.parameters.items()),
        *_paths(task, observed),
        *(_shared("module", path, digest) for path, digest in observed.modules.items()),
        *_software(task, software),
    )


def modules_among(ingredients: Iterable[Ingredient]) -> frozenset[str]:
    """Return the paths of the modules and scripts among ingredients."""
    return frozenset(item.name for item in ingredients if item.kind == "module")


def _work(task: Task, observed: Observed) -> Iterator[Ingredient]:
    match task.work:
        case Notebook():
            yield from observed.source
            if observed.allow_errors:
                yield Ingredient("allow errors", "", "true")
        case Function(module=module, qualname=qualname):
            yield Ingredient("function", "", f"{module}:{qualname}")
            yield from observed.source
        case Command(arguments=str(script)):
            yield Ingredient("command", "", script)
        case Command(arguments=arguments):
            yield Ingredient("command", "", literal(list(arguments)))
    if observed.kernel:
        yield Ingredient("kernel", "", observed.kernel)
    yield _shared("workdir", "", task.workdir)


def _paths(task: Task, observed: Observed) -> Iterator[Ingredient]:
    for what, declared in (("inputs", task.inputs), ("outputs", task.outputs)):
        if any(item.name is not None for item in declared):
            # the work sees a table, where unnamed ones are a list
            yield Ingredient("named", what, "")
    for item, name in labels(task).items():
        files = observed.inputs.get(item, ())
        if item.is_glob:
            yield Ingredient("glob", name, "")
        elif item in observed.folders or (item.path.endswith("/") and not item.optional):
            yield Ingredient("folder", name, "", path=item.path)
        elif item.optional and item in observed.inputs and not files:
            yield Ingredient("input", name, ABSENT, path=item.path)
        for path, digest in files:
            # a copy is somewhere; what it is a copy of can be read
            yield _shared("input", name, digest, path=scrubbed(item.remote.url) if item.remote else path)
    for name, gathered in task.gathers.items():
        listed: Value = [[file.path, dict(file.params)] for file in gathered]
        yield Ingredient("gathered", name, digest_text(literal(listed)))
    for position, output in enumerate(task.outputs):
        name = output.name if output.name is not None else str(position)
        yield Ingredient("output", name, "", path=output.path)


def _software(task: Task, software: Software) -> Iterable[Ingredient]:
    for path, digest in software.lockfiles.items():
        yield _shared("lockfile", path, digest)
    for package, version in software.packages.items():
        yield _shared("package", package, version)
    for package, identity in software.locked.items():
        yield _shared("locked", package, identity)
    for variable, value in software.variables.items():
        yield _shared("variable", variable, "unset" if value is None else value)
    for name, value in task.env.items():
        yield Ingredient("env", name, value)
    for name in task.secrets:
        yield Ingredient("secret", name, ABSENT)
