"""The text of a first ``pipeline.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nbmake_dag.config.pipeline_file import expand, parse
from nbmake_dag.config.values import quoted
from nbmake_dag.core.graph import build_graph
from nbmake_dag.errors import ConfigError
from nbmake_dag.scaffold.draft import Draft, only_suggested, runs_here
from nbmake_dag.scaffold.reading import Paths

_HEAD = """\
# The notebooks of this folder as tasks. `nbdag init` wrote this file, and now it is yours.
#
# `nbdag build` runs what is stale, `nbdag status` says what that is and why. What a task reads and writes decides
# the order, and what is stale: declare it in `inputs` and `outputs`. Lines that are comments are suggestions.
"""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def config_text(
    name: str, drafts: Iterable[Draft], lockfiles: Iterable[str], kernels: Mapping[str, str], lock: str = ""
) -> str:
    """Write tasks in an order in which each follows those that it needs.

    ``lock`` is the lock file of which nbdag can make an environment, empty without one.

    Where the guesses contradict each other, as in a circle, all of them are suggestions. ``kernels`` has the
    language of each kernel that is installed: a Python notebook that asks for another gets one of those, and
    of other notebooks that cannot run here the tasks are comments.
    """
    by_name = {draft.name: draft for draft in drafts}
    order = order_of(_text(name, by_name.values(), lockfiles, kernels, lock))
    if order is None:
        by_name = {key: only_suggested(draft) for key, draft in by_name.items()}
        order = tuple(by_name)
    left_out = (draft for key, draft in by_name.items() if key not in order)
    return _text(name, (*(by_name[key] for key in order), *left_out), lockfiles, kernels, lock)


def order_of(text: str) -> tuple[str, ...] | None:
    """Return the order of the tasks, ``None`` if there is none."""
    try:
        return build_graph(expand(parse(text.encode()), {}, {})).order
    except ConfigError:
        return None


def _text(
    name: str, drafts: Iterable[Draft], lockfiles: Iterable[str], kernels: Mapping[str, str], lock: str
) -> str:
    drafts = tuple(drafts)
    lines = [_HEAD, "[pipeline]", f"name = {quoted(name)}"]
    if names := ", ".join(map(quoted, lockfiles)):
        lines += ["", "# [software]              # what identifies the software; a change makes every task stale"]
        lines += [f"# lockfiles = [{names}]"]
    if lock:
        lines += ["", '# [environments.main]     # or let nbdag make it; tasks then have `environment = "main"`']
        lines += [f"# lock = {quoted(lock)}"]
    default = _default_kernel(drafts, kernels)
    if default:
        absent = ", ".join(
            sorted({draft.kernel for draft in drafts if draft.kernel and draft.kernel not in kernels})
        )
        lines += ["", "[defaults]", f"kernel = {quoted(default)}           # not installed here: {absent}"]
    for draft in drafts:
        lines += ["", *_task_here(draft, kernels, default)]
    return "\n".join(lines) + "\n"


def _default_kernel(drafts: Iterable[Draft], kernels: Mapping[str, str]) -> str:
    """Return one kernel for all, where some notebooks name one that is not installed, and none another one."""
    drafts = tuple(drafts)
    ours = python_of(kernels)
    is_absent = any(draft.kernel not in kernels and draft.language == "python" for draft in drafts)
    return ours if is_absent and {draft.kernel for draft in drafts if draft.kernel in kernels} <= {ours} else ""


def python_of(kernels: Mapping[str, str]) -> str:
    """Return the kernel of this machine that runs Python notebooks."""
    names = [name for name, language in kernels.items() if language == "python"]
    return "python3" if "python3" in names or not names else names[0]


def task_text(draft: Draft, kernels: Mapping[str, str]) -> list[str]:
    """Write one task that can be planned with the kernels of this machine."""
    return list(_task_here(draft, kernels, ""))


def _task_here(draft: Draft, kernels: Mapping[str, str], default: str) -> Iterator[str]:
    """Yield the lines of a task that can be planned with the kernels of this machine."""
    lines = list(_task(draft))
    if not runs_here(draft, kernels):
        what = f"the kernel `{draft.kernel}`" if draft.kernel else f"a kernel for {draft.language}"
        yield f"# {what} is not installed here"
        yield from (f"# {line}" for line in lines)
    elif draft.kernel in kernels or (default and draft.language == "python"):
        yield from lines
    else:
        yield from lines[:2]
        yield _kernel(draft, kernels)
        yield from lines[2:]


def _kernel(draft: Draft, kernels: Mapping[str, str]) -> str:
    if draft.kernel:
        return f"kernel = {quoted(python_of(kernels))}           # `{draft.kernel}` is not installed here"
    name = next(name for name, language in kernels.items() if language == draft.language)
    return f"kernel = {quoted(name)}           # the notebook names none"


def _task(draft: Draft) -> Iterator[str]:
    yield f"[tasks.{key_text(draft.name)}]"
    yield f"notebook = {quoted(draft.notebook)}"
    if draft.workdir:
        yield f"workdir = {quoted(draft.workdir)}           # its paths seem to be relative to its own folder"
    if draft.parameters:
        yield f"# parameters = {table_text(draft.parameters)}"
    yield from _paths("inputs", draft.inputs, draft.suggested_inputs)
    yield from _paths("outputs", draft.outputs, draft.suggested_outputs)


def _paths(key: str, declared: Paths, suggested: Sequence[str]) -> Iterator[str]:
    """Yield a key, and suggestions of which each can lose its ``#``: a key may be there only once."""
    if not declared and suggested:
        yield f"# {key} = {paths_text(suggested)}"
    elif suggested and not isinstance(declared, Mapping):
        yield f"{key} = ["
        yield from (f"    {quoted(path)}," for path in declared)
        yield from (f"    # {quoted(path)}," for path in suggested)
        yield "]"
    elif declared:
        yield f"{key} = {paths_text(declared)}"
        yield from (f"# with a name, {quoted(path)} may belong there too" for path in suggested)


def paths_text(paths: Paths | Sequence[str]) -> str:
    """Write a list of paths, or a table of named ones."""
    return table_text(paths) if isinstance(paths, Mapping) else f"[{', '.join(map(quoted, paths))}]"


def table_text(values: Mapping[str, Any]) -> str:
    """Write values by name in one line."""
    return "{ " + ", ".join(f"{key_text(name)} = {quoted(value)}" for name, value in values.items()) + " }"


def key_text(name: str) -> str:
    """Write a name as a key, in quotes where it needs them."""
    return name if _BARE_KEY.fullmatch(name) else quoted(name)
