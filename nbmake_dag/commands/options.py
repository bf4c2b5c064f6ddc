"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nbmake_dag.observe.project import Project, find_project

if TYPE_CHECKING:
    from nbmake_dag.commands.serving import LiveView
    from nbmake_dag.core.model import Value

PARAMETER = "Set a parameter; VALUE is TOML, else a string."
EXECUTOR = "Run tasks in parallel with Ray, or one at a time (inline); auto starts Ray where that is sooner."
OUTPUT = (
    "Show what tasks print: as it comes (stream), below each task (group), of failed ones (errors); auto chooses."
)

Command = TypeVar("Command", bound=Callable[..., Any])


def located(command: Command) -> Command:
    """Add ``-C`` and ``-f``, which work before and after the command."""
    command = click.option("-f", "--file", metavar="FILE", help="Read FILE instead of pipeline.toml.")(command)
    return click.option("-C", "--directory", metavar="DIR", help="Work in DIR.")(command)


def served(command: Command) -> Command:
    """Add ``--serve``."""
    return click.option(
        "--serve",
        type=click.IntRange(0, 65535),
        metavar="[=PORT]",
        help="Show in a browser what happens, as it happens.",
    )(command)


def views(project: Project, port: int | None) -> AbstractContextManager[tuple[LiveView, ...]]:
    """Open the live view if ``--serve`` was given."""
    if port is None:
        return nullcontext(())
    from nbmake_dag.commands.serving import live_view  # noqa: PLC0415 - seldom wanted

    return live_view(project, port)


def project_of(directory: str | None, file: str | None) -> Project:
    """Find the project that the command line means."""
    before_directory, before_file = click.get_current_context().obj
    return find_project(directory or before_directory, file or before_file)


def targets_of(project: Project, directory: str | None, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Understand targets that begin with ``./`` or ``../`` as paths from where the command works."""
    base = os.path.abspath(directory or click.get_current_context().obj[0] or os.curdir)
    return tuple(
        project.relative(os.path.join(base, target)) if target.startswith(("./", "../")) else target
        for target in targets
    )


def overrides(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Value]:  # noqa: ARG001
    """Read ``-p NAME=VALUE``."""
    if not values:
        return {}
    from nbmake_dag.core.values import parse_override  # noqa: PLC0415 - a build with nothing to do reads no TOML

    return dict(parse_override(value) for value in values)
