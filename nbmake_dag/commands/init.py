"""`nbdag init`."""

from __future__ import annotations

import os

import click

from nbmake_dag.commands.options import located
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.project import CONFIG

_LOCKFILES = (
    *(
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "pixi.lock",
        "conda-lock.yml",
        "requirements.lock",
        "requirements.txt",
    ),
    *("renv.lock", "Manifest.toml"),
)
_IGNORED = "/.nbdag/"


@click.command
@located
@click.pass_context
def command(context: click.Context, directory: str | None, file: str | None) -> None:
    """Write a pipeline.toml with a task for each notebook in this folder and below it.

    What one notebook writes and another reads is declared, as far as their code says it; other guesses are
    comments. Nothing is imported or run.
    """
    from nbmake_dag.scaffold.config_text import config_text  # noqa: PLC0415 - not for --help
    from nbmake_dag.scaffold.discovery import discover  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.draft import draft  # noqa: PLC0415 - likewise

    before_directory, before_file = context.obj
    start = os.path.abspath(directory or before_directory or os.curdir)
    config = os.path.join(start, file or before_file or CONFIG)
    root = os.path.dirname(config)
    if not os.path.isdir(root):
        raise UsageError(f"{root} is not a folder")
    if os.path.lexists(config):
        raise UsageError(
            f"{config} is there already", (), "`nbdag build` builds it; to begin anew, move it away first"
        )
    found = discover(root)
    for problem in found.unreadable:
        click.echo(f"warning: {problem}", err=True)
    if not found.notebooks:
        hint = "a notebook is an .ipynb file, or a .py file with cells that begin with `# %%`"
        raise UsageError(f"no notebook in {root} or below it", (), hint)
    drafts = draft(root, found.notebooks)
    lockfiles = [name for name in _LOCKFILES if os.path.isfile(os.path.join(root, name))]
    text = config_text(os.path.basename(root) or "pipeline", drafts, lockfiles)
    with open(config, "x", encoding="utf-8") as stream:
        stream.write(text)
    tasks = "1 task" if len(drafts) == 1 else f"{len(drafts)} tasks"
    click.echo(f"wrote {os.path.relpath(config)} with {tasks}")
    if _ignore(os.path.join(root, ".gitignore")):
        click.echo("added .nbdag/ to .gitignore")
    click.echo("\nhint: read it, then `nbdag build`", err=True)


def _ignore(path: str) -> bool:
    """Let git ignore what nbdag keeps; ``False`` if it does already."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except FileNotFoundError:
        text = ""
    if {".nbdag", ".nbdag/", "/.nbdag", _IGNORED} & set(text.split()):
        return False
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{_IGNORED}\n")
    return True
