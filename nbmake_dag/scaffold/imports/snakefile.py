"""Snakefiles: rules of ``input`` and ``output``, for the wildcards that their targets need."""

from __future__ import annotations

import posixpath
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from nbmake_dag.config.values import spelling
from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.papermill_calls import step_of_commands
from nbmake_dag.scaffold.imports.snake_text import (
    WILDCARD,
    Arguments,
    Snakefile,
    SnakeRule,
    filled,
    parsed,
    pattern_expression,
)
from nbmake_dag.scaffold.imports.steps import Imported, SourceFile, Step
from nbmake_dag.scaffold.reading import Paths

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_WORK = ("shell", "script", "notebook", "run", "wrapper", "cwl", "template_engine")
_UNDERSTOOD = frozenset({*_WORK, "input", "output", "params", "log", "name", "message"})
_HARMLESS = frozenset(
    {"benchmark", "cache", "group", "localrule", "priority", "resources", "threads", "wildcard_constraints"}
)
_STARTERS = {".py": "python", ".R": "Rscript", ".r": "Rscript", ".jl": "julia", ".sh": "bash", ".bash": "bash"}
_MOST_INSTANCES = 5000
_MOST_LOOKED_UP = 500_000
_LONGEST = 255
"""Characters of a path."""


def read_snakefile(source: SourceFile) -> Imported:
    """Read rules; raises `UsageError` for a file that has none."""
    folder = re.sub(r"(?:^|/)workflow$", "", source.folder)
    made = parsed(source, folder)
    if not made.rules:
        raise UsageError(f"{source.path} has no `rule`", (), "a Snakefile has one for each step")
    instances = _instances(made.rules)
    steps: list[Step] = []
    unsaid = [*made.unsaid]
    for rule in made.rules:
        if not rule.directives.keys() & {*_WORK}:
            continue
        found = instances.get(rule.name, [])
        if not found:
            unsaid.append(f"rule `{rule.name}`: no target needs it with values for its wildcards")
        steps += _steps(made, rule, found, folder)
    if not steps:
        raise UsageError(
            f"{source.path} has no rule that does anything for a target", (), "targets stand in the first rule"
        )
    return Imported(steps=tuple(steps), unsaid=tuple(unsaid))


def _instances(rules: Sequence[SnakeRule]) -> dict[str, list[dict[str, str]]]:
    """Return the values of wildcards for which each rule runs, from the targets of the first rule on."""
    makers: list[tuple[SnakeRule, re.Pattern[str]]] = []
    for rule in rules:
        for pattern in rule.of("output").texts():
            try:
                makers.append((rule, re.compile(pattern_expression(pattern.rstrip("/")))))
            except re.error:
                continue
    found: dict[str, list[dict[str, str]]] = {}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    pending: list[tuple[SnakeRule, dict[str, str]]] = [
        (rule, {}) for rule in rules if not any(map(WILDCARD.search, rule.of("output").texts()))
    ]
    looked_up = 0
    while pending and len(seen) < _MOST_INSTANCES:
        rule, values = pending.pop(0)
        mark = (rule.name, tuple(sorted(values.items())))
        if mark in seen:
            continue
        seen.add(mark)
        found.setdefault(rule.name, []).append(values)
        for text in rule.of("input").texts():
            path = filled(text, values).rstrip("/")
            looked_up += len(makers)
            if looked_up > _MOST_LOOKED_UP or len(path) > _LONGEST:
                break
            for maker, expression in makers:
                match = expression.fullmatch(path)
                if match and maker is not rule:
                    pending.append((maker, match.groupdict()))
                    break
    return found


def _steps(made: Snakefile, rule: SnakeRule, instances: list[dict[str, str]], folder: str) -> list[Step]:
    """Make one step with a matrix where the instances are a product of values, else one for each."""
    axes = {name: list(dict.fromkeys(values[name] for values in instances)) for name in (instances or [{}])[0]}
    typed = {name: [_typed(text) for text in texts] for name, texts in axes.items()}
    size = 1
    for values in axes.values():
        size *= len(values)
    is_product = size == len(instances) and all(
        spelling(value) == text for name in axes for value, text in zip(typed[name], axes[name], strict=True)
    )
    if axes and is_product:
        return [
            replace(_step(made, rule, {name: f"{{{name}}}" for name in axes}, rule.name, folder), matrix=typed)
        ]
    return [
        _step(made, rule, values, "-".join((rule.name, *values.values())).replace("/", "-"), folder)
        for values in instances
    ]


