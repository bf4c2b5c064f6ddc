"""That nothing is faked: what the records of nbdag's own runs must hold, read as any reader of OTLP/JSON would."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbmake_dag_reporting.runs import read_trace

_TASK = "cicd.pipeline.task.run.id"
_STATUS = "nbdag.task.status"
_CELL = "nbdag.cell.index"


class NotProvenError(Exception):
    """A run of nbdag did not do, or did not record, what was timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpans:
    """The spans of one run: the status of each task by name, and how long its cells took."""

    statuses: dict[str, str]
    added_s: tuple[float, ...]
    """Of each task that ran, the seconds that its span is longer than those of its cells."""


def newest_run(project: Path) -> RunSpans:
    """Read the record of the last run."""
    folder = _newest(project)
    statuses: dict[str, str] = {}
    lasted: dict[str, float] = {}
    in_cells: defaultdict[str, float] = defaultdict(float)
    for seconds, attributes in _spans(read_trace(str(folder))):
        if _TASK in attributes:
            statuses[attributes[_TASK]] = attributes[_STATUS]
            lasted[attributes[_TASK]] = seconds
        elif _CELL in attributes:
            in_cells[attributes["cicd.pipeline.task.name"]] += seconds
    added = tuple(lasted[name] - in_cells[name] for name, status in statuses.items() if status == "ran")
    return RunSpans(statuses=statuses, added_s=added)


def record_kb(project: Path) -> float:
    """Return what the record of the last run takes beside the tables that it shares with others."""
    return sum(file.stat().st_size for file in _newest(project).iterdir()) / 1e3


def _newest(project: Path) -> Path:
    runs = (project / ".nbdag" / "runs").iterdir()
    return max((entry for entry in runs if entry.is_dir()), key=lambda entry: entry.name)


def prove(project: Path, **expected: int) -> None:
    """Claim how many tasks of the last run have which status, by their spans."""
    found = Counter(newest_run(project).statuses.values())
    if found != expected:
        raise NotProvenError(f"{project}: the record holds {dict(found)}, not {expected}")


def _spans(trace: bytes) -> Iterator[tuple[float, dict[str, str]]]:
    for line in trace.splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    seconds = (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9
                    attributes = {
                        item["key"]: next(iter(item["value"].values()))
                        for item in span["attributes"]
                        if item["value"]
                    }
                    yield seconds, attributes
