"""Measure the referee: ``python -m tests.referee vary``, ``... blame 50`` or ``... noise 20``.

``vary`` replays all that cannot be made again, and all that can, with every condition, and prints what was not
found, and each false alarm. ``blame`` makes so many pairs of runs, and blames their changes; ``noise`` makes pairs
that differ by chance alone. Each takes some minutes.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.pairs import make_pair, pair_of
from tests.support.project import Project
from tests.support.replayed import REASONS, make_clean, make_irreproducible


def main() -> int:
    """Return how many faults were found."""
    what, count = sys.argv[1] if len(sys.argv) > 1 else "vary", int(sys.argv[2]) if len(sys.argv) > 2 else 10
    if what == "vary":
        return _vary()
    return sum(not _blamed(seed, noise_alone=what == "noise") for seed in range(count))


def _blamed(seed: int, *, noise_alone: bool) -> bool:
    """Return whether exactly the guilty changes of a pair are named."""
    with tempfile.TemporaryDirectory() as folder:
        project, pair = Project(Path(folder) / "project"), pair_of(seed, noise_alone=noise_alone)
        make_pair(project, pair)
        done = project.nbdag("blame", "accuracy", "--json", "--yes")
    if done.returncode not in {0, 1}:
        # by chance, both runs measured the same
        say(f"{seed}: {done.stderr.splitlines()[0]}")
        return noise_alone
    found = json.loads(done.stdout)
    named = [change["what"] for change in found["changes"] if change["is_culprit"]]
    is_right = frozenset(name.split(" (")[0] for name in named) == pair.named
    allowed = 2 * math.log2(len(pair.kinds)) * len(pair.guilty) + 4
    verdict = "right" if is_right else "WRONG"
    say(f"{seed}: {verdict}, {found['executed']} of {allowed:.1f} trials, {found['finding']}")
    if not is_right:
        say(f"  {named} in place of {sorted(pair.named)}")
    return is_right


def _vary() -> int:
    faults: list[str] = []
    tasks = {task["name"]: task for task in _varied(make_irreproducible)}
    for reason in REASONS:
        task = tasks[reason.name]
        named = [each["name"] for each in task["conditions"] if each["matters"]]
        if task["verdict"] not in {"differs", "could_not_run"}:
            faults.append(f"{reason.name}: {task['verdict']}")
        elif reason.condition and named != [reason.condition]:
            faults.append(f"{reason.name}: {named} matter in place of {reason.condition}")
        say(f"{reason.name}: {task['verdict']}, {' '.join(named) or 'no condition'}")
    for task in _varied(make_clean):
        say(f"{task['name']}: {task['verdict']}")
        if task["verdict"] not in {"identical", "equal"}:
            faults.append(f"{task['name']}: {task['verdict']}: {task['why']}")
    say("\n".join([*faults, f"{len(faults)} faults"]))
    return len(faults)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _varied(make: Callable[[Project], None]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder) / "project")
        make(project)
        done = project.nbdag("replay", "--vary", "all", "--json", "--yes", env={"DECLARED": "declared"})
        tasks: list[dict[str, Any]] = json.loads(done.stdout)["tasks"]
        return tasks


if __name__ == "__main__":
    sys.exit(main())
