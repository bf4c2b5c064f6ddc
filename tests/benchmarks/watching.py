"""How long `nbdag watch` takes from a saved file to its task's end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.benchmarks.copies import Copies
from tests.benchmarks.environments import Environment
from tests.benchmarks.notebooks import Notebooks

_LOOK_EVERY_S = 0.002
_WITHIN_S = 120.0
_BETWEEN_SAVES_S = 1.0


def saved_to_done(environment: Environment, place: Path, rounds: int, workload: Copies | Notebooks) -> list[float]:
    """Watch one task, save its file again and again, and return the seconds until its run was recorded."""
    place.mkdir(parents=True)
    workload.write(place, "nbdag")
    seconds: list[float] = []
    with (place.parent / f"{place.name}.log").open("wb") as output:
        watch = subprocess.Popen(
            [environment.program("nbdag"), "watch"],
            cwd=place,
            env=environment.variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _wait_for_ends(watch, place, 1)
            for number in range(rounds):
                time.sleep(_BETWEEN_SAVES_S)
                ends = _ends(place)
                begun = time.perf_counter()
                workload.edit(place, number)
                _wait_for_ends(watch, place, ends + 1)
                seconds.append(time.perf_counter() - begun)
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait(_WITHIN_S)
    return seconds


def _wait_for_ends(watch: subprocess.Popen[bytes], place: Path, ends: int) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while _ends(place) < ends:
        if watch.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nbdag watch did not build {place}")
        time.sleep(_LOOK_EVERY_S)


def _ends(place: Path) -> int:
    """Count the runs whose record is complete."""
    runs = place / ".nbdag" / "runs"
    if not runs.exists():
        return 0
    return sum(_is_ended(entry.path) for entry in os.scandir(runs))


def _is_ended(folder: str) -> bool:
    try:
        return b'"run_ended"' in Path(folder, "events.jsonl").read_bytes()[-400:]
    except FileNotFoundError:
        return False
