"""Resolve the targets of a command line to tasks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from shlex import quote

from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Command, Function, Notebook, Task, TaskName
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import UsageError


class UnknownTargetError(UsageError):
    """A word means no task; the nearest of those ``known`` is suggested."""

    def __init__(self, target: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no task, tag or output is called `{target}`", (), did_you_mean(target, known, quote))
        self.target = target
        self.args = (target, known)


def select(
    graph: Graph, targets: Iterable[str], *, tags: Iterable[str] = (), exclude: Iterable[str] = ()
) -> frozenset[TaskName]:
    """Return the tasks that are named, without what they need; all of them if nothing is named.

    An instance of a family that is not known yet means all of that family: whether it exists shows later.
    A target is a task, an instance, the folder of a part with its ``/``, a glob over names, a tag, or the path of
    an output, of a notebook or of a function's module, tried in this order; the parameters of an instance may be
    in any order. Raises `UsageError` for one that matches nothing.
    """
    targets, tags = tuple(targets), tuple(tags)
    chosen = {name for target in targets for name in _named(graph, target)}
    chosen |= {name for tag in tags for name in _tagged(graph, tag)}
    if not targets and not tags:
        chosen = set(graph.order)
    return frozenset(chosen - matched(graph, exclude))


def matched(graph: Graph, words: Iterable[str]) -> frozenset[TaskName]:
    """Return the tasks that any of some words means; raises `UsageError` for one that means nothing.

    Of a family that is not known yet, no word for one instance means any.
    """
    return frozenset(
        name
        for word in words
        for name in _named(graph, word)
        if not graph.tasks[name].is_unknown or _means_all(graph.tasks[name], word)
    )


def checks_in(graph: Graph) -> frozenset[TaskName]:
    """Return the tasks that test what they read."""
    return frozenset(name for name in graph.order if graph.tasks[name].policy.check)


def with_checks(
    graph: Graph,
    wanted: frozenset[TaskName],
    *,
    named: frozenset[TaskName],
    barred: frozenset[TaskName],
    alone: bool,
) -> frozenset[TaskName]:
    """Return the tasks to build, with each check that reads tasks if all of these are built, and not otherwise.

    Those ``named`` stay in any case, those ``barred`` are not added. ``alone``: what tasks need is not built.
    """
    checks = frozenset(name for name in checks_in(graph) if graph.upstream[name])
    wanted -= checks - named
    built = wanted if alone else frozenset(graph.with_upstream(wanted))
    return wanted | {name for name in checks - barred if built.issuperset(graph.upstream[name])}


def refuse_needed(graph: Graph, excluded: frozenset[TaskName], wanted: frozenset[TaskName]) -> None:
    """Raise `UsageError` where a wanted task needs an excluded one."""
    for name in graph.order:
        if name in excluded and (below := [other for other in graph.downstream[name] if other in wanted]):
            raise UsageError(f"`{name}` is excluded, and `{below[0]}` needs it", (), f"exclude `{below[0]}` too")


def _named(graph: Graph, target: str) -> frozenset[TaskName]:
    """Return the tasks that one word means."""
    if target in graph.tasks:
        return frozenset({TaskName(target)})
    target = target.removesuffix("[...]")
    if family := _where(graph, lambda name: graph.tasks[name].family == target):
        return family
    if instance := _where(graph, lambda name: is_instance(name, target)):
        return instance
    glob = name_glob(f"{target}*" if target.endswith("/") else target)
    if globbed := _where(
        graph, lambda name: _matches(glob, graph.tasks[name]) or _may_have(graph.tasks[name], target)
    ):
        return globbed
    if tagged := _where(graph, lambda name: target in graph.tasks[name].tags):
        return tagged
    path = target.removeprefix("./")
    owner = graph.owner_of(path) or graph.owner_of(f"{path}/")
    if owner is not None:
        return frozenset({owner})
    if made_from := _where(graph, lambda name: _source_of(graph.tasks[name]) == path):
        return made_from
    part = target.replace("[", "[*").replace("]", "*]")
    if part != target and _where(graph, lambda name: bool(name_glob(part).fullmatch(name))):
        raise UsageError(f"no task, tag or output is called `{target}`", (), f"did you mean `{quote(part)}`?")
    if readers := [task.family for task in graph.tasks.values() if _reads(task, path)]:
        hint = f"it is an input of `{readers[0]}`; `--downstream {readers[0]}` builds that and what depends on it"
        raise UsageError(f"`{target}` is made by no task", (), hint)
    raise _unknown(graph, target)


def _unknown(graph: Graph, target: str) -> UsageError:
    if target in graph.empty:
        return UsageError(f"task `{target}` has no instances", (), graph.empty[target])
    if of_parts := sorted({task.family for task in graph.tasks.values() if task.family.endswith(f"/{target}")}):
        hint = f"did you mean {' or '.join(f'`{quote(name)}`' for name in of_parts[:3])}?"
        return UsageError(f"no task, tag or output is called `{target}`", (), hint)
    named = (name for task in graph.tasks.values() for name in (task.family, _source_of(task)))
    return UnknownTargetError(target, tuple(dict.fromkeys((*graph.tasks, *named, *graph.owners))))


def _source_of(task: Task) -> str:
    """Return the file that a task's work is written in; empty for a command."""
    match task.work:
        case Notebook(path=path):
            return path
        case Function(module=module):
            return f"{module.replace('.', '/')}.py"
        case Command():
            return ""


def _reads(task: Task, path: str) -> bool:
    return any(matches(item.path, path) if item.is_glob else item.path == path for item in task.inputs)


def name_glob(word: str) -> re.Pattern[str]:
    """Read a word as a glob in which ``[`` is an ordinary character, as the names of instances need it."""
    return re.compile(re.escape(word).replace(r"\*", ".*").replace(r"\?", "."))


def is_instance(name: str, word: str) -> bool:
    """Return whether a word spells an instance, with its parameters in any order."""
    (family, _, parameters), (other, bracket, others) = name.partition("["), word.partition("[")
    if not bracket or family != other:
        return False
    return sorted(parameters.rstrip("]").split(",")) == sorted(others.rstrip("]").split(","))


def _matches(glob: re.Pattern[str], task: Task) -> bool:
    return bool(glob.fullmatch(task.name) or glob.fullmatch(task.family))


def _means_all(family: Task, word: str) -> bool:
    is_source = word.removeprefix("./") == _source_of(family)
    return is_source or word in family.tags or _matches(name_glob(word), family)


def _may_have(task: Task, word: str) -> bool:
    """Return whether a word may mean instances of a family that is not known."""
    family, bracket, _ = word.partition("[")
    return task.is_unknown and bool(bracket and name_glob(family).fullmatch(task.family))


def _tagged(graph: Graph, tag: str) -> frozenset[TaskName]:
    if tagged := _where(graph, lambda name: tag in graph.tasks[name].tags):
        return tagged
    tags = tuple(sorted({known for task in graph.tasks.values() for known in task.tags}))
    raise UsageError(f"no task has the tag `{tag}`", (), did_you_mean(tag, tags))


def _where(graph: Graph, condition: Callable[[TaskName], bool]) -> frozenset[TaskName]:
    return frozenset(name for name in graph.order if condition(name))
