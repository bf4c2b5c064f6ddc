"""Replay all that cannot be made again, and all that can, with every condition: ``python -m tests.referee``.

It takes some minutes, and prints what was not found, and each false alarm.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.project import Project
from tests.support.replayed import REASONS, make_clean, make_irreproducible


def main() -> int:
    """Return how many faults were found."""
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
