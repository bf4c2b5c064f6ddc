"""Hints for failures, from facts about the attempt that the exception lacks."""

from __future__ import annotations

import os
import re

from nbmake_dag.execute.protocol import AttemptSpec, Failure, NotebookWork

_ABSENT = re.compile(
    r"No such file|not found|cannot open|does not exist|[Uu]nable to (?:\w+ )?open|Failed to open"
)
_PATH = re.compile(
    r"[\"'`\u2018\u201c]([^\"'`\u2019\u201d\n]+)|(?:: |^)([^\s:'\"]+)(?= not found|$)", re.MULTILINE
)
_NAME = re.compile(r"name '(\w+)' is not defined")


def hint_of(
    failure: Failure, spec: AttemptSpec, work: NotebookWork, interpreter: str, parameters_cell: str
) -> str:
    """Return a hint for a failed notebook, or an empty text; ``interpreter`` is its kernel's program."""
    match failure.type:
        case "FileNotFoundError" | "OSError":
            return _of_missing_file(failure.message, spec, work)
        case "ERROR" | "SystemError":
            # R and Julia
            return _of_missing_file(f"{failure.message}\n{failure.traceback}", spec, work)
        case "ModuleNotFoundError" if spec.environment is not None:
            return (
                f"it is not in the lock file of the environment `{spec.environment.name}`: add it, and lock again"
            )
        case "ModuleNotFoundError":
            return (
                f"the notebook ran in the kernel `{work.kernel}`, whose Python is {interpreter}"
                " (`nbdag help environments`)"
            )
        case "NameError" if name := _NAME.search(failure.message):
            return _of_missing_name(name[1], parameters_cell)
        case "StdinNotImplementedError":
            return "a build has nobody to ask: make it a parameter (`nbdag help notebooks`)"
        case "TypeError" if (used := _used_by_name(failure)) is not None:
            named = f'`{used} = {{ name = "path" }}`'
            return f"`{used}` is a list: give the paths names in pipeline.toml, as in {named}"
        case _:
            return ""


def _of_missing_name(name: str, parameters_cell: str) -> str:
    if name in ("inputs", "outputs"):
        return (
            f"assign `{name} = {{}}` in the cell tagged `parameters`; the declared {name} go there"
            " (`nbdag help notebooks`)"
        )
    if re.search(rf"^{name}\s*:", parameters_cell, re.MULTILINE):
        return (
            f"the cell tagged `parameters` gives `{name}` no value:"
            f" add `parameters = {{ {name} = ... }}` to the task, or build with `-p {name}=VALUE`"
        )
    return ""


def _used_by_name(failure: Failure) -> str | None:
    """Return `inputs` or `outputs` where a cell takes a path of it by name, and none has one."""
    if not failure.message.startswith("list indices must be integers"):
        return None
    line = failure.cell_source.split("\n")[(failure.line or 1) - 1] if failure.cell_source else ""
    used = [name for name in ("inputs", "outputs") if re.search(rf"\b{name}\s*\[\s*[frb]*['\"]", line)]
    return used[0] if used else None


def _of_missing_file(text: str, spec: AttemptSpec, work: NotebookWork) -> str:
    """Point to a file that is not in the working directory, but beside the notebook, as in Jupyter.

    Libraries and languages have words of their own for that, and some name the whole path.
    """
    folder = os.path.dirname(work.path)
    working = os.path.join(spec.root, spec.workdir)
    if not folder or not _ABSENT.search(text):
        return ""
    for quoted, bare in _PATH.findall(text):
        path = os.path.relpath(os.path.join(working, quoted or bare), working)
        beside = os.path.join(spec.root, folder, path)
        if (
            not path.startswith("..")
            and os.path.exists(beside)
            and not os.path.exists(os.path.join(working, path))
        ):
            return (
                f'it exists beside the notebook: with `workdir = "{folder}"` the task runs in that folder'
                " (`nbdag help folders`)"
            )
    return ""
