"""From ingredients to a hit or a miss: own key, static key, traces, key."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from nbmake_dag.core.facts import ABSENT, Facts, Result, logged_values
from nbmake_dag.core.graph import Edge, Graph, input_files
from nbmake_dag.core.model import Input, Task, TaskName, Value
from nbmake_dag.core.text import encodable
from nbmake_dag.core.vocabulary import ReadKind
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.key import Ingredient, Key, key_of
from nbmake_dag_cache.record import Access, Logged, Origin, Output, Record


class Above(Mapping[TaskName, Result]):
    """The results of all tasks above one, in pipeline order.

    ``results`` has those of more tasks, and more to come. Which are above is found where somebody asks: few tasks
    do, and along a chain it would be all tasks for each of them.
    """

    def __init__(self, name: TaskName, graph: Graph, results: Mapping[TaskName, Result]) -> None:
        self._name = name
        self._graph = graph
        self._results = results
        self._next = frozenset((graph.whole or graph).upstream[name])

    @functools.cached_property
    def _all(self) -> Mapping[TaskName, None]:
        return dict.fromkeys(self._graph.readable_by(self._name))

    def __getitem__(self, name: TaskName) -> Result:
        if name in self._next or name in self._all:
            return self._results[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[TaskName]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution left; ``cells`` and ``injected`` as in its record."""

    outputs: tuple[Output, ...]
    logged: Logged
    cells: str | None
    injected: str | None
    undeclared: tuple[Access, ...] = ()
    code: tuple[str, ...] = ()
    """Modules and scripts that it wrote itself."""


class TaskKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a task before it runs, with the ingredients that they hash: its own, and digests from upstream.

    They are the permission to write a record: without them, none can be published.
    """

    own_key: Key
    static_key: Key
    ingredients: tuple[Ingredient, ...]

    def key_with(self, trace: tuple[Ingredient, ...]) -> Key:
        """Return the key of an execution with ``trace``."""
        return key_of((*self.ingredients, *trace)) if trace else self.static_key

    def record(
        self,
        task: Task,
        trace: tuple[Ingredient, ...],
        made: Made,
        origin: Origin,
        *,
        source: str | None,
        accepted: bool = False,
    ) -> Record:
        """Write the record of an execution; ``source`` is the blob of a notebook's source."""
        return Record(
            key=self.key_with(trace),
            static_key=self.static_key,
            own_key=self.own_key,
            task=task.name,
            ingredients=(*self.ingredients, *trace),
            outputs=made.outputs,
            logged=made.logged,
            origin=origin,
            cells=made.cells,
            source=source,
            injected=made.injected,
            undeclared=made.undeclared,
            made=made.code,
            accepted=accepted,
            stored=task.policy.store,
        )


def literal(value: Value) -> str:
    """Write a parameter so that values of different types differ: ``1``, ``1.0``, ``true``, ``"1"``."""
    if isinstance(value, bool) or value is None:
        return msgspec.json.encode(value).decode()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return msgspec.json.encode(value).decode() if encodable(value) == value else ascii(value)
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    return f"{{{', '.join(f'{literal(name)}: {literal(value[name])}' for name in sorted(value))}}}"


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
            yield Ingredient("input", name, ABSENT, "upstream", edge.input.path)
        elif edge.input.path == edge.output:
            yield Ingredient("input", name, output.digest, "upstream", edge.output)
        else:
            digests = {file.path: file.digest for file in output.files}
            paths = input_files(edge.input, digests)
            if not paths and not edge.input.is_glob and not edge.input.path.endswith("/"):
                yield Ingredient("input", name, ABSENT, "upstream", edge.input.path)
            for path in paths:
                yield Ingredient("input", name, digests[path], "upstream", path)


def task_keys(name: TaskName, graph: Graph, facts: Facts, results: Mapping[TaskName, Result]) -> TaskKeys:
    """Complete a task's ingredients; results of all tasks that make its inputs must be known."""
    upstream = tuple(upstream_ingredients(graph.tasks[name], graph.edges[name], results))
    if not upstream:
        return TaskKeys(own_key=facts.own_key, static_key=facts.own_key, ingredients=facts.own)
    known = (*facts.own, *upstream)
    return TaskKeys(own_key=facts.own_key, static_key=key_of(known), ingredients=known)


def find_record(
    name: TaskName, keys: TaskKeys, graph: Graph, facts: Facts, results: Mapping[TaskName, Result]
) -> Record | None:
    """Find the record of an execution that would be the same.

    The trace of each earlier execution is evaluated against the present state, newest first.
    """
    usable = [record for record in facts.records if record.static_key == keys.static_key]
    by_key = {record.key: record for record in reversed(usable)}
    tried: set[tuple[tuple[str, str], ...]] = set()
    for record in usable:
        used = record.trace
        if used in tried:
            continue
        tried.add(used)
        trace = tuple(present_trace(name, used, graph, facts.modules, results))
        key = keys.key_with(trace)
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
    above = Above(name, graph, results)
    for kind, which in used:
        if kind == "module":
            yield Ingredient(kind, which, modules.get(which, ABSENT), "trace")
        else:
            yield Ingredient(kind, which, read_digest(which, above), "trace")


def read_name(task: str, kind: ReadKind, name: str | None) -> str:
    """Spell something that `upstream()` was asked for as the name of an ingredient."""
    return msgspec.json.encode([task, kind, name]).decode()


def read_digest(name: str, results: Mapping[TaskName, Result]) -> str:
    """Digest the present value of what `read_name` spells; absent where a task above does not have it any more.

    ``results`` are those of the tasks above, in the order in which `upstream()` gives them.
    """
    task, kind, which = msgspec.json.decode(name, type=tuple[str, ReadKind, str | None])
    if kind == "tasks":
        return digest_text("\n".join(results))
    if TaskName(task) not in results:
        return ABSENT
    values = logged_values(results[TaskName(task)], kind)
    if which is None:
        return digest_text("\n".join(sorted(values)))
    return digest_text(literal(values[which])) if which in values else ABSENT
