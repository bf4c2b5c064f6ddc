"""The text of a ``pipeline.toml`` made of imported steps, with what it cannot say as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from nbmake_dag.config.values import quoted
from nbmake_dag.scaffold.config_text import key_text, paths_text, python_of, table_text
from nbmake_dag.scaffold.imports.steps import Step

_WIDTH = 114


def pipeline_text(
    name: str, origin: str, steps: Sequence[Step], unsaid: Sequence[str], kernels: Mapping[str, str]
) -> str:
    """Write steps as tasks; ``origin`` is the file that they come from."""
    head = f"From {origin}, by `nbdag init --from`, which executed nothing. Now it is yours."
    lines = [*_comment(head), "#"]
    of_tasks = unsaid_of(steps)
    shared = {what: names for what, names in of_tasks.items() if len(names) > 1}
    listed = [*unsaid, *(f"{', '.join(names)}: {what}" for what, names in shared.items())]
    if listed:
        lines += ["# What it could not say:", *(line for what in listed for line in _comment(f"- {what}"))]
    if len(shared) < len(of_tasks):
        lines += _comment("What one task alone could not say stands above it, after `not said`.")
    if not listed and not of_tasks:
        lines += ["# Nothing was left out."]
    lines += ["", "[pipeline]", f"name = {quoted(name)}"]
    for step in steps:
        own = [f"not said: {what}" for what in step.unsaid if what not in shared]
        lines += ["", *(line for what in own for line in _comment(what))]
        task = "\n".join(_task(step, kernels)).split("\n")
        lines += [f"# {line}" for line in task] if step.is_comment else task
    return "\n".join(lines) + "\n"


def unsaid_of(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return what steps cannot say, and the names of those that it concerns."""
    found: dict[str, list[str]] = {}
    for step in steps:
        for what in step.unsaid:
            found.setdefault(what, []).append(step.name)
    return found


def task_at(text: str, line: int, steps: Sequence[Step]) -> str:
    """Return the name of the step whose task stands at a line, empty where none does."""
    headers = {f"[tasks.{key_text(step.name)}]": step.name for step in steps if not step.is_comment}
    found = (headers[each] for each in reversed(text.split("\n")[:line]) if each in headers)
    return next(found, "")


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _comment(text: str) -> list[str]:
    wrapped = textwrap.wrap(_one_line(text), _WIDTH - 2, subsequent_indent="  ", break_long_words=False)
    return [f"# {line}" for line in wrapped]


def _task(step: Step, kernels: Mapping[str, str]) -> Iterator[str]:
    yield f"[tasks.{key_text(step.name)}]"
    if step.notebook:
        yield f"notebook = {quoted(step.notebook)}"
    elif step.function:
        yield f"function = {quoted(step.function)}"
    else:
        yield f"command = {_command(step.command)}"
    wanted = step.kernel or step.own_kernel
    if wanted and wanted not in kernels:
        yield f"kernel = {quoted(python_of(kernels))}           # `{_one_line(wanted)}` is not installed here"
    elif step.kernel:
        yield f"kernel = {quoted(step.kernel)}"
    written = {
        "workdir": quoted(step.workdir) if step.workdir else "",
        "parameters": table_text(step.parameters) if step.parameters else "",
        "matrix": table_text(step.matrix) if step.matrix else "",
        "inputs": paths_text(step.inputs) if step.inputs else "",
        "outputs": paths_text(step.outputs) if step.outputs else "",
        "after": paths_text(step.after) if step.after else "",
        "notebook_output": quoted(step.notebook_output) if step.notebook_output else "",
        "timeout": quoted(step.timeout) if step.timeout else "",
        "retries": str(step.retries) if step.retries else "",
    }
    yield from (f"{key} = {text}" for key, text in written.items() if text)


def _command(text: str) -> str:
    """Write a command, over several lines where it has them and nothing in it would need escaping."""
    is_plain = all(char.isprintable() or char in "\n\t" for char in text)
    if "\n" in text.strip("\n") and "'''" not in text and is_plain:
        return "'''\n" + text.strip("\n") + "\n'''"
    return quoted(text)
