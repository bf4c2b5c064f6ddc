"""`nbdag init`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import located, say
from nbmake_dag.errors import UsageError, describe
from nbmake_dag.observe.project import CONFIG, Project, find_project, git_root

if TYPE_CHECKING:
    from nbmake_dag.scaffold.ci_files import CiSystem
    from nbmake_dag.scaffold.draft import Draft
    from nbmake_dag.scaffold.imports.steps import Step

_LOCKFILES = (
    *(
        "uv.lock",
        "pylock.toml",
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


@click.command(
    cls=Command,
    examples={
        "nbdag init": "a task for each notebook below this folder",
        "nbdag init --from Snakefile": "the pipeline of another tool",
        "nbdag init --ci github": "with a workflow for GitHub Actions",
    },
)
@located
@click.option(
    "--from",
    "origin",
    metavar="FILE",
    help="Write the pipeline of another tool: a pipeline.yaml of Ploomber, a Snakefile, a dvc.yaml, papermill"
    " calls in a Makefile, a shell or a Python script, or a driver of pynb_dag_runner.",
)
@click.option(
    "--ci",
    "system",
    type=click.Choice(["github", "gitlab"]),
    help="Write what builds the pipeline there; no file is overwritten.",
)
@click.pass_context
def command(
    context: click.Context, directory: str | None, file: str | None, origin: str | None, system: CiSystem | None
) -> None:
    """Write a pipeline.toml with a task for each notebook in this folder and below it.

    A file that one notebook writes and another reads is declared, if their code names it; other guesses are
    comments. With --from the tasks are those of another tool's file, and what they cannot say is listed. Nothing
    is imported or run.
    """
    before_directory, before_file = context.obj
    start = os.path.abspath(directory or before_directory or os.curdir)
    config = os.path.join(start, file or before_file or CONFIG)
    root = os.path.dirname(config)
    if not os.path.isdir(root):
        raise UsageError(f"{root} is not a folder")
    if system and os.path.basename(config) != CONFIG:
        raise UsageError(f"--ci builds {CONFIG}", (), f"leave out -f, or call the file {CONFIG}")
    if system and origin is None and os.path.lexists(config):
        _write_ci(system, root, _secrets_in(find_project(root, CONFIG)))
        return
    if os.path.lexists(config):
        raise UsageError(
            f"{config} exists already", (), "`nbdag build` builds it; to start over, move it away first"
        )
    title = os.path.basename(root) or "pipeline"
    lines, number = (
        _of_notebooks(config, title)
        if origin is None
        else _of_another_tool(config, title, os.path.abspath(origin))
    )
    tasks = "1 task" if number == 1 else f"{number} tasks"
    say(f"wrote {os.path.relpath(config)} with {tasks}")
    for line in lines:
        say(line)
    if _ignore(os.path.join(root, ".gitignore")):
        say("added .nbdag/ to .gitignore")
    if system:
        _write_ci(system, root)
    say("\nhint: read it; `nbdag status` says what would run, `nbdag build` runs it", err=True)


def _of_notebooks(config: str, title: str) -> tuple[list[str], int]:
    """Write a task for each notebook."""
    from nbmake_dag.config.pipeline_file import parse  # noqa: PLC0415 - not for --help
    from nbmake_dag.config.tables import given  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.config_text import config_text  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.discovery import KINDS, discover, installed_kernels  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.draft import as_made_here, draft  # noqa: PLC0415 - likewise

    root = os.path.dirname(config)
    found = discover(root)
    for problem in found.unreadable:
        say(f"warning: {problem}", err=True)
    if not found.notebooks:
        raise UsageError(f"no notebook in {root} or below it", (), KINDS)
    kernels = installed_kernels()
    drafts = as_made_here(root, draft(root, found.notebooks), kernels)
    lockfiles = [name for name in _LOCKFILES if os.path.isfile(os.path.join(root, name))]
    text = config_text(title, drafts, lockfiles, kernels, _makeable(root, lockfiles))
    tasks = [given(table) for table in (parse(text.encode()).document.tasks or {}).values()]
    with open(config, "x", encoding="utf-8") as stream:
        stream.write(text)
    return list(_found(tasks, drafts)), len(tasks)


def _makeable(root: str, lockfiles: Sequence[str]) -> str:
    """Return the first lock file of which nbdag can make an environment, empty without one."""
    for name in lockfiles:
        if name in {"uv.lock", "pylock.toml"}:
            return name
        if name.endswith(".txt"):
            with open(os.path.join(root, name), "rb") as file:
                if b"--hash=" in file.read():
                    return name
    return ""


def _found(tasks: Sequence[Mapping[str, Any]], drafts: Sequence[Draft]) -> Iterator[str]:
    """Yield what was found of files and kernels."""
    inputs, outputs = (
        {path for task in tasks for path in _paths(task.get(key, ()))} for key in ("inputs", "outputs")
    )
    if inputs | outputs:
        made, there = len(outputs), len(inputs - outputs)
        files = "file" if made == 1 else "files"
        besides = f", and {there} more that they read" if there else ""
        yield f"declared {made} {files} that tasks make{besides}"
    if any(draft.suggested_inputs or draft.suggested_outputs for draft in drafts):
        yield "other files that their code names are comments: remove the `#` before those that are right"
    if (absent := len(drafts) - len(tasks)) > 0:
        yield f"left {absent} as {'a comment' if absent == 1 else 'comments'}: the kernel is not installed here"


def _paths(declared: Sequence[str] | Mapping[str, str]) -> Iterable[str]:
    return declared.values() if isinstance(declared, Mapping) else declared


def _of_another_tool(config: str, title: str, origin: str) -> tuple[list[str], int]:
    """Write the pipeline of another tool's file; return what it cannot say, a line each."""
    from nbmake_dag.commands.edited import complaints_about, new_project  # noqa: PLC0415 - not for --help
    from nbmake_dag.scaffold.discovery import installed_kernels  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.imports.kinds import read_pipeline  # noqa: PLC0415 - likewise
    from nbmake_dag.scaffold.imports.pipeline_text import pipeline_text, task_at, unsaid_of  # noqa: PLC0415 - likewise

    root = os.path.dirname(config)
    name = os.path.relpath(origin, root)
    kernels = installed_kernels()

    def refused(steps: Sequence[Step], unsaid: Sequence[str]) -> dict[str, str]:
        text = pipeline_text(title, name, steps, unsaid, kernels)
        complaints = {
            _line(complaint.place): complaint.what
            for complaint in complaints_about(new_project(config), config, text)
        }
        found = {task_at(text, line, steps): what for line, what in complaints.items()}
        return dict.fromkeys((step.name for step in steps), found[""]) if "" in found else found

    found = read_pipeline(root, origin, refused)
    with open(config, "x", encoding="utf-8") as stream:
        stream.write(pipeline_text(title, name, found.steps, found.unsaid, kernels))
    unsaid = [*found.unsaid, *(f"{', '.join(names)}: {what}" for what, names in unsaid_of(found.steps).items())]
    head = [f"\nnot said in it, of {name}:"] if unsaid else []
    return [*head, *(f"- {what}" for what in unsaid)], sum(not step.is_comment for step in found.steps)


