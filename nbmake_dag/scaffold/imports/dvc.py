"""DVC's ``dvc.yaml``: stages of ``cmd``, ``deps`` and ``outs``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import partial
from itertools import product as combinations
from typing import Any

from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.papermill_calls import step_of_commands
from nbmake_dag.scaffold.imports.steps import Imported, SourceFile, Step
from nbmake_dag.scaffold.imports.yaml_file import filled, items, looked_up, read_yaml, table

_PLACEHOLDER = re.compile(r"\$\{\s*([^{}]+?)\s*\}")
_UNDERSTOOD = frozenset(
    {"cmd", "deps", "desc", "do", "foreach", "matrix", "metrics", "outs", "params", "plots", "wdir"}
)
_OF_A_FILE = frozenset({"cache", "desc", "labels", "meta", "type"})
_MOST_INSTANCES = 1000


def read_dvc(source: SourceFile) -> Imported:
    """Read stages; raises `UsageError` for a file that is none of DVC's."""
    content = table(read_yaml(source), "the file", source)
    if not isinstance(content.get("stages"), dict):
        raise UsageError(f"{source.path} has no table of `stages`", (), "a dvc.yaml has one")
    values = _values(source, content.get("vars"))
    folders = _folders(source)
    unsaid = [f"`{key}`" for key in content if key not in {"stages", "vars", "params", "metrics", "plots"}]
    steps: list[Step] = []
    for name, entry in table(content["stages"], "`stages`", source).items():
        stage = table(entry, f"stage `{name}`", source)
        for suffix, cell in _instances(source, name, stage, values):
            unknown: set[str] = set()
            body = table(stage.get("do", stage), f"stage `{name}`", source)
            body = {key: value for key, value in body.items() if key not in {"foreach", "matrix"}}
            known = {**values, **cell}
            body = filled(body, _PLACEHOLDER, partial(looked_up, known), unknown)
            steps.append(_step(source, name + suffix, body, folders, unknown))
    return Imported(steps=tuple(steps), unsaid=tuple(unsaid))


def _values(source: SourceFile, declared: Any) -> dict[str, Any]:
    """Return what `${...}` can name: params.yaml, and ``vars``."""
    found = _file_of_values(source, "params.yaml")
    for item in items(declared):
        match item:
            case dict():
                found |= {str(key): value for key, value in item.items()}
            case str():
                found |= _file_of_values(source, item.partition(":")[0])
            case _:
                pass
    return found


def _file_of_values(source: SourceFile, path: str) -> dict[str, Any]:
    file = source.sibling(source.at(path))
    if file is None or not path.endswith((".yaml", ".yml", ".json")):
        return {}
    content = read_yaml(file)
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def _folders(source: SourceFile) -> frozenset[str]:
    """Return the paths that dvc.lock knows to be folders, as it writes them."""
    lock = source.sibling(source.at("dvc.lock"))
    if lock is None:
        return frozenset()
    try:
        content = read_yaml(lock)
    except UsageError:
        return frozenset()
    entries: list[Any] = [content]
    found: set[str] = set()
    while entries:
        match entries.pop():
            case {"path": str() as path, **rest}:
                if any(str(value).endswith(".dir") for value in rest.values()):
                    found.add(path)
            case dict() as inner:
                entries += inner.values()
            case list() as inner:
                entries += inner
            case _:
                pass
    return frozenset(found)


def _instances(
    source: SourceFile, name: str, stage: Mapping[str, Any], values: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the end of the name and the own values of each instance of a stage; a plain stage has one."""
    if "foreach" in stage:
        each = filled(stage["foreach"], _PLACEHOLDER, partial(looked_up, values), set())
        if isinstance(each, dict):
            return [(f"-{key}", {"key": key, "item": item}) for key, item in each.items()]
        if isinstance(each, list):
            return [
                (f"-{number if isinstance(item, dict | list) else item}", {"item": item})
                for number, item in enumerate(each)
            ]
        raise UsageError(f"{source.path}: the `foreach` of stage `{name}` is neither a list nor a table")
    if "matrix" in stage:
        axes = filled(
            table(stage["matrix"], f"the `matrix` of stage `{name}`", source),
            _PLACEHOLDER,
            partial(looked_up, values),
            set(),
        )
        found: list[tuple[str, dict[str, Any]]] = []
        for cell in combinations(*(list(enumerate(items(axis))) for axis in axes.values())):
            if len(found) >= _MOST_INSTANCES:
                raise UsageError(f"{source.path}: stage `{name}` has more than {_MOST_INSTANCES} combinations")
            item = {axis: value for axis, (_, value) in zip(axes, cell, strict=True)}
            parts = [
                f"{axis}{number}" if isinstance(value, dict | list) else str(value)
                for axis, (number, value) in zip(axes, cell, strict=True)
            ]
            found.append((f"-{'-'.join(parts)}", {"item": item}))
        return found
    return [("", {})]


def _step(
    source: SourceFile, name: str, body: Mapping[str, Any], folders: frozenset[str], unknown: set[str]
) -> Step:
    unsaid = [f"`{key}`" for key in body if key not in _UNDERSTOOD and body[key]]
    unsaid += [
        f"the placeholder `${{{key}}}`, which has no value in params.yaml or `vars`" for key in sorted(unknown)
    ]
    wdir = source.at(str(body.get("wdir") or "."))
    wdir = "" if wdir == "." else wdir

    def at(path: str) -> str:
        place = source.at(path, wdir)
        return f"{place}/" if path in folders and not place.endswith("/") else place

    inputs = [at(path) for path, _ in _files(body.get("deps"))]
    outputs: list[str] = []
    for role in ("outs", "metrics", "plots"):
        for path, options in _files(body.get(role)):
            outputs.append(at(path))
            if not posixpath.splitext(path)[1] and path not in folders:
                unsaid.append(f"`{path}` is declared as a file: if it is a folder, end it with `/`")
            unsaid += [
                f"`{key}` of `{path}`"
                for key, value in options.items()
                if role == "outs" and value and key not in _OF_A_FILE
            ]
    for path in _parameter_files(body.get("params")):
        if not source.has(source.at(path, wdir)):
            continue
        inputs.append(source.at(path, wdir))
        unsaid.append(f"which values of `{path}` it needs: every change of that file counts")
    commands = [str(line) for line in items(body.get("cmd"))]
    if not commands:
        raise UsageError(f"{source.path}: stage `{name}` has no `cmd`")
    step = step_of_commands(source, name, commands, wdir)
    return replace(
        step,
        inputs=tuple(path for path in dict.fromkeys(inputs) if path != step.notebook),
        outputs=tuple(path for path in dict.fromkeys(outputs) if path != step.notebook_output),
        unsaid=(*unsaid, *step.unsaid),
        is_comment=step.is_comment or bool(unknown),
    )


def _files(declared: Any) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for item in items(declared):
        if isinstance(item, dict):
            found += [(str(path), options if isinstance(options, dict) else {}) for path, options in item.items()]
        else:
            found.append((str(item), {}))
    return found


def _parameter_files(declared: Any) -> list[str]:
    """Return the files whose values a stage needs; a name alone is one of params.yaml."""
    found: dict[str, None] = {}
    for item in items(declared):
        if isinstance(item, dict):
            found |= dict.fromkeys(str(path) for path in item)
        else:
            found["params.yaml"] = None
    return list(found)
