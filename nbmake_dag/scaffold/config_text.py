"""The text of a first ``pipeline.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nbmake_dag.core.config import expand, parse
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.values import quoted
from nbmake_dag.errors import ConfigError
from nbmake_dag.scaffold.draft import Draft, Paths

_HEAD = """\
# The notebooks of this folder as tasks. `nbdag init` wrote this file, and now it is yours.
#
# `nbdag build` runs what is stale, `nbdag status` says what that is and why. What a task reads and writes decides
# the order, and what is stale: declare it in `inputs` and `outputs`. Lines that are comments are suggestions.
"""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def config_text(name: str, drafts: Iterable[Draft], lockfiles: Iterable[str]) -> str:
    """Write tasks in an order in which each follows those that it needs.

    Where the guesses contradict each other, as in a circle, all of them are suggestions.
    """
    by_name = {draft.name: draft for draft in drafts}
    order = _order(_text(name, by_name.values(), lockfiles))
    if order is None:
        by_name = {key: _only_suggest(draft) for key, draft in by_name.items()}
        order = tuple(by_name)
    return _text(name, (by_name[key] for key in order), lockfiles)


def _order(text: str) -> tuple[str, ...] | None:
    """Return the order of the tasks, ``None`` if there is none."""
    try:
        return build_graph(expand(parse(text.encode()), {}, {})).order
    except ConfigError:
        return None


def _only_suggest(draft: Draft) -> Draft:
    return replace(
        draft,
        inputs=(),
        outputs=(),
        suggested_inputs=(*_values(draft.inputs), *draft.suggested_inputs),
        suggested_outputs=(*_values(draft.outputs), *draft.suggested_outputs),
    )


def _text(name: str, drafts: Iterable[Draft], lockfiles: Iterable[str]) -> str:
    lines = [_HEAD, "[pipeline]", f"name = {quoted(name)}"]
    if names := ", ".join(map(quoted, lockfiles)):
        lines += ["", "# [environment]           # what identifies the software; a change makes every task stale"]
        lines += [f"# lockfiles = [{names}]"]
    for draft in drafts:
        lines += ["", *_task(draft)]
    return "\n".join(lines) + "\n"


def _task(draft: Draft) -> Iterator[str]:
    yield f"[tasks.{_key(draft.name)}]"
    yield f"notebook = {quoted(draft.notebook)}"
    if draft.workdir:
        yield f"workdir = {quoted(draft.workdir)}           # its paths seem to be relative to its own folder"
    if draft.parameters:
        yield f"# parameters = {_table(draft.parameters)}"
    if draft.inputs:
        yield f"inputs = {_paths(draft.inputs)}"
    if draft.suggested_inputs:
        yield f"# inputs = {_paths(draft.suggested_inputs)}"
    if draft.outputs:
        yield f"outputs = {_paths(draft.outputs)}"
    if draft.suggested_outputs:
        yield f"# outputs = {_paths(draft.suggested_outputs)}"


def _paths(paths: Paths) -> str:
    return _table(paths) if isinstance(paths, Mapping) else f"[{', '.join(map(quoted, paths))}]"


def _table(values: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{_key(name)} = {quoted(value)}" for name, value in values.items()) + " }"


def _values(paths: Paths) -> tuple[str, ...]:
    return tuple(paths.values()) if isinstance(paths, Mapping) else paths


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else quoted(name)
