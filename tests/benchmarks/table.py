"""What the benchmark prints: medians with their range, ratios, and whether they reach their bar and aim."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.contest import NBDAG
from tests.benchmarks.measure import Sample
from tests.benchmarks.timing import Result

HEAD = (
    f"{'':34} {'wall, s':>22} {'processors, s':>22}"
    f" {'nbdag / it':>10} {'by CPU':>7} {'bar':>5} {'aim':>5}  reached"
)


def machine() -> dict[str, Any]:
    """Describe where this runs, and how busy it is."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(": ")[2] for line in cpuinfo if line.startswith("model name")), platform.machine()
    )
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
    }


def rows(result: Result) -> Iterator[str]:
    """Say one line's result as text."""
    yield f"{result.line.name}: {result.line.workload}, {result.line.state}"
    ours = result.samples[NBDAG.label]
    for label, samples in result.samples.items():
        yield f"  {label:32} {_spread([s.wall_s for s in samples])} {_spread([s.cpu_s for s in samples])}" + (
            "" if label == NBDAG.label else _ratios(result, label, ours, samples)
        )
    if result.line.cpu_s is not None:
        bar, aim = result.line.cpu_s
        yield bounded("processor time", [sample.cpu_s for sample in ours], bar=bar, aim=aim)
    for what, found in (("first build", result.first), ("right after it", result.second)):
        if found:
            said = ", ".join(
                f"{label} {sample.wall_s:.2f} (CPU {sample.cpu_s:.2f})" for label, sample in found.items()
            )
            yield f"  {what}: {said}"
    if result.added_s:
        yield bounded("added to a notebook beyond its cells", result.added_s, bar=0.15, aim=0.08)
    if result.record_kb:
        yield bounded("record of each build, kB", result.record_kb, bar=100, aim=10)


def bounded(what: str, seconds: Sequence[float], *, bar: float, aim: float) -> str:
    """Say seconds, or kilobytes, that have an absolute bar."""
    return f"  {what:32} {_spread(seconds)} {'':41} {bar:5} {aim:5}  {_verdict(median(seconds), bar, aim)}"


def document(result: Result) -> dict[str, Any]:
    """Return one line's result as JSON's values."""
    return {
        "name": result.line.name,
        "workload": str(result.line.workload),
        "state": result.line.state,
        "samples": {label: [asdict(sample) for sample in samples] for label, samples in result.samples.items()},
        "first": {label: asdict(sample) for label, sample in result.first.items()},
        "second": {label: asdict(sample) for label, sample in result.second.items()},
        "added_s": result.added_s,
        "record_kb": result.record_kb,
        "bars": [
            {
                "peer": bar.peer.label,
                "bar": bar.bar,
                "aim": bar.aim,
                "ratio": _ratio(
                    [s.wall_s - bar.beside_s for s in result.samples[NBDAG.label]], result.samples, bar.peer.label
                ),
            }
            for bar in result.line.bars
        ],
    }


def _ratio(ours: Sequence[float], samples: Mapping[str, Sequence[Sample]], label: str) -> float:
    return median(ours) / median(sample.wall_s for sample in samples[label])


def _ratios(result: Result, label: str, ours: Sequence[Sample], theirs: Sequence[Sample]) -> str:
    wall = _ratio([sample.wall_s for sample in ours], result.samples, label)
    cpu = median(sample.cpu_s for sample in ours) / median(sample.cpu_s for sample in theirs)
    said = f" {wall:10.2f} {cpu:7.2f}"
    for bar in result.line.bars:
        if bar.peer.label == label:
            aim = f"{bar.aim:5}" if bar.aim is not None else f"{'':5}"
            counted = _ratio([sample.wall_s - bar.beside_s for sample in ours], result.samples, label)
            said += f" {bar.bar:5} {aim}  {_verdict(counted, bar.bar, bar.aim)}"
    return said


def _verdict(value: float, bar: float, aim: float | None) -> str:
    if aim is not None and value <= aim:
        return "aim"
    return "bar" if value <= bar else "NO"


def _spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):8.3f} ({min(seconds):.3f}-{max(seconds):.3f})".rjust(22)
