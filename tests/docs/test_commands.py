"""The documentation knows every command and call, and every option says what it does."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import nbmake_dag as nbdag
from nbmake_dag.commands.cli import COMMANDS, GROUPS, cli

CALLS = (Path(nbdag.__file__).parent / "docs" / "notebooks.md").read_text()


def parameters(command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    """Yield every parameter of a command and of those below it."""
    yield from ((f"{command.name} {parameter.name}", parameter) for parameter in command.params)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from parameters(below)


@pytest.mark.parametrize("name", [name for name in nbdag.__all__ if not name.startswith(("_", "load_"))])
def test_the_documentation_names_every_call(name: str) -> None:
    """What notebooks may use can be found where their values are explained."""
    assert f"`{name}" in CALLS


@pytest.mark.parametrize("name", ["start_run", "log_artifacts"])
def test_what_mlflow_has_besides_is_refused_with_what_to_do(name: str) -> None:
    """Whoever knows MLflow tries it."""
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; [a-z]"):
        getattr(nbdag, name)


def test_the_help_lists_every_command_once():
    """Each module with a command is in one group, and nothing else is."""
    folder = Path(nbdag.__file__).parent / "commands"
    modules = [path.stem for path in folder.glob("*.py") if "\ndef command(" in path.read_text()]
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(modules)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    """`--help` leaves no option unexplained, also where it lists the choices."""
    command = importlib.import_module(f"nbmake_dag.commands.{name}").command

    unexplained = [
        where
        for where, parameter in parameters(command)
        if isinstance(parameter, click.Option) and not (parameter.help or parameter.hidden)
    ]

    assert unexplained == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    """A command has a text of its own besides its line in the list."""
    command = importlib.import_module(f"nbmake_dag.commands.{name}").command

    assert command.help


def test_the_list_of_commands_needs_none_of_them() -> None:
    """`nbdag --help` shows the list as it stands."""
    context = click.Context(cli, info_name="nbdag")

    shown = cli.get_help(context)

    assert all(text.split(",")[0] in shown for text in COMMANDS.values())
