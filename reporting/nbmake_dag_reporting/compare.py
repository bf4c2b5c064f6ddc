"""The differences between two runs: results, judged metrics, tasks, parameters, durations, keys, machines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from nbmake_dag_reporting.assemble import Resolve
from nbmake_dag_reporting.bundle import Recorded, ingredients_of
from nbmake_dag_reporting.cell_ref import CellRef, cell_of
from nbmake_dag_reporting.run import Run, TaskRun
from nbmake_dag_reporting.scrub import public
from nbmake_dag_reporting.vocabulary import HITS, Direction

_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")


Cells: TypeAlias = Callable[[Recorded, str], Sequence[CellRef]]
"""Finds the cells of a task in a run that are ingredients, in the order of their source."""

ResultKind: TypeAlias = Literal["output", "artifact", "notebook"]


class Verdict(Enum):
    """How a metric went."""

    SAME = "same"
    """Equal, or within the declared tolerance."""
    BETTER = "better"
    WORSE = "worse"
    CHANGED = "changed"
    """Different, and no direction was declared."""
    NEW = "new"
    GONE = "gone"


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """Which way a metric is better, and by how much it must differ."""

    direction: Direction | None = None
    tolerance: float = 0.0
    alert: str = ""
    """``worse``, or a limit: a sign and a number, such as ``< 0.9``. Empty for none; see `alerts`."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One value that differs; ``None`` where a run has none. ``task`` is empty for what concerns the whole run."""

    task: str
    name: str
    before: Any
    after: Any
    verdict: Verdict = Verdict.CHANGED
    direction: Direction | None = None
    """Of a metric, which way is better, as declared."""
    kind: str = ""
    """Of an ingredient, its kind."""


class ResultChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a task made and that differs, by its digests; ``None`` where a run did not make it.

    Of kind ``notebook`` it is what the cells showed.
    """

    task: str
    name: str
    kind: ResultKind
    before: str | None
    after: str | None
    is_image: bool = False


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs. ``ingredients`` are those of the keys, of tasks whose key changed."""

    before: str
    after: str
    results: tuple[ResultChange, ...] = ()
    reasons: Mapping[str, tuple[str, ...]] = {}
    """Why each task that the second run executed was."""
    codes: Mapping[str, tuple[str, ...]] = {}
    """The same as codes, one for each reason."""
    statuses: tuple[Change, ...] = ()
    parameters: tuple[Change, ...] = ()
    metrics: tuple[Change, ...] = ()
    durations: tuple[Change, ...] = ()
    ingredients: tuple[Change, ...] = ()
    environment: tuple[Change, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """Tasks of one run alone; where ``same_targets`` is unset, the pipelines may still be the same."""
    edges_added: tuple[tuple[str, str], ...] = ()
    edges_removed: tuple[tuple[str, str], ...] = ()
    same_targets: bool = True


class _Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A task of both runs."""

    name: str
    before: TaskRun
    after: TaskRun
    records: tuple[Resolve, Resolve]

    @property
    def has_results(self) -> bool:
        """Whether the task ended well in both runs, so that what it made can differ."""
        return all(task.status == "ran" or task.status in HITS for task in (self.before, self.after))

    @property
    def has_begun(self) -> bool:
        """Whether the task was looked at or executed in both runs, so that its parameters are known."""
        return not {self.before.status, self.after.status} & {"skipped", "cancelled"}


def compare(
    before: Recorded, after: Recorded, declared: Mapping[str, Declared], cells: Cells = lambda _run, _task: ()
) -> Comparison:
    """Compare a run with the baseline ``before``; values of both are given, also where only one has them.

    Of a task that did not end well in one of them only its status differs. Ingredients that are cells are named by
    what ``cells`` returns, where that is known, else by their order.
    """
    old, new = before.run.tasks, after.run.tasks
    pairs = [
        _Pair(name=name, before=old[name], after=new[name], records=(before.record, after.record))
        for name in old
        if name in new
    ]
    same_targets = before.run.targets == after.run.targets
    common = old.keys() & new.keys()
    executed = {name: task for name, task in new.items() if task.attempts and before.run.id != after.run.id}
    edges_before, edges_after = (
        {edge for edge in _edges(run.run) if same_targets or common.issuperset(edge)} for run in (before, after)
    )
    return Comparison(
        before=before.run.id,
        after=after.run.id,
        results=tuple(change for pair in pairs if pair.has_results for change in _results(pair)),
        reasons={name: task.reasons for name, task in executed.items()},
        codes={name: task.codes for name, task in executed.items()},
        statuses=tuple(_changes((p.name, {"": p.before.status}, {"": p.after.status}) for p in pairs)),
        parameters=tuple(_changes((p.name, p.before.params, p.after.params) for p in pairs if p.has_begun)),
        metrics=tuple(_judged((pair for pair in pairs if pair.has_results), declared)),
        durations=tuple(_changes((p.name, _took(p.before), _took(p.after)) for p in pairs)),
        ingredients=tuple(
            change
            for pair in pairs
            if pair.before.key != pair.after.key and pair.has_results
            for change in _ingredient_changes(pair, (cells(before, pair.name), cells(after, pair.name)))
        ),
        environment=tuple(_changes([("", _environment(before.run), _environment(after.run))])),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        edges_added=tuple(sorted(edges_after - edges_before)),
        edges_removed=tuple(sorted(edges_before - edges_after)),
        same_targets=same_targets,
    )


def judge(before: float | None, after: float | None, declared: Declared) -> Verdict:
    """Classify the change of a metric, as better or worse where that is declared.

    What is no finite number is never better.
    """
    if before is None:
        return Verdict.SAME if after is None else Verdict.NEW
    if after is None:
        return Verdict.GONE
    if _alike(before, after) or abs(after - before) <= declared.tolerance:
        return Verdict.SAME
    if declared.direction is None:
        return Verdict.CHANGED
    if math.isnan(before) or math.isnan(after):
        return Verdict.WORSE if math.isnan(after) else Verdict.BETTER if math.isfinite(after) else Verdict.CHANGED
    if (after > before) != (declared.direction == "higher"):
        return Verdict.WORSE
    return Verdict.BETTER if math.isfinite(after) else Verdict.CHANGED


def _judged(pairs: Iterable[_Pair], declared: Mapping[str, Declared]) -> Iterator[Change]:
    for change in _changes((pair.name, pair.before.metrics, pair.after.metrics) for pair in pairs):
        wanted = declared.get(change.name, Declared())
        verdict = judge(change.before, change.after, wanted)
        yield replace(change, verdict=verdict, direction=wanted.direction)


def _results(pair: _Pair) -> Iterator[ResultChange]:
    before, after = _made(pair.before), _made(pair.after)
    for kind, name in dict.fromkeys((*before, *after)):
        old, new = before.get((kind, name)), after.get((kind, name))
        if old != new:
            yield ResultChange(
                task=pair.name, name=name, kind=kind, before=old, after=new, is_image=_is_image(pair, kind, name)
            )


def _made(task: TaskRun) -> dict[tuple[ResultKind, str], str]:
    """Return the digest of everything that a task made."""
    made: dict[tuple[ResultKind, str], str] = {("output", path): digest for path, digest in task.outputs.items()}
    made |= {("artifact", name): artifact.sha256 for name, artifact in task.artifacts.items()}
    return {**made, ("notebook", task.path or ""): task.cells} if task.cells else made


def _is_image(pair: _Pair, kind: ResultKind, name: str) -> bool:
    if kind == "artifact":
        return (pair.after.artifacts.get(name) or pair.before.artifacts[name]).media_type.startswith("image/")
    return name.lower().endswith(_IMAGES)


def _changes(tables: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[Change]:
    for task, before, after in tables:
        for name in dict.fromkeys((*before, *after)):
            old, new = before.get(name), after.get(name)
            if not _alike(old, new):
                yield Change(task=task, name=name, before=old, after=new)


def _alike(one: Any, other: Any) -> bool:
    """Return whether two values are the same, also where both are NaN."""
    return type(one) is type(other) and (one == other or (one != one and other != other))  # noqa: PLR0124  # NaN


def _took(task: TaskRun) -> dict[str, float]:
    if not task.attempts or task.started is None or task.ended is None:
        return {}
    return {"": round((task.ended - task.started) / 1e9, 3)}


def _ingredient_changes(pair: _Pair, cells: tuple[Sequence[CellRef], Sequence[CellRef]]) -> Iterator[Change]:
    before, after = _ingredients(pair.before, pair.records[0]), _ingredients(pair.after, pair.records[1])
    for which in dict.fromkeys((*before, *after)):
        old, new = before.get(which), after.get(which)
        if old != new:
            kind, name, path = which
            counted = cells[0] if new is None else cells[1]
            cell = cell_of(name, counted) if kind == "cell" else None
            shown = str(cell) if cell else f"{kind} {name}".strip() + (f": {path}" if path else "")
            yield Change(task=pair.name, kind=kind, name=shown, before=old, after=new)


def _ingredients(task: TaskRun, resolve: Resolve) -> dict[tuple[str, str, str], str]:
    record = resolve(task.record.own_key, task.record.key) if task.record else None
    return {item.which: item.value for item in ingredients_of(record)} if record else {}


def _environment(run: Run) -> dict[str, Any]:
    told = ("os.", "host.", "process.", "service.")
    return {name: value for name, value in public(run.resource).items() if name.startswith(told)}


def _edges(run: Run) -> set[tuple[str, str]]:
    return {(above, task.name) for task in run.tasks.values() for above in task.upstreams}
