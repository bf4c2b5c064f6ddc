"""The report of a failed task: the place, the code, the error, and the files it left."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from nbmake_dag.core.model import Command, Function, Notebook, Task
from nbmake_dag.execute.protocol import Failure
from nbmake_dag.present.palette import Palette
from nbmake_dag.present.text import fit
from nbmake_dag.present.traceback_text import MAX_WIDTH, bounded, users_part
from nbmake_dag.record.outcome import TaskOutcome

_WHOLE = 15
"""Lines up to which a cell is shown whole."""
_AROUND = 5
"""Lines that are shown before and after the failing one of a longer cell."""
_OUTPUT = 20
"""Lines that are shown of what a command printed."""
_NO_EXCEPTION = frozenset({"timeout", "exit", "_OTHER"})
"""Types of failures that name no class of an exception."""


def failure_lines(
    outcome: TaskOutcome, task: Task, root: str, palette: Palette, options: Sequence[str] = ()
) -> list[str]:
    """Describe why the last attempt failed; paths below ``root`` are shown relative to it.

    ``options`` of `nbdag build` decide what the task is: with others it may not fail.
    """
    failure = outcome.attempts[-1].failure or Failure(type="_OTHER", message="for an unknown reason")
    sections = [
        [palette.strong(_place(task, failure))],
        [f"  {line}" for line in _excerpt(failure, palette)],
        *_sections(failure, root, palette),
        [f"hint: {failure.hint}"] if failure.hint else [],
        _remains(outcome, root, options),
    ]
    shown = [section for section in sections if section]
    return [line for section in shown for line in (*(f"  {line}" for line in section), "")]


def _place(task: Task, failure: Failure) -> str:
    line = f", line {failure.line}" if failure.line is not None else ""
    if task.is_unknown:
        return f"the instances of {task.family}"
    match task.work:
        case Notebook(path=path) if failure.cell is not None:
            return f"{path}, {failure.cell}{line}"
        case Notebook(path=path) if failure.cell_source:
            return f"{path}, the injected parameters{line}"
        case Notebook(path=path):
            return path
        case Function(module=module, qualname=qualname):
            return f"{module}:{qualname}{line}"
        case Command(arguments=str(script)):
            return fit(f"$ {' '.join(script.split())}", MAX_WIDTH)
        case Command(arguments=arguments):
            return fit(f"$ {shlex.join(arguments)}", MAX_WIDTH)


def _excerpt(failure: Failure, palette: Palette) -> list[str]:
    """Show the failing cell, a long one around the failing line, which is marked."""
    source = failure.cell_source.rstrip().split("\n") if failure.cell_source.strip() else []
    first, last = 1, min(len(source), _WHOLE)
    if len(source) > _WHOLE and failure.line is not None:
        first = max(1, failure.line - _AROUND)
        last = min(len(source), failure.line + _AROUND)
    digits = len(str(last))
    lines: list[str] = []
    for number in range(first, last + 1):
        text = f"{number:>{digits}} | {fit(source[number - 1], MAX_WIDTH)}".rstrip()
        lines.append(palette.bad(f"> {text}") if number == failure.line else f"  {text}")
    before = [palette.faint(f"  … {first - 1} lines")] if first > 1 else []
    after = [palette.faint(f"  … {len(source) - last} lines")] if last < len(source) else []
    return [*before, *lines, *after]


def _sections(failure: Failure, root: str, palette: Palette) -> list[list[str]]:
    """Return the error and its traceback."""
    if failure.type == "exit":
        output = failure.traceback.rstrip().split("\n")[-_OUTPUT:] if failure.traceback.strip() else []
        first, *notes = bounded(failure.message.split("\n"))
        return [[palette.bad(first), *notes], [f"  {line}" for line in bounded(output)]]
    frames, exception = users_part(_relative(failure.traceback, root), failure.line)
    raised = failure.traceback or failure.cell is not None
    if failure.type in _NO_EXCEPTION or not raised:
        exception = failure.message.split("\n")
    elif not exception or failure.type not in exception[0]:
        exception = f"{failure.type}: {failure.message}".rstrip(": ").split("\n")
    first, *notes = bounded(exception)
    places = [] if frames == exception else frames
    return [[palette.bad(first), *notes], [f"  {line}" for line in places]]


def _relative(text: str, root: str) -> str:
    """Shorten paths below the root, also where the home folder is written as ``~``."""
    home = os.path.expanduser("~")
    text = text.replace(f"{root}/", "")
    return text.replace(f"~{root.removeprefix(home)}/", "") if root.startswith(f"{home}/") else text


def _remains(outcome: TaskOutcome, root: str, options: Sequence[str]) -> list[str]:
    if outcome.failed_folder is None:
        return []
    attempt = outcome.attempts[-1]
    notebook = "the executed notebook and " if attempt.notebook else ""
    folder = os.path.relpath(os.path.join(root, outcome.failed_folder))
    lines = [f"{notebook}partial outputs: {folder}/"]
    if notebook:
        task = shlex.quote(outcome.task)
        raised = attempt.failure is not None and attempt.failure.type not in _NO_EXCEPTION
        again = shlex.join(["nbdag", "build", *options, "--pdb", outcome.task])
        debugger = f"; `{again}` stops at the exception" if raised else ""
        lines.append(f"`nbdag show latest {task}` shows more{debugger}")
    return lines
