"""Options and questions that the commands share which execute anything in trials."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from nbmake_dag.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_LIMIT_S = 600.0
"""Above this, a person is asked."""


def asking(command: Command) -> Command:
    """Add ``--trust``, ``--secrets``, ``--dry-run`` and ``--yes``."""
    for option in (
        click.option("-y", "--yes", is_flag=True, help="Do not ask, however long it takes."),
        click.option("-n", "--dry-run", is_flag=True, help="Print what would be executed."),
        click.option("--secrets", is_flag=True, help="Pass the secrets that tasks declare."),
        click.option("--trust", is_flag=True, help="Run code of commits that no local branch has."),
    ):
        command = option(command)
    return command


def add_to_summary(markdown: str) -> None:
    """Add to the job summary of GitHub Actions, where there is one."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(path, "a", encoding="utf-8", errors="replace") as file:
                file.write(markdown)
        except OSError as error:
            click.echo(f"warning: the job summary was not written: {error}", err=True)


def limited(seconds: float | None, what: str, *, yes: bool) -> None:
    """Ask whether to execute something that takes long; raises `UsageError` where nobody can answer."""
    from nbmake_dag.present.units import coarse  # noqa: PLC0415 - not for --help

    if yes or seconds is None or seconds <= _LIMIT_S:
        return
    text = f"{what} take up to {coarse(seconds)}"
    if not sys.stdin.isatty():
        raise UsageError(text, (), "add --yes, or --dry-run to see more")
    click.confirm(f"{text}. Go on?", abort=True, err=True)
