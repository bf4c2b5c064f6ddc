"""How processor time and memory grow with the number of tasks: `python -m tests.benchmarks.growth [TASKS...]`.

The tasks are instances of one family of commands. Their outputs are put in place and accepted, not made.
The nbdag is that of the Python that runs this.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import Sample, adopt_orphans, measured

_REST_S = 3.0
"""In which files come to rest."""


def main() -> None:
    """Print a line for each number of tasks and each kind of work, as it is measured."""
    adopt_orphans()
    for count in [int(size) for size in sys.argv[1:]] or [1000, 10_000, 100_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            _measure(count, Path(folder) / "project")


def _measure(count: int, project: Path) -> None:
    _write(count, project)
    _say(count, "plan", _nbdag(project, "build", "--dry-run", "--output=none"))
    for number in range(count):
        (project / f"out/{number // 1000}/{number}.txt").write_text("in")
    time.sleep(_REST_S)
    _say(count, "accept", _nbdag(project, "build", "--accept", "--output=none"))
    shutil.rmtree(project / ".nbdag/state")
    _say(count, "look from records", _nbdag(project, "build", "--output=none"), _record_of(project))
    time.sleep(_REST_S)
    _nbdag(project, "build", "--output=none")
    _say(count, "nothing to do", _nbdag(project, "build", "--output=none"), _record_of(project))
    _say(count, "site", _nbdag(project, "report"))
    _nbdag(project, "build", "--output=none")
    _say(count, "site, one run more", _nbdag(project, "report"))


def _write(count: int, project: Path) -> None:
    for folder in range(-(-count // 1000)):
        (project / f"out/{folder}").mkdir(parents=True)
    (project / "in.txt").write_text("in")
    rows = (f'{{"folder": {number // 1000}, "number": {number}}}\n' for number in range(count))
    (project / "rows.jsonl").write_text("".join(rows))
    (project / "pipeline.toml").write_text(
        '[tasks.copy]\ninstances = { rows = "rows.jsonl" }\ncommand = "cp in.txt out/{folder}/{number}.txt"\n'
        'inputs = ["in.txt"]\noutputs = ["out/{folder}/{number}.txt"]\n'
    )


def _nbdag(project: Path, *arguments: str) -> Sample:
    return measured([sys.executable, "-m", "nbmake_dag", *arguments], project, os.environ)


def _record_of(project: Path) -> str:
    latest = max(folder for folder in (project / ".nbdag/runs").iterdir() if folder.is_dir())
    return f", record {sum(file.stat().st_size for file in latest.iterdir()) / 1000:.0f} kB"


def _say(count: int, what: str, sample: Sample, more: str = "") -> None:
    each = sample.cpu_s / count * 1e6
    print(  # noqa: T201
        f"{count:,} tasks, {what}: processor {sample.cpu_s:.2f} s, {each:.0f} microseconds a task,"
        f" {sample.peak_mb:.0f} MB{more}",
        flush=True,
    )


if __name__ == "__main__":
    main()
