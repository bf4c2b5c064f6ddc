"""`nbdag completions`: a script for a shell, and the completions that it requests.

An answer imports click, the one command that is being typed, and what reads names out of ``pipeline.toml``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import click
from click.shell_completion import CompletionItem, ShellComplete

from nbmake_dag.errors import NbdagError
from nbmake_dag.observe.project import Project, find_project, profiles_in

_BASH = r"""
_nbdag() {
    local words word broken reply
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:COMP_POINT-1:1} == " " ]] && words+=("")
    word=${words[-1]}
    broken=${word%"${word##*[=:]}"}
    # what is quoted is not broken, and completed without the quote
    [[ $word == [\'\"]* ]] && words[-1]=${word:1} broken=
    mapfile -t COMPREPLY < <("${words[0]}" completions --answer -- "${words[@]:1}" 2>/dev/null)
    for reply in "${!COMPREPLY[@]}"; do
        COMPREPLY[reply]=${COMPREPLY[reply]#"$broken"}
    done
}
complete -o default -F _nbdag nbdag
"""
_ZSH = r"""#compdef nbdag
_nbdag() {
    local -a answers
    answers=(${(f)"$("${words[1]}" completions --answer -- "${(@)words[2,$CURRENT]}" 2>/dev/null)"})
    if (( ${#answers} )); then
        compadd -- "${answers[@]}"
    else
        _files
    fi
}
compdef _nbdag nbdag
"""
_FISH = r"""
function __nbdag_answers
    set -l words (commandline -opc) (commandline -ct)
    set -l answers ($words[1] completions --answer -- $words[2..-1] 2>/dev/null)
    if set -q answers[1]
        printf '%s\n' $answers
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c nbdag -f -a '(__nbdag_answers)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
MAX_INSTANCES = 1000
_PATH_OPTIONS = (["-C"], ["--directory"], ["-f"], ["--file"])


@click.command
@click.argument("words", nargs=-1, metavar=f"[{'|'.join(SCRIPTS)}]")
@click.option("--answer", is_flag=True, hidden=True)
def command(words: tuple[str, ...], *, answer: bool) -> None:
    """Print a script that completes commands, options, tasks, tags and runs.

    \b
    bash  eval "$(nbdag completions bash)"      in ~/.bashrc
    zsh   eval "$(nbdag completions zsh)"       in ~/.zshrc, after compinit
    fish  nbdag completions fish | source       in ~/.config/fish/config.fish
    """  # noqa: D301 - click reads the escape
    if answer:
        for line in answers(words):
            click.echo(line)
        return
    if len(words) != 1 or words[0] not in SCRIPTS:
        raise click.UsageError(f"Name one shell: {', '.join(SCRIPTS)}.")
    click.echo(SCRIPTS[words[0]].lstrip("\n"), nl=False)


def answers(words: tuple[str, ...]) -> Iterable[str]:
    """Complete the last of the words after ``nbdag``."""
    from nbmake_dag.commands.cli import COMMANDS, cli  # noqa: PLC0415 - it imports this module by name

    *before, incomplete = words or ("",)
    name = next((word for word in before if word in COMMANDS), None)
    if name is None and not incomplete.startswith("-"):
        # answered without click, which would import every command
        wants_path = before[-1:] in _PATH_OPTIONS
        return [] if wants_path else [command for command in COMMANDS if command.startswith(incomplete)]
    typed = cli.get_command(click.Context(cli), name) if name else None
    for parameter in typed.params if typed else ():
        if parameter.name in NAMES:
            parameter.type = _Names(NAMES[parameter.name])
    found = ShellComplete(cli, {}, "nbdag", "").get_completions(before, incomplete)
    return [item.value for item in found if item.type == "plain"]


class _Names(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument] - since click 8.5
    """A parameter whose values are names in the project."""

    name = "name"

    def __init__(self, find: Callable[[Project, str], Iterable[str]]) -> None:
        self._find = find

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        whole = ctx.find_root().params
        try:
            project = find_project(
                ctx.params.get("directory") or whole.get("directory"),
                ctx.params.get("file") or whole.get("file"),
                ctx.params.get("profiles") or profiles_in(os.environ),
            )
        except NbdagError:
            return []
        names = dict.fromkeys(self._find(project, incomplete))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _targets(project: Project, incomplete: str) -> Iterable[str]:
    """Yield tasks, and the instances of a task whose name is typed in full."""
    from nbmake_dag.config.matrix import instance_name, points  # noqa: PLC0415 - only where it is asked for

    for family, keys in _tasks(project).items():
        yield family
        axes = _table(keys.get("matrix"))
        if "instances" in keys and incomplete.startswith(family):
            yield from _instances(project, family)
        elif axes and incomplete.startswith(family) and all(isinstance(values, list) for values in axes.values()):
            yield from (instance_name(family, point) for point in islice(points(axes), MAX_INSTANCES))


def _instances(project: Project, family: str) -> Iterable[str]:
    """Return the instances of a task that come from data as it lies there, where the pipeline can be read."""
    from nbmake_dag.observe.instance_data import Disk, found_in_place, parse_with_parts  # noqa: PLC0415 - for data

    try:
        with open(project.config, "rb") as file:
            parsed = parse_with_parts(project, file.read(), Disk(project))
        return islice(parsed.instances(found_in_place(parsed, Disk(project))).get(family, ()), MAX_INSTANCES)
    except (NbdagError, OSError):
        return ()


def _profiles(project: Project, incomplete: str) -> Iterable[str]:  # noqa: ARG001 - one signature for all names
    return dict.fromkeys(
        name for document in _documents(project).values() for name in _table(document.get("profiles"))
    )


def _tags(project: Project, incomplete: str) -> Iterable[str]:  # noqa: ARG001 - one signature for all names
    for keys in _tasks(project).values():
        tags = keys.get("tags")
        yield from (tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def _metrics(project: Project, incomplete: str) -> Iterable[str]:  # noqa: ARG001 - likewise
    for document in _documents(project).values():
        yield from _table(_table(document.get("report")).get("metrics"))


def _questions(project: Project, incomplete: str) -> Iterable[str]:
    """Yield declared metrics, checks, and outputs."""
    yield from _metrics(project, incomplete)
    for name, keys in _tasks(project).items():
        if keys.get("check") is True:
            yield name
        outputs = keys.get("outputs")
        listed = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, list) else ()
        yield from (path for path in listed if isinstance(path, str))


def _runs(project: Project, incomplete: str) -> Iterable[str]:  # noqa: ARG001 - likewise
    yield "latest"
    if os.path.isdir(project.runs):
        with os.scandir(project.runs) as entries:
            folders = (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            yield from sorted((name for name in folders if not name.startswith(".")), reverse=True)


def _tasks(project: Project) -> dict[str, dict[str, Any]]:
    """Return the keys of each task as far as the file, which may be half written, can be read."""
    return {
        f"{folder}{name}": keys
        for folder, document in _documents(project).items()
        for name, keys in _tasks_in(document, project.profiles).items()
    }


def _tasks_in(document: dict[str, Any], chosen: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    profiles = [_table(_table(document.get("profiles")).get(name)) for name in chosen]
    tables = [document, *profiles]
    defaults = {key: value for table in tables for key, value in _table(table.get("defaults")).items()}
    return {
        name: {
            **defaults,
            **{
                key: value
                for table in tables
                for key, value in _table(_table(table.get("tasks")).get(name)).items()
            },
        }
        for name in _table(document.get("tasks"))
    }


def _documents(project: Project) -> dict[str, dict[str, Any]]:
    """Return what the pipeline file and its parts say, by what stands before the names of their tasks."""
    try:
        with open(project.config, "rb") as file:
            data = file.read()
    except OSError:
        return {}
    found = {"": _document(data)}
    if b"parts" in data:
        from nbmake_dag.observe.instance_data import Disk, parts_at  # noqa: PLC0415 - most projects have one file

        parts = parts_at(project, data, Disk(project))
        found |= {
            f"{os.path.dirname(path)}/": _document(text) for path, text in parts.items() if isinstance(text, bytes)
        }
    return found


def _document(data: bytes) -> dict[str, Any]:
    import tomli  # noqa: PLC0415 - only where it is asked for

    try:
        return tomli.loads(data.decode())
    except ValueError:
        return {}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _topics(project: Project, word: str) -> Iterable[str]:  # noqa: ARG001 - the same everywhere
    from nbmake_dag.commands.cli import COMMANDS  # noqa: PLC0415 - it imports this module by name
    from nbmake_dag.commands.help import TOPICS  # noqa: PLC0415 - only where it is asked for

    return (*TOPICS, *COMMANDS)


def _notebooks(project: Project, _before: str) -> Iterable[str]:
    from nbmake_dag.scaffold.discovery import discover  # noqa: PLC0415 - reads notebooks

    return (notebook.path for notebook in discover(project.root).notebooks)


NAMES: dict[str | None, Callable[[Project, str], Iterable[str]]] = {
    "targets": _targets,
    "tasks": _targets,
    "task": _targets,
    "exclude": _targets,
    "tags": _tags,
    "profiles": _profiles,
    "run": _runs,
    "runs": _runs,
    "against": _runs,
    "before": _runs,
    "after": _runs,
    "question": _questions,
    "metric": _metrics,
    "topic": _topics,
    "notebook": _notebooks,
}
"""Parameters of commands, by name, whose values are names in the project."""
