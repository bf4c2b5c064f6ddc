"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nbmake_dag.execute.executors import AUTO, KINDS
from nbmake_dag.observe.project import Project, find_project, profiles_in

if TYPE_CHECKING:
    from nbmake_dag.commands.serving import LiveView
    from nbmake_dag.core.model import Value
    from nbmake_dag.progress.event_lines import EventLines

_LINES_AT_A_TIME = 500
PARAMETER = "Set a parameter; VALUE is TOML, else a string."
OUTPUT = (
    "Show the output of tasks: at once (stream), below each task (group), of failed ones (errors); auto chooses."
)

Command = TypeVar("Command", bound=Callable[..., Any])


def located(command: Command) -> Command:
    """Add ``-C`` and ``-f``, which work before and after the command."""
    command = click.option("-f", "--file", metavar="FILE", help="Read FILE instead of pipeline.toml.")(command)
    return click.option("-C", "--directory", metavar="DIR", help="Work in DIR.")(command)


def profiled(command: Command) -> Command:
    """Add ``--profile``, for commands that read the tasks."""
    return click.option(
        "--profile", "profiles", multiple=True, metavar="NAME", help="Read the pipeline with this profile."
    )(command)


def executed(command: Command) -> Command:
    """Add ``--executor``, and the options that belong to one executor."""
    for option in [option for kind in KINDS for option in kind.options][::-1]:
        command = click.option(f"--{option.name}", metavar=option.metavar, help=option.help)(command)
    ways = ", ".join(f"{kind.summary} ({kind.name})" for kind in KINDS)
    return click.option(
        "--executor",
        type=click.Choice([AUTO, *(kind.name for kind in KINDS)]),
        default=AUTO,
        show_default=True,
        help=f"Run tasks {ways}, or the faster way ({AUTO}).",
    )(command)


def executor_options(given: dict[str, Any]) -> dict[str, str]:
    """Take the options of `executed` that belong to one executor out of all that were given."""
    names = [option.name for kind in KINDS for option in kind.options]
    values = {name: given.pop(name.replace("-", "_")) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def served(command: Command) -> Command:
    """Add ``--serve``."""
    return click.option(
        "--serve",
        type=click.IntRange(0, 65535),
        metavar="[=PORT]",
        help="Show the build in a browser, live.",
    )(command)


def streamed(command: Command) -> Command:
    """Add ``--json-lines``."""
    meaning = "Write events as lines of JSON; `nbdag schema events` describes one."
    return click.option("--json-lines", is_flag=True, help=meaning)(command)


def event_streams(json_lines: bool) -> AbstractContextManager[tuple[EventLines, ...]]:  # noqa: FBT001
    """Write events to standard output if ``--json-lines`` was given."""
    if not json_lines:
        return nullcontext(())
    from nbmake_dag.progress.event_lines import event_lines  # noqa: PLC0415 - seldom wanted

    return event_lines(sys.stdout.buffer)


def views(project: Project, port: int | None) -> AbstractContextManager[tuple[LiveView, ...]]:
    """Open the live view if ``--serve`` was given."""
    if port is None:
        return nullcontext(())
    from nbmake_dag.commands.serving import live_view  # noqa: PLC0415 - seldom wanted

    return live_view(project, port)


def say(text: str, *, err: bool = False) -> None:
    """Print lines to standard output or error, on a terminal folded between words and columns."""
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        from nbmake_dag.present.text import fitted  # noqa: PLC0415 - not for scripts

        text = fitted(text, stream)
    click.echo(text, err=err)


def say_all(lines: Iterable[str]) -> None:
    """Print very many lines to standard output, many at a time."""
    left = iter(lines)
    while some := list(islice(left, _LINES_AT_A_TIME)):
        say("\n".join(some))


def project_of(directory: str | None, file: str | None, profiles: tuple[str, ...] | None = None) -> Project:
    """Find the project from the options of the command line; without ``--profile`` the variable counts.

    ``profiles`` is ``None`` for commands that do not read the tasks.
    """
    before_directory, before_file = click.get_current_context().obj
    chosen = () if profiles is None else profiles or profiles_in(os.environ)
    return find_project(directory or before_directory, file or before_file, chosen)


def targets_of(
    project: Project, directory: str | None, targets: tuple[str, ...], tags: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Understand targets that begin with ``./`` or ``../`` as paths from where the command works.

    In the folder of a part, these are its tasks if neither targets nor ``tags`` are named.
    """
    if not targets and not tags:
        return project.default_targets
    base = os.path.abspath(directory or click.get_current_context().obj[0] or os.curdir)
    named = os.path.dirname(project.file)
    real = os.path.realpath(named)
    if project.part and f"{base}/".startswith(f"{real}/"):
        # the pipeline may name the folder by a link to it
        base = named + base[len(real) :]
    return tuple(
        project.relative(os.path.join(base, target)) if target.startswith(("./", "../")) else target
        for target in targets
    )


def overrides(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Value]:  # noqa: ARG001
    """Read ``-p NAME=VALUE``."""
    if not values:
        return {}
    from nbmake_dag.config.values import parse_override  # noqa: PLC0415 - a build with nothing to do reads no TOML

    return dict(parse_override(value) for value in values)


def as_json(*documents: str) -> Callable[[Command], Command]:
    """Add ``--json``, for commands that read; ``documents`` are the names of the schemas of what is written."""
    schemas = " or ".join(f"`nbdag schema {name}`" for name in documents)
    verb = "describes" if len(documents) == 1 else "describe"
    return click.option("--json", "writes_json", is_flag=True, help=f"Write JSON; {schemas} {verb} it.")


allowing = click.option(
    "--allow", multiple=True, metavar="NAME", help="Publish the value of this variable: it is no secret."
)
"""The option by which a person answers a suspicion."""
