"""The dependency graph of tasks: an edge for each output that another task needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from nbmake_dag.core.globs import escaped, matches, may_match_below, may_mean, may_overlap, static_prefix
from nbmake_dag.core.model import Input, Pipeline, ProjectPath, Task, TaskName
from nbmake_dag.errors import Complaint, ConfigError


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An input that another task makes: its declared output ``output``, or files below it."""

    input: Input
    producer: TaskName
    output: ProjectPath


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks in an order in which each comes after all that it needs.

    ``edges`` are inputs made by tasks; ``external`` are inputs that are files on disk: a path that no task makes,
    and every glob, since a glob matches both. ``upstream`` has data and ``after``, ``downstream`` is its inverse.
    """

    tasks: Mapping[TaskName, Task]
    order: tuple[TaskName, ...]
    edges: Mapping[TaskName, tuple[Edge, ...]]
    external: Mapping[TaskName, tuple[Input, ...]]
    upstream: Mapping[TaskName, tuple[TaskName, ...]]
    downstream: Mapping[TaskName, tuple[TaskName, ...]]
    owners: Mapping[ProjectPath, TaskName]
    """The task of every declared output."""

    def owner_of(self, path: str) -> TaskName | None:
        """Return the task whose declared output is ``path``, or holds it, or may when its instances are known."""
        if (
            owner := next((self.owners[output] for output in _enclosing(path) if output in self.owners), None)
        ) is None:
            return next((name for name, pattern in self.unknown if may_mean(pattern, path)), None)
        return owner

    positions: Mapping[TaskName, int]
    """The position of every task in the pipeline file, instances in their order."""
    empty: Mapping[str, str] = {}
    """The tasks that have no instances, each with the reason."""
    source_makers: Mapping[Input, tuple[tuple[TaskName, ProjectPath], ...]] = msgspec.field(
        default_factory=dict[Input, tuple[tuple[TaskName, ProjectPath], ...]]
    )
    """Of what instances come from, the tasks that make files of it, each with its output."""
    unknown: tuple[tuple[TaskName, str], ...] = ()
    """The families whose instances are not known, each with a glob of what they may make."""
    whole: Graph | None = None
    """The graph with all that these tasks need, where some of it is left out here."""

    def makes_input_of(self, name: TaskName) -> Callable[[str], bool]:
        """Return a test of paths: whether a task above makes a file, and it is an input of a task."""

        def is_made(path: str) -> bool:
            return any(input_files(edge.input, [path]) and _holds(edge.output, path) for edge in self.edges[name])

        return is_made

    def with_upstream(self, names: Iterable[TaskName]) -> tuple[TaskName, ...]:
        """Return the tasks that the given ones need, directly or not, and the given ones, in pipeline order."""
        return self._ordered(_closure(names, self.upstream))

    def readable_by(self, name: TaskName) -> tuple[TaskName, ...]:
        """Return the tasks whose logged values a task may read, in pipeline order.

        These are all tasks upstream of it, also those that are left out.
        """
        return tuple(other for other in (self.whole or self).with_upstream((name,)) if other != name)

    def with_downstream(self, names: Iterable[TaskName]) -> tuple[TaskName, ...]:
        """Return the tasks that need the given ones, directly or not, and the given ones, in pipeline order."""
        return self._ordered(_closure(names, self.downstream))

    def _ordered(self, names: Iterable[TaskName]) -> tuple[TaskName, ...]:
        return tuple(sorted(names, key=self.positions.__getitem__))


def build_graph(
    pipeline: Pipeline,
    *,
    only: frozenset[TaskName] | None = None,
    whole: Graph | None = None,
) -> Graph:
    """Find the edges of a pipeline; raises `ConfigError` for a cycle, and for a task that reads its own output.

    With ``only``, the tasks outside it do not exist: what they made is taken as files on disk. If some of them are
    needed, ``whole`` has the tasks upstream of them.
    """
    tasks = {name: task for name, task in pipeline.tasks.items() if only is None or name in only}
    owners = {output.path: task.name for task in tasks.values() if not task.is_unknown for output in task.outputs}
    globbed = _by_prefix(owners)
    sources = {task.source for task in tasks.values() if task.source is not None}
    source_makers = {source: tuple(_makers(source, owners, globbed)) for source in sources}
    edges: dict[TaskName, tuple[Edge, ...]] = {}
    external: dict[TaskName, tuple[Input, ...]] = {}
    upstream: dict[TaskName, tuple[TaskName, ...]] = {}
    complaints: list[Complaint] = []
    for name, task in tasks.items():
        found: list[Edge] = []
        outside: list[Input] = []
        for item in task.inputs:
            makers = tuple(_makers(item, owners, globbed))
            complaints += _misread(task, item, makers, owners, globbed)
            makers = tuple(maker for maker in makers if maker[0] != name)
            found += [Edge(input=item, producer=owner, output=output) for owner, output in makers]
            if item.is_glob or item.path.endswith("/") or not makers:
                outside.append(item)
        edges[name] = tuple(found)
        external[name] = task.inputs if len(outside) == len(task.inputs) else tuple(outside)
        after = (other for other in task.after if other in tasks)
        left_out = (other for other in whole.upstream[name] if other not in tasks) if whole else ()
        beyond = (other for other in whole.with_upstream(left_out) if other in tasks) if whole else ()
        deciding = deciding_tasks(task.source, source_makers[task.source]) if task.source is not None else ()
        upstream[name] = tuple(dict.fromkeys([*(edge.producer for edge in found), *deciding, *after, *beyond]))
    unknown = [task for task in tasks.values() if task.is_unknown]
    for family in unknown:
        complaints += _let_readers_wait(family, tasks, edges, upstream, external)
        external[family.name] = ()
    if complaints:
        raise ConfigError(tuple(complaints))
    downstream: dict[TaskName, list[TaskName]] = {name: [] for name in tasks}
    for name, producers in upstream.items():
        for producer in producers:
            downstream[producer].append(name)
    return Graph(
        tasks=tasks,
        order=_order(tasks, upstream, downstream),
        edges=edges,
        external=external,
        upstream=upstream,
        downstream={name: tuple(consumers) for name, consumers in downstream.items()},
        owners=owners,
        positions={name: position for position, name in enumerate(tasks)},
        empty=pipeline.empty,
        source_makers=source_makers,
        unknown=tuple((family.name, output.path) for family in unknown for output in family.outputs),
        whole=whole,
    )


def _misread(
    task: Task,
    item: Input,
    makers: tuple[tuple[TaskName, ProjectPath], ...],
    owners: Mapping[ProjectPath, TaskName],
    globbed: Mapping[str, list[ProjectPath]],
) -> Iterator[Complaint]:
    place = task.place_of("inputs")
    if not item.is_glob and task.name in (owner for owner, _ in makers):
        what = f"task `{task.name}` has `{item.path}` as input and as output"
        yield Complaint(what=what, place=place, hint="write the changed data to another path")
    if inside := not makers and globbed.get(f"{item.path}/"):
        what = f"input `{item.path}` of task `{task.name}` is a folder that `{owners[inside[0]]}` writes to"
        yield Complaint(what=what, place=place, hint=f"write it as a folder: `{item.path}/`")


def deciding_tasks(source: Input, makers: Iterable[tuple[TaskName, ProjectPath]]) -> frozenset[TaskName]:
    """Return the tasks that must have ended before instances are known: the path of a file is known at once."""
    return frozenset(maker for maker, output in makers if output.endswith("/") or not source.is_glob)


def _let_readers_wait(
    family: Task,
    tasks: Mapping[TaskName, Task],
    edges: Mapping[TaskName, tuple[Edge, ...]],
    upstream: dict[TaskName, tuple[TaskName, ...]],
    external: dict[TaskName, tuple[Input, ...]],
) -> Iterator[Complaint]:
    """Add an edge from a family that is not known to each task with an input that its instances may make.

    A path that a task above the family reads is taken for a file on disk. If that is wrong, it is a cycle, which
    shows when the instances are known. Of a glob or a folder nobody could tell, so that this is refused.
    """
    above = _closure((family.name,), upstream)
    for name, task in tasks.items():
        made = {edge.input for edge in edges[name] if edge.input.path == edge.output}
        found = [
            item
            for item in ((task.source,) if task.source is not None and task.is_unknown else task.inputs)
            if item not in made
            and any(
                may_overlap(output.path, item.path if item.is_glob else escaped(item.path))
                for output in family.outputs
            )
        ]
        if not found or name == family.name:
            continue
        if name not in above:
            upstream[name] = tuple(dict.fromkeys((*upstream[name], family.name)))
            left = (
                item for item in external[name] if item not in found or item.is_glob or item.path.endswith("/")
            )
            external[name] = tuple(left)
        elif whole := next(
            (item for item in found if task.is_unknown or item.is_glob or item.path.endswith("/")), None
        ):
            yield Complaint(
                what=f"`{family.family}` may make `{whole.path}`, an input of `{name}`, which its instances need",
                place=task.place_of("inputs"),
                hint="let the two use different folders",
            )


def _makers(
    item: Input,
    owners: Mapping[ProjectPath, TaskName],
    globbed: Mapping[str, list[ProjectPath]],
) -> Iterator[tuple[TaskName, ProjectPath]]:
    """Yield the tasks, each with its output, that make files of an input."""
    if not item.is_glob:
        direct = next((path for path in _enclosing(item.path) if path in owners), None)
        if direct is not None:
            yield owners[direct], direct
        elif item.path.endswith("/"):
            yield from ((owners[path], path) for path in globbed.get(item.path, ()))
        return
    fixed = static_prefix(item.path)
    below = globbed.get(fixed, ())
    for path in below:
        if not path.endswith("/") and matches(item.path, path):
            yield owners[path], path
    around = (path for path in _enclosing(fixed) if path != fixed and path in owners)
    for path in (*around, *(path for path in below if path.endswith("/"))):
        if may_match_below(item.path, path):
            yield owners[path], path


def _by_prefix(owners: Mapping[ProjectPath, TaskName]) -> Mapping[str, list[ProjectPath]]:
    """Group outputs under every folder above them: a glob looks only at those below its fixed part."""
    groups: dict[str, list[ProjectPath]] = {}
    for path in owners:
        groups.setdefault("", []).append(path)
        position = path.find("/")
        while position >= 0:
            groups.setdefault(path[: position + 1], []).append(path)
            position = path.find("/", position + 1)
    return groups


def _enclosing(path: str) -> Iterator[ProjectPath]:
    """Yield a path, then the folders that hold it, innermost first."""
    yield ProjectPath(path)
    position = path.rstrip("/").rfind("/")
    while position >= 0:
        yield ProjectPath(path[: position + 1])
        position = path.rfind("/", 0, position)


def _closure(
    names: Iterable[TaskName], neighbours: Mapping[TaskName, tuple[TaskName, ...]]
) -> frozenset[TaskName]:
    seen = set(names)
    waiting = list(seen)
    while waiting:
        for other in neighbours[waiting.pop()]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return frozenset(seen)


def _order(
    tasks: Mapping[TaskName, Task],
    upstream: Mapping[TaskName, tuple[TaskName, ...]],
    downstream: Mapping[TaskName, list[TaskName]],
) -> tuple[TaskName, ...]:
    missing = {name: len(producers) for name, producers in upstream.items()}
    ready = deque(name for name, count in missing.items() if not count)
    order: list[TaskName] = []
    while ready:
        name = ready.popleft()
        order.append(name)
        for other in downstream[name]:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    if len(order) < len(tasks):
        cycle = _shortest_cycle({name for name, count in missing.items() if count}, downstream)
        raise ConfigError(
            (
                Complaint(
                    what=f"tasks need each other: {' -> '.join((*cycle, cycle[0]))}",
                    place=tasks[cycle[0]].place_of(),
                    hint="an arrow means that the right one uses an output of the left one, or comes `after` it",
                ),
            )
        )
    return tuple(order)


def _shortest_cycle(
    among: set[TaskName], downstream: Mapping[TaskName, list[TaskName]], tries: int = 200
) -> tuple[TaskName, ...]:
    """Search breadth-first from up to ``tries`` tasks; of many cycles the shortest one seen is shown."""
    best: tuple[TaskName, ...] = ()
    for start in sorted(among)[:tries]:
        before: dict[TaskName, TaskName] = {}
        waiting = deque([start])
        while waiting and start not in before:
            name = waiting.popleft()
            for other in downstream[name]:
                if other in among and other not in before:
                    before[other] = name
                    waiting.append(other)
        if start in before:
            path = [start]
            while (previous := before[path[-1]]) != start:
                path.append(previous)
            cycle = (start, *reversed(path[1:]))
            if not best or len(cycle) < len(best):
                best = cycle
    return best


def _holds(output: str, path: str) -> bool:
    return path == output or (output.endswith("/") and path.startswith(output))


def input_files(item: Input, files: Iterable[str]) -> list[str]:
    """Return those of a producer's files that belong to an input, sorted."""
    if item.is_glob:
        return sorted(path for path in files if matches(item.path, path))
    if item.path.endswith("/"):
        return sorted(path for path in files if path.startswith(item.path))
    return [path for path in files if path == item.path]
