"""How long a notebook's seventh cell takes to show its new output, when the sixth is slow."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.benchmarks.environments import Environment

_LOOK_EVERY_S = 0.002
_WITHIN_S = 180.0
_BETWEEN_SAVES_S = 1.0
_CELLS = 12
_SLOW = 6


def edited_to_shown(
    environment: Environment, place: Path, rounds: int, sleep_s: float
) -> tuple[list[float], float]:
    """Watch a notebook of 12 cells whose sixth sleeps, and edit the seventh again and again.

    Return the seconds until its new output was shown, and those of a whole run.
    """
    place.mkdir(parents=True)
    (place / "pipeline.toml").write_text('[tasks.slow]\nnotebook = "slow.py"\n')
    _write(place, "first", sleep_s)
    seconds: list[float] = []
    with (place.parent / f"{place.name}.log").open("wb") as output:
        begun = time.perf_counter()
        watch = subprocess.Popen(
            [environment.program("nbdag"), "watch", "--output=stream"],
            cwd=place,
            env=environment.variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _wait_for(watch, place, "shows first")
            whole = time.perf_counter() - begun
            for number in range(rounds):
                time.sleep(_BETWEEN_SAVES_S)
                begun = time.perf_counter()
                _write(place, f"edit {number}", sleep_s)
                _wait_for(watch, place, f"shows edit {number}")
                seconds.append(time.perf_counter() - begun)
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait(_WITHIN_S)
    return seconds, whole


def _write(place: Path, text: str, sleep_s: float) -> None:
    cells = [f"value_{number} = {number}" for number in range(1, _CELLS + 1)]
    cells[_SLOW - 1] = f"import time\ntime.sleep({sleep_s})"
    cells[_SLOW] = f"print('shows {text}', flush=True)"
    (place / "slow.py").write_text("".join(f"# %%\n{cell}\n\n" for cell in cells))


def _wait_for(watch: subprocess.Popen[bytes], place: Path, text: str) -> None:
    """Wait until a run has recorded that a cell printed a text."""
    deadline = time.monotonic() + _WITHIN_S
    while not any(text in _printed(run.path) for run in _runs(place)):
        if watch.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nbdag watch did not show {text!r} in {place}")
        time.sleep(_LOOK_EVERY_S)


def _runs(place: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(place / ".nbdag" / "runs"))
    except FileNotFoundError:
        return []


def _printed(folder: str) -> str:
    try:
        return Path(folder, "events.jsonl").read_text()
    except FileNotFoundError:
        return ""