def _line(place: str) -> int:
    number = place.rpartition(":")[2]
    return int(number) if number.isdigit() else 0


def _secrets_in(project: Project) -> list[str]:
    """Return the secrets that a pipeline file declares; raises `ConfigError`."""
    from nbmake_dag.commands.settings import settings_of  # noqa: PLC0415 - not for --help

    return sorted(settings_of(project).secrets)


def _write_ci(system: CiSystem, root: str, secrets: Sequence[str] = ()) -> None:
    """Write the files of a CI system that are not there, into the repository around a pipeline."""
    from nbmake_dag.scaffold.ci_files import ci_plan  # noqa: PLC0415 - only where it is asked for

    repository = git_root(root) or root
    plan = ci_plan(system, repository, root, secrets)
    for file in plan.files:
        path = os.path.join(repository, file.path)
        shown = os.path.relpath(path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "x", encoding="utf-8") as stream:
                stream.write(file.text)
            say(f"wrote {shown}")
        except FileExistsError:
            if not os.path.isfile(path):
                raise UsageError(f"{shown} cannot be written: something else is in its place") from None
            say(f"kept {shown}: it is there already")
        except OSError as error:
            raise UsageError(f"{shown} cannot be written: {describe(error)}") from error
    for hint in plan.hints:
        say(f"\nhint: {hint}", err=True)


def _ignore(path: str) -> bool:
    """Let git ignore nbdag's own files; ``False`` if it does already."""
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
