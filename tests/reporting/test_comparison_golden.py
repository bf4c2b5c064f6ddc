"""The comparison of the command line and that of the site say the same: both read golden/comparison.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Declared, compare, judge
from nbmake_dag_reporting.run import Run, TaskRun

GOLDEN = json.loads((Path(__file__).parent / "golden" / "comparison.json").read_text())


def recorded(tasks: list[dict[str, Any]]) -> Recorded:
    made = {
        task["name"]: TaskRun(
            name=task["name"],
            family=task["name"],
            status=task["status"],
            key=task["key"],
            upstreams=tuple(tasks[number]["name"] for number in task.get("up", ())),
            params=task.get("params", {}),
            metrics=task.get("metrics", {}),
        )
        for task in tasks
    }
    head: dict[str, Any] = {"id": "r", "directory": "", "trace_id": "t", "pipeline": "p", "started": 0, "ended": 1}
    run = Run(**head, result="success", exit_code=0, tasks=made)
    return Recorded(run=run, blob=lambda _: None, record=lambda _own, _key: None)


@pytest.mark.parametrize("case", GOLDEN["verdicts"])
def test_verdicts_are_golden(case: dict[str, Any]) -> None:
    """Direction and tolerance decide, in Python as in TypeScript."""
    before, after = (None if case[name] is None else float(case[name]) for name in ("before", "after"))
    assert judge(before, after, Declared(**case["declared"])).value == case["verdict"]


def test_a_comparison_is_golden() -> None:
    """What differs between two runs, in Python as in TypeScript."""
    runs = GOLDEN["runs"]
    declared = {name: Declared(**values) for name, values in GOLDEN["declared"].items()}
    found = compare(recorded(runs["before"]), recorded(runs["after"]), declared)
    keys = {run: {task["name"]: task["key"] for task in tasks} for run, tasks in runs.items()}
    assert {
        "statuses": [[change.task, change.before, change.after] for change in found.statuses],
        "parameters": [[change.task, change.name, change.before, change.after] for change in found.parameters],
        "metrics": [[change.task, change.name, change.verdict.value] for change in found.metrics],
        "keyed": [name for name, key in keys["before"].items() if keys["after"].get(name, key) != key],
        "added": list(found.added),
        "removed": list(found.removed),
        "edges_added": [list(edge) for edge in found.edges_added],
        "edges_removed": [list(edge) for edge in found.edges_removed],
    } == GOLDEN["expected"]
