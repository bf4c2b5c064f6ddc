"""The commands, and how their options are read."""

from __future__ import annotations

import importlib
import re
from functools import partial

import click

from nbmake_dag import __version__
from nbmake_dag.commands.ending import exit_code_of
from nbmake_dag.commands.helping import Group
from nbmake_dag.errors import UsageError

GROUPS = {
    "Build": {
        "build": "Bring targets up to date.",
        "watch": "Build again whenever a saved file affects a task.",
        "status": "List the stale tasks, and why they are stale.",
        "explain": "List the ingredients of a task's result, and what changed.",
        "restore": "Put outputs back as a recorded run left them.",
        "clean": "Remove outputs, or the cache.",
    },
    "Work on notebooks": {
        "declare": "Add the undeclared files of tasks to pipeline.toml.",
        "open": "Open a notebook as its task sees it.",
        "doctor": "Check a pipeline for faults that a build cannot see.",
        "graph": "Draw the dependencies of tasks.",
    },
    "Compare runs": {
        "runs": "List the recorded runs.",
        "show": "Show a run, or one of its tasks.",
        "diff": "Compare two runs.",
        "bisect": "Find the commit at which a result changed.",
        "blame": "Find which changes between two runs made a metric differ.",
        "replay": "Make the results of a run again, and compare.",
        "report": "Write a static site on which runs are compared.",
        "export": "Write a run as one file, or as a tree of files.",
        "verify": "Show what made a file, from a signed attestation.",
    },
    "Set up": {
        "init": "Write a pipeline.toml for the notebooks found.",
        "add": "Append a task for a notebook to pipeline.toml.",
        "config": "Print what pipeline.toml says, and where each value comes from.",
        "cache": "Inspect, check and trim the cache.",
        "schema": "Print the JSON Schema of pipeline.toml, or of what a command writes.",
        "completions": "Print completions for a shell.",
        "help": "Show the documentation of a topic.",
    },
}
"""The commands as the help lists them, by what they are for."""

COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
"""Each command is `command` in a module of its name, imported when it is called."""

OTHER_WORDS = {
    "why": "did you mean `nbdag explain TASK`?",
    "log": "did you mean `nbdag show --log TASK`?",
    "logs": "did you mean `nbdag show --log TASK`?",
    "debug": "did you mean `nbdag build --pdb TASK`, or `nbdag open --failed TASK`?",
    "run": "did you mean `nbdag build`? `nbdag runs` lists the recorded runs",
    "kernels": "did you mean `nbdag doctor`? it says which kernels are in use",
}
"""Words for commands in other tools, with what is answered to each."""

OPTIONAL_VALUES = {"--serve": "0", "--summarize": "-", "--affected": ""}
"""Options whose value may be left out, with what that means; a value is given only as ``--option=value``."""


class Commands(Group):
    """Imports a command when it is called, so that `nbdag build` does not pay for the others."""

    other_words = OTHER_WORDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(list(group.items()))

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
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        raise _in_our_words(error) from error
    except click.Abort:
        return 130


def _in_our_words(error: click.ClickException) -> UsageError:
    """Return what click has to complain of as it is done for everything else."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "nbdag"
    hint = f"`{path} --help` lists what there is"
    if isinstance(error, click.NoSuchOption):
        from nbmake_dag.core.suggest import did_you_mean  # noqa: PLC0415 - only for a mistake

        return UsageError(
            f"`{path}` has no option `{error.option_name}`",
            (),
            did_you_mean(error.option_name, error.possibilities or ()) or hint,
        )
    message = error.format_message().rstrip(".")
    return UsageError(re.sub(r"'([^']*)'", r"`\1`", message[:1].lower() + message[1:]), (), hint)
