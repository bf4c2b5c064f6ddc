"""`nbdag declare`."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import located, profiled, project_of, say, targets_of
from nbmake_dag.errors import UsageError

if TYPE_CHECKING:
    from nbmake_dag.engine.session import Planned
    from nbmake_dag.observe.project import Project


@click.command(
    cls=Command,
    examples={
        "nbdag declare": "what all tasks read",
        "nbdag declare train -n": "only say what would be added",
    },
)
@click.argument("targets", nargs=-1, metavar="[TASK]...")
@located
@profiled
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be added; change nothing.")
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    targets: tuple[str, ...],
    *,
    dry_run: bool,
) -> None:
    """Add the undeclared files that tasks read to their `inputs` in pipeline.toml; of all tasks if none is named.

    Nothing else in the file is changed: comments and order stay. The tasks run once more at the next build.
    """
    from nbmake_dag.commands.edited import edit  # noqa: PLC0415 - not for --help
    from nbmake_dag.engine.request import Request  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.session import planned  # noqa: PLC0415 - likewise

    project = project_of(directory, file, profiles)
    found = planned(project, Request(targets=targets_of(project, directory, targets)))
    added = _additions(project, found)
    already = _already_declared(found)
    for family, paths in already.items():
        are = "is" if len(paths) == 1 else "are"
        say(f"{family}: {_quoted(paths)} {are} already declared; the next build runs it", err=True)
    if not added:
        if not already:
            say("no task reads a file that it does not declare, as far as its last result tells", err=True)
        return
    files = {task.family: task.file for task in found.prepared.whole.tasks.values()}
    names = list(dict.fromkeys(files[family] for family in added))
    for each in names:
        edit(project, project.absolute(each), partial(_with_inputs, project, found, added, each), dry_run=dry_run)
    for family, paths in added.items():
        say(f"{family}: {_quoted(paths)}")
    if dry_run:
        return
    tasks, them = ("1 task", "it") if len(added) == 1 else (f"{len(added)} tasks", "them")
    say(f"added to the `inputs` of {tasks} in {' and '.join(names)}; the next build runs {them}", err=True)


def _with_inputs(project: Project, found: Planned, added: Mapping[str, list[str]], name: str, text: str) -> str:
    """Return the text of a file with the paths in it that its tasks are to declare."""
    from nbmake_dag.commands.edited import profiles_elsewhere  # noqa: PLC0415 - not for --help
    from nbmake_dag.config.editing import UneditableError, with_inputs  # noqa: PLC0415 - likewise
    from nbmake_dag.config.pipeline_file import effective  # noqa: PLC0415 - likewise

    elsewhere = profiles_elsewhere(project, name)
    _, places = effective(text.encode(), file=name, profiles=project.profiles, elsewhere=elsewhere)
    folder = os.path.dirname(name)
    tasks = {task.family: task for task in found.prepared.whole.tasks.values() if task.file == name}
    for family in [family for family in added if family in tasks]:
        paths = [os.path.relpath(path, folder or os.curdir) for path in added[family]]
        own = family.removeprefix(f"{folder}/") if folder else family
        place = ("tasks", own, "inputs")
        if (there := places.place(place)) != place:
            what = f"{name}:{places.of(place)}: profile `{there[1]}` sets the `inputs` of task `{family}`"
            raise UsageError(what, (), f"add {_quoted(paths)} there")
        try:
            text = with_inputs(text, own, paths)
        except UneditableError as error:
            where = tasks[family].place_of("inputs")
            what = f"{where}: task `{family}` is written in a way that only a person can change"
            raise UsageError(what, (), f"add {_quoted(paths)} to its `inputs`") from error
    return text


def _additions(project: Project, found: Planned) -> dict[str, list[str]]:
    """Return the paths to declare, by the name of a task in the file; what cannot be declared is reported."""
    from nbmake_dag.core.globs import escaped  # noqa: PLC0415 - not for --help

    graph = found.prepared.graph
    instances: dict[str, list[set[str]]] = defaultdict(list)
    for name in (name for name in graph.order if name in found.prepared.targets):
        files = found.undeclared.get(name, ())
        read = {file.path for file in files if file.mode == "read"}
        for path, why in _unfit(project, sorted(read)):
            read.discard(path)
            say(f"note: {name}: {path} is not added: {why}", err=True)
        instances[graph.tasks[name].family].append(read)
    added: dict[str, list[str]] = {}
    for family, sets in instances.items():
        common = set.intersection(*sets)
        for path in sorted(set.union(*sets) - common):
            say(f"note: {family}: {path} is not added: not every instance reads it", err=True)
        if common:
            added[family] = [escaped(path) for path in sorted(common)]
    return added


def _already_declared(found: Planned) -> dict[str, list[str]]:
    """Return the undeclared reads of last results that are declared now, by the name of a task in the file."""
    from nbmake_dag.core.decide import Stale  # noqa: PLC0415 - not for --help

    declared: dict[str, set[str]] = defaultdict(set)
    for name in found.prepared.targets:
        record, files = found.prepared.facts[name].previous, found.undeclared.get(name, ())
        if record is not None and isinstance(found.verdicts[name], Stale):
            read = {access.path for access in record.undeclared if access.mode == "read"}
            declared[found.prepared.graph.tasks[name].family] |= read - {file.path for file in files}
    return {family: sorted(paths) for family, paths in declared.items() if paths}


def _unfit(project: Project, paths: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the paths that no line can declare, each with the reason."""
    for path in paths:
        if not os.path.isfile(project.absolute(path)):
            yield path, "it is not there any more"
        elif "{" in path or "}" in path:
            yield path, "a brace in a path means a parameter"


def _quoted(paths: list[str]) -> str:
    from nbmake_dag.config.values import quoted  # noqa: PLC0415 - not for --help

    return ", ".join(map(quoted, paths))
