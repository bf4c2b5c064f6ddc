"""How the help of commands looks: options by what they are for, and examples; and what an unknown command gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click

from nbmake_dag.errors import UsageError

REST = "Options"
"""The heading of the options that belong to no other."""


class Command(click.Command):
    """A command whose help has its options below headings, and ends with examples.

    ``sections`` has the long names of options by heading; the others come last. ``examples`` has command lines,
    each with what it does.
    """

    def __init__(
        self,
        *arguments: Any,
        sections: Mapping[str, Sequence[str]] | None = None,
        examples: Mapping[str, str] | None = None,
        **given: Any,
    ) -> None:
        super().__init__(*arguments, **given)
        self.sections = sections or {}
        self.examples = examples or {}

    def options_by_section(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """Return the options as the help groups them."""
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        by_name = {name: option for option in options for name in option.opts}
        found = {title: [by_name[name] for name in names] for title, names in self.sections.items()}
        placed = [option for section in found.values() for option in section]
        return {**found, REST: [option for option in options if option not in placed]}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, options in self.options_by_section(ctx).items():
            if rows := [row for option in options if (row := option.get_help_record(ctx)) is not None]:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(list(self.examples.items()), col_max=50)


class Group(click.Group):
    """A command with others below it, which refuses an unknown one with the one that was meant.

    ``other_words`` has words that other tools use for a command, each with the hint that it gets.
    """

    other_words: Mapping[str, str] = MappingProxyType({})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            from nbmake_dag.core.suggest import did_you_mean  # noqa: PLC0415 - only for a mistake

            path = ctx.command_path
            meant = self.other_words.get(args[0]) or did_you_mean(args[0], names)
            hint = meant or f"`{path} --help` lists the commands"
            raise UsageError(f"there is no command `{path} {args[0]}`", (), hint)
        return super().resolve_command(ctx, args)
