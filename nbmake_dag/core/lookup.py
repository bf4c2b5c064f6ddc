"""From ingredients to a hit or a miss: own key, static key, traces, key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from nbmake_dag.core.facts import ABSENT, Facts, Result, logged_values
from nbmake_dag.core.graph import Edge, Graph, input_files
from nbmake_dag.core.model import Input, Task, TaskName, Value
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.key import Ingredient, Key, key_of
from nbmake_dag_cache.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """All that decides a task's result before it runs: own ingredients, and digests of what is above it.

    It is the right to write a record: whoever has no identity of a task cannot publish one.
    """

    own_key: Key
    static_key: Key
    ingredients: tuple[Ingredient, ...]


def literal(value: Value) -> str:
    """Write a parameter so that values of different types differ: ``1``, ``1.0``, ``true``, ``"1"``."""
    if isinstance(value, bool) or value is None:
        return msgspec.json.encode(value).decode()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return msgspec.json.encode(value).decode() if _encodable(value) else ascii(value)
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    return f"{{{', '.join(f'{literal(name)}: {literal(value[name])}' for name in sorted(value))}}}"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def labels(task: Task) -> dict[Input, str]:
    """Name each input as the work sees it: by its name, or by its place in the list."""
    names: dict[Input, str] = {}
    for position, item in enumerate(task.inputs):
        names.setdefault(item, str(position) if item.name is None else item.name)
    return names


def upstream_ingredients(
    task: Task, edges: Iterable[Edge], results: Mapping[TaskName, Result]
) -> Iterator[Ingredient]:
    """Yield the digest of every file that a task above made and this one declares as input."""
    names = labels(task)
    for edge in edges:
        output = results[edge.producer].outputs.get(edge.output)
        name = names[edge.input]
        if output is None:
            yield Ingredient("input", f"{name}: {edge.input.path}", ABSENT, "upstream")
        elif edge.input.path == edge.output:
            yield Ingredient("input", f"{name}: {edge.output}", output.digest, "upstream")
        else:
            digests = {file.path: file.xxh3 for file in output.files}
            paths = input_files(edge.input, digests)
            if not paths and not edge.input.is_glob and not edge.input.path.endswith("/"):
                yield Ingredient("input", f"{name}: {edge.input.path}", ABSENT, "upstream")
            for path in paths:
                yield Ingredient("input", f"{name}: {path}", digests[path], "upstream")


def identify(name: TaskName, graph: Graph, facts: Facts, results: Mapping[TaskName, Result]) -> Identity:
    """Complete a task's ingredients; results of all tasks that make its inputs must be known."""
    above = tuple(upstream_ingredients(graph.tasks[name], graph.edges[name], results))
    known = (*facts.own, *above)
    static_key = key_of(known) if above else facts.own_key
    return Identity(own_key=facts.own_key, static_key=static_key, ingredients=known)


def find_record(
    name: TaskName, identity: Identity, graph: Graph, facts: Facts, results: Mapping[TaskName, Result]
) -> Record | None:
    """Find the record of an execution that would be the same.

    What each earlier execution used besides is looked at as it is now, newest first.
    """
    usable = [record for record in facts.records if record.static_key == identity.static_key]
    by_key = {record.key: record for record in reversed(usable)}
    tried: set[tuple[tuple[str, str], ...]] = set()
    for record in usable:
        used = tuple((item.kind, item.name) for item in record.ingredients if item.stage == "trace")
        if used in tried:
            continue
        tried.add(used)
        trace = tuple(present_trace(name, used, graph, facts.modules, results))
        key = key_of((*identity.ingredients, *trace)) if trace else identity.static_key
        if key in by_key:
            return by_key[key]
    return None


def present_trace(
    name: TaskName,
    used: Iterable[tuple[str, str]],
    graph: Graph,
    modules: Mapping[str, str],
    results: Mapping[TaskName, Result],
) -> Iterator[Ingredient]:
    """Yield what a trace names, (kind, name) each, with its present digest."""
    above: Mapping[TaskName, Result] | None = None
    for kind, which in used:
        if kind == "module":
            yield Ingredient(kind, which, modules.get(which, ABSENT), "trace")
        else:
            if above is None:
                above = {other: results[other] for other in graph.readable_by(name)}
            yield Ingredient(kind, which, read_digest(which, above), "trace")


def read_name(task: str, kind: str, name: str | None) -> str:
    """Spell something that `upstream()` was asked for as the name of an ingredient."""
    return msgspec.json.encode([task, kind, name]).decode()


def read_digest(name: str, results: Mapping[TaskName, Result]) -> str:
    """Digest the present value of what `read_name` spells; absent where a task above does not have it any more."""
    task, kind, which = msgspec.json.decode(name, type=tuple[str, str, str | None])
    if kind == "tasks":
        return digest_text("\n".join(sorted(results)))
    if TaskName(task) not in results:
        return ABSENT
    values = logged_values(results[TaskName(task)], kind)
    if which is None:
        return digest_text("\n".join(sorted(values)))
    return digest_text(literal(values[which])) if which in values else ABSENT
