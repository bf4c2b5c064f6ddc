"""`nbdag add`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import located, project_of, say
from nbmake_dag.errors import UsageError

if TYPE_CHECKING:
    from nbmake_dag.config.pipeline_file import PipelineFile
    from nbmake_dag.observe.project import Project
    from nbmake_dag.scaffold.draft import Draft


@click.command(
    cls=Command,
    examples={
        "nbdag add notebooks/clean.ipynb": "with a name like that of the file",
        "nbdag add clean.py --name tidy": "with another",
    },
)
@click.argument("notebook")
@located
@click.option("--name", metavar="NAME", help="The name of the task; by default that of the notebook's file.")
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be added; change nothing.")
def command(directory: str | None, file: str | None, notebook: str, name: str | None, *, dry_run: bool) -> None:
    """Append a task for NOTEBOOK, a path, to pipeline.toml.

    As by `nbdag init`, a file that it reads and another notebook writes is declared, if their code names it; other
    guesses are comments. What the file has already stays as it is.
    """
    from nbmake_dag.commands.edited import complaints_about, edit  # noqa: PLC0415 - not for --help
    from nbmake_dag.config.pipeline_file import parse  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.config_text import task_text  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.discovery import installed_kernels  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.draft import only_suggested  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    config = project.relative(project.file)
    with open(project.file, "rb") as stream:
        declared = parse(stream.read(), file=config)
    base = os.path.abspath(directory or click.get_current_context().obj[0] or os.curdir)
    draft = _draft(project, os.path.join(base, notebook), declared)
    names = set(declared.document.tasks or {})
    if name in names:
        raise UsageError(f"there is a task `{name}` already", (), "name another with --name")
    draft = replace(draft, name=name or _new(draft.name, names))
    kernels = installed_kernels()

    def appended(text: str) -> str:
        for lines in task_text(draft, kernels), task_text(only_suggested(draft), kernels):
            whole = _appended(text, lines)
            if not complaints_about(project, project.file, whole):
                break
        click.echo("\n".join(lines))
        return whole

    edit(project, project.file, appended, dry_run=dry_run)
    if not dry_run:
        whole_name = os.path.join(os.path.dirname(config), draft.name)
        say(f"added task {whole_name} to {config}; `nbdag build {whole_name}` builds it", err=True)


def _draft(project: Project, path: str, declared: PipelineFile) -> Draft:
    """Draft the task of one notebook among all; raises `UsageError` where there is none, or it has a task."""
    from nbmake_dag.core.suggest import did_you_mean  # noqa: PLC0415 - not for --help
    from nbmake_dag.scaffold.discovery import KINDS, discover  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.draft import draft  # noqa: PLC0415 - likewise

    root = os.path.dirname(project.file)
    wanted = os.path.relpath(path, root).replace(os.sep, "/")
    if place := {os.path.normpath(source): entry[1] for source, entry in declared.sources().items()}.get(wanted):
        raise UsageError(f"{wanted} is the notebook of a task already", (("where", place),))
    found = discover(root)
    known = [notebook.path for notebook in found.notebooks]
    if wanted not in known:
        hint = did_you_mean(wanted, known) or KINDS
        what = "is not a notebook" if os.path.exists(path) else "does not exist"
        raise UsageError(
            f"{wanted} {what}", tuple(("why", text) for text in found.unreadable if wanted in text), hint
        )
    drafts = {each.notebook: each for each in draft(root, found.notebooks)}
    (alone,) = draft(root, [notebook for notebook in found.notebooks if notebook.path == wanted])
    return replace(drafts[wanted], name=alone.name)


def _new(name: str, taken: set[str]) -> str:
    number, new = 2, name
    while new in taken:
        new, number = f"{name}-{number}", number + 1
    return new


def _appended(text: str, lines: list[str]) -> str:
    return "\n".join([*([text.rstrip("\n"), ""] if text.strip() else []), *lines, ""])
