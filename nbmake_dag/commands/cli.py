"""The commands, and how their options are read."""

from __future__ import annotations

import importlib
from functools import partial

import click

from nbmake_dag import __version__
from nbmake_dag.commands.ending import exit_code_of

COMMANDS = {
    "build": "Bring targets up to date.",
    "watch": "Build again what a saved file concerns.",
    "open": "Open a notebook as its task sees it.",
    "status": "Say what is stale, and why.",
    "explain": "Say what decides a task's result, and what changed.",
    "graph": "Draw which task needs which.",
    "report": "Write a static site on which runs are compared.",
    "runs": "List the recorded runs.",
    "diff": "Say what differs between two runs.",
    "show": "Show what a run did, or one of its tasks.",
    "export": "Write a run as one file, or as a tree of files.",
    "init": "Write a pipeline.toml for the notebooks found.",
    "clean": "Remove outputs, or the cache.",
    "cache": "Look at the cache, check it, trim it.",
    "schema": "Print the JSON Schema of pipeline.toml.",
    "doctor": "Check a pipeline for what a build cannot know.",
    "completions": "Print completions for a shell.",
}
"""Each command is `command` in a module of its name, imported when it is called."""

OPTIONAL_VALUES = {"--serve": "0", "--summarize": "-", "--affected": ""}
"""Options whose value may be left out, with what that means; a value is given only as ``--option=value``."""


class Commands(click.Group):
    """Imports a command when it is called, so that `nbdag build` does not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"nbmake_dag.commands.{cmd_name}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nbdag")
@click.option("-C", "--directory", metavar="DIR", help="Work in DIR.")
@click.option("-f", "--file", metavar="FILE", help="Read FILE instead of pipeline.toml.")
@click.pass_context
def cli(context: click.Context, directory: str | None, file: str | None) -> None:
    """Build notebooks as make builds programs, with a record of every run."""
    context.obj = (directory, file)


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    spelled = [f"{word}={OPTIONAL_VALUES[word]}" if word in OPTIONAL_VALUES else word for word in arguments]
    return exit_code_of(partial(_invoke, spelled))


def _invoke(arguments: list[str]) -> object:
    try:
        return cli.main(arguments, prog_name="nbdag", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
