"""Typed tables to the pipeline: defaults merged, matrices expanded, parameters resolved, paths checked."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from nbmake_dag.core import matrix, settings
from nbmake_dag.core.complaints import Complaints
from nbmake_dag.core.config_lines import Lines
from nbmake_dag.core.config_types import Document, given
from nbmake_dag.core.model import Pipeline, Task, TaskName, Value
from nbmake_dag.core.ownership import check_writes
from nbmake_dag.core.parameters import SharedParameters
from nbmake_dag.core.paths import identity
from nbmake_dag.core.signature import Signature
from nbmake_dag.core.tasks import NOTEBOOK_KEYS, WORK_KEYS, Family
from nbmake_dag.core.values import name_fault, spelling, value_fault

DEFAULT_KEEP_RUNS = 200
_MERGED = ("env", "resources")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFile:
    """The content of a ``pipeline.toml``, typed but not expanded, and where it stands in the text."""

    document: Document
    lines: Lines
    file: str

    def sources(self) -> dict[str, tuple[str, str]]:
        """Return what `expand` wants signatures of, as the file writes it: ``notebook`` or ``function``, place."""
        found: dict[str, tuple[str, str]] = {}
        for name, keys in _families(self.document).items():
            for kind in ("notebook", "function"):
                if kind in keys and keys[kind] not in found:
                    found[keys[kind]] = kind, f"{self.file}:{self.lines.of(('tasks', name, kind))}"
        return found


def expand(file: PipelineFile, signatures: Mapping[str, Signature], overrides: Mapping[str, Value]) -> Pipeline:
    """Make the pipeline; raise `ConfigError` with every complaint.

    ``signatures`` by what stands behind ``notebook =`` and ``function =``; one that is missing counts as unknown.
    ``overrides`` are those of ``-p``; one that is a key of a matrix takes the place of all its values.
    """
    complaints = Complaints(file.file, file.lines)
    pipeline = _expand(file, signatures, overrides, complaints, frozenset())
    complaints.raise_if_any()
    return pipeline


def complain(file: PipelineFile, complaints: Complaints, left_out: frozenset[str]) -> None:
    """Add what `expand` would say of a file, except of the tasks that could not be read."""
    _expand(file, {}, {}, complaints, left_out)


def _expand(
    file: PipelineFile,
    signatures: Mapping[str, Signature],
    overrides: Mapping[str, Value],
    complaints: Complaints,
    left_out: frozenset[str],
) -> Pipeline:
    document = file.document
    families = _families(document)
    if not families and not complaints:
        hint = 'a task is a table, such as `[tasks.clean]` with `notebook = "clean.py"`'
        complaints.add((), "the pipeline has no tasks", hint)
    defaults = given(document.defaults).get("parameters", {})
    shared = SharedParameters(_or_empty(document.parameters), defaults, overrides, complaints)
    points = _points(families, overrides, complaints)
    _check_names([*families, *left_out], points, complaints)
    groups: dict[str, tuple[TaskName, ...]] = dict.fromkeys(left_out, ())
    for name, instances in points.items():
        groups.update((instance, (instance,)) for instance, _ in instances)
        groups[name] = tuple(instance for instance, _ in instances)
    tasks: dict[TaskName, Task] = {}
    for name, keys in families.items():
        after = _after(name, keys.get("after", []), groups, complaints)
        family = Family(name, keys, shared, signatures, complaints)
        if points[name]:
            line = file.lines.of(("tasks", name))
            tasks.update((task.name, task) for task in family.instances(points[name], after, line))
    check_writes(tasks.values(), file.file, complaints)
    if not left_out and all(points.values()):
        shared.check_used()
    return Pipeline(
        name=settings.pipeline_name(document, complaints),
        tasks=tasks,
        environment=settings.environment(document, complaints),
        cache=settings.cache(document.cache, complaints),
        kernel=settings.kernel(document.kernel, complaints),
        ray=settings.ray(document),
        report=settings.report(document),
        keep_runs=given(document.runs).get("keep", DEFAULT_KEEP_RUNS),
    )


def _families(document: Document) -> dict[str, dict[str, Any]]:
    """Return the keys of each task over those of ``[defaults]``.

    Lists and single values replace a default, ``env`` and ``resources`` are merged by key. A task that says
    what it runs drops what the defaults would run, and one that is no notebook what they say of notebooks.
    ``parameters`` of the defaults stay apart, because a task need not know them.
    """
    defaults = given(document.defaults)
    defaults.pop("parameters", None)
    without_work = {key: value for key, value in defaults.items() if key not in WORK_KEYS}
    families: dict[str, dict[str, Any]] = {}
    for name, table in _or_empty(document.tasks).items():
        own = given(table)
        keys = {**(defaults if own.keys().isdisjoint(WORK_KEYS) else without_work), **own}
        if "notebook" not in keys:
            keys = {key: value for key, value in keys.items() if key in own or key not in NOTEBOOK_KEYS}
        for key in _MERGED:
            if key in own and key in defaults:
                keys[key] = {**defaults[key], **own[key]}
        families[name] = keys
    return families


def _points(
    families: Mapping[str, dict[str, Any]], overrides: Mapping[str, Value], complaints: Complaints
) -> dict[str, list[tuple[TaskName, dict[str, Value]]]]:
    """Return the instances of each task with their values; none where a matrix is wrong."""
    axes = {name: _axes(name, keys.get("matrix", {}), overrides, complaints) for name, keys in families.items()}
    counts = {name: 0 if axis is None else matrix.count(axis) for name, axis in axes.items()}
    if (total := sum(counts.values())) > matrix.MAX_TASKS:
        largest = max(counts, key=counts.__getitem__)
        what = f"the pipeline has {total:,} tasks, more than {matrix.MAX_TASKS:,}"
        complaints.add(("tasks", largest, "matrix"), what, f"`{largest}` alone has {counts[largest]:,}")
        return {name: [] for name in families}
    return {
        name: [] if axis is None else [(matrix.instance_name(name, point), point) for point in matrix.points(axis)]
        for name, axis in axes.items()
    }


def _axes(
    name: str, declared: Mapping[str, list[Value]], overrides: Mapping[str, Value], complaints: Complaints
) -> dict[str, list[Value]] | None:
    before = len(complaints)
    for key, values in declared.items():
        path = ("tasks", name, "matrix", key)
        if fault := name_fault(key):
            complaints.add(path, f"`{key}` cannot be a parameter: it {fault}")
        if fault := value_fault(values):
            complaints.add(path, f"`{key}` cannot have these values: it {fault}", "write them as strings")
        elif len(set(map(spelling, values))) < len(values):
            complaints.add(path, f"`{key}` has a value twice")
        if not values:
            complaints.add(path, f"`{key}` has no values, so that task `{name}` has no instances")
    if len(complaints) > before:
        return None
    return {key: [overrides[key]] if key in overrides else values for key, values in declared.items()}


def _check_names(
    families: list[str],
    points: Mapping[str, list[tuple[TaskName, dict[str, Value]]]],
    complaints: Complaints,
) -> None:
    seen: dict[str, str] = {}
    for family in families:
        if fault := matrix.name_fault(family):
            complaints.add(("tasks", family), f"`{family}` cannot be the name of a task: it {fault}")
        for name in dict.fromkeys((family, *(name for name, _ in points.get(family, ())))):
            other = seen.setdefault(identity(name), name)
            if other != name:
                what = f"the names `{name}` and `{other}` differ only in case or in the form of their Unicode"
                complaints.add(("tasks", family), what)
                break
            if name != family and (fault := matrix.length_fault(name)):
                complaints.add(("tasks", family, "matrix"), f"the name of the instance `{name}` {fault}")
                break


def _after(
    family: str, names: list[str], groups: Mapping[str, tuple[TaskName, ...]], complaints: Complaints
) -> tuple[TaskName, ...]:
    """Return the instances behind names of tasks; one tuple for all that wait for the same task."""
    for name in names:
        if name not in groups:
            hint = complaints.suggest(name, tuple(groups))
            complaints.add(("tasks", family, "after"), f"`{family}` waits for `{name}`, which is no task", hint)
    known = [groups[name] for name in names if name in groups]
    return known[0] if len(known) == 1 else tuple(dict.fromkeys(itertools.chain.from_iterable(known)))


def _or_empty(table: dict[str, Any] | UnsetType) -> dict[str, Any]:
    return {} if table is UNSET else table