def _typed(text: str) -> Any:
    """Return the value that is spelled like a wildcard's text."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if spelling(value) == text:
            return value
    return text


def _step(made: Snakefile, rule: SnakeRule, values: Mapping[str, str], name: str, folder: str) -> Step:
    source = rule.file
    base = Step(
        name=name,
        inputs=_paths(source, rule.of("input"), values, folder),
        outputs=_paths(source, rule.of("output"), values, folder),
        workdir=folder,
        unsaid=tuple(_unsaid(rule)),
    )
    own = source.folder
    if notebook := rule.of("notebook").texts():
        path = source.at(notebook[0], own)
        copy = rule.of("log").named.get("notebook")
        parameters, unsaid = _parameters(rule, values)
        step = replace(
            base,
            unsaid=(*base.unsaid, *unsaid),
            notebook=path,
            notebook_output=source.at(filled(copy, values), folder) if isinstance(copy, str) else "",
            parameters=parameters,
        )
        return _of_a_notebook(source, step)
    if script := rule.of("script").texts():
        path = source.at(script[0], own)
        starter = _STARTERS.get(posixpath.splitext(path)[1])
        relative = posixpath.relpath(path, folder or ".")
        file = source.sibling(path)
        unsaid = list(base.unsaid)
        if file is not None and "snakemake" in file.text:
            unsaid.append(f"the object `snakemake` that `{path}` reads: give it arguments instead")
        is_comment = starter is None or file is None
        if is_comment:
            unsaid.append(f"`{path}`, which cannot be started")
        command = f"{starter or 'echo'} {relative}"
        return replace(base, command=command, unsaid=tuple(unsaid), is_comment=is_comment)
    if shell := rule.of("shell").texts():
        unknown: list[str] = []
        text = textwrap.dedent(_command("".join(shell), made, rule, values, unknown)).strip()
        step = step_of_commands(source, name, [text], folder)
        reasons = [*base.unsaid, *step.unsaid, *(f"`{{{field}}}` in its command" for field in unknown)]
        return replace(
            base,
            notebook=step.notebook,
            command=step.command,
            notebook_output=step.notebook_output,
            parameters=step.parameters,
            kernel=step.kernel,
            workdir=step.workdir,
            inputs=_less(base.inputs, {step.notebook}),
            outputs=_less(base.outputs, {step.notebook_output}),
            unsaid=tuple(reasons),
            is_comment=step.is_comment or bool(unknown),
        )
    what = next(key for key in rule.directives if key in _WORK)
    return replace(base, command="true", unsaid=(*base.unsaid, f"its `{what}`"), is_comment=True)


def _parameters(rule: SnakeRule, values: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters that have names; a wildcard of a matrix is one already."""
    found: dict[str, Any] = {}
    unsaid: list[str] = []
    for name, value in rule.of("params").named.items():
        text = filled(value, values) if isinstance(value, str) else value
        if isinstance(text, str) and text != value and not WILDCARD.search(text):
            found[name] = _typed(text)
        elif isinstance(text, str) and WILDCARD.search(text):
            if text != f"{{{name}}}":
                unsaid.append(f"its parameter `{name}`, which is `{text}`")
        else:
            found[name] = text
    return found, unsaid


def _of_a_notebook(source: SourceFile, step: Step) -> Step:
    file = source.sibling(step.notebook)
    if file is None:
        return replace(step, unsaid=(*step.unsaid, f"`{step.notebook}` is not there"), is_comment=True)
    if not re.search(r"\bsnakemake\b", file.text):
        return step
    what = "the object `snakemake` that the notebook reads: assign `inputs`, `outputs` and parameters in a cell"
    return replace(step, unsaid=(*step.unsaid, f"{what} tagged `parameters`, and use those"))


def _unsaid(rule: SnakeRule) -> list[str]:
    found = [f"`{key}`" for key in rule.directives if key not in _UNDERSTOOD | _HARMLESS]
    for key in ("input", "output", "params"):
        found += [f"in its `{key}`, what only running tells: `{text}`" for text in rule.of(key).unknown]
    return found


def _paths(source: SourceFile, arguments: Arguments, values: Mapping[str, str], folder: str) -> Paths:
    def place(path: str) -> str:
        return source.at(filled(path, values), folder)

    named = {name: value for name, value in arguments.named.items() if isinstance(value, str)}
    if named and len(named) == len(arguments.all):
        return {name: place(path) for name, path in named.items()}
    return tuple(place(path) for path in arguments.texts())


def _less(paths: Paths, gone: set[str]) -> Paths:
    if isinstance(paths, Mapping):
        return {name: path for name, path in paths.items() if path not in gone}
    return tuple(path for path in paths if path not in gone)


def _command(  # noqa: C901 - a case for each kind of field
    text: str, made: Snakefile, rule: SnakeRule, values: Mapping[str, str], unknown: list[str]
) -> str:
    """Put values for what a command names; a wildcard of a matrix stays ``{name}``."""
    roles = {role: rule.of(role) for role in ("input", "output", "params", "log")}

    def spelled(arguments: Arguments, rest: str) -> str | None:
        if not rest:
            return " ".join(filled(str(item), values) for value in arguments.all for item in _each(value))
        key = rest.strip(".[]'\"")
        if key.isdigit() and int(key) < len(arguments.all):
            return " ".join(filled(str(item), values) for item in _each(arguments.all[int(key)]))
        if key in arguments.named:
            return " ".join(filled(str(item), values) for item in _each(arguments.named[key]))
        return None

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        field = match[1].partition(":")[0].strip()
        role, rest = re.match(r"\w*", field)[0], field[len(re.match(r"\w*", field)[0]) :]  # type: ignore[index]
        found: str | None = None
        if role in roles:
            found = spelled(roles[role], rest)
        elif role == "wildcards":
            found = values.get(rest.strip("."))
        elif role == "threads":
            found = " ".join(map(str, rule.of("threads").all)) or "1"
        elif role == "rule":
            found = rule.name
        elif role == "config":
            found = _configured(made.config, rest)
        if found is None:
            unknown.append(match[1])
            return match[0]
        return found

    return _FIELD.sub(value, text)


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _configured(config: Mapping[str, Any], rest: str) -> str | None:
    found: Any = config
    for key in re.findall(r"[^\[\]'\"]+", rest):
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return str(found)
