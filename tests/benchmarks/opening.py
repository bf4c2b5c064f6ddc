"""What noting the files that a notebook opens costs each open."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.benchmarks.environments import Environment

_OPENS = """
import os, sys, time
from nbmake_dag.inside.audit_hook import Accesses
from nbmake_dag.inside.repository import Repository

folder, hooked = sys.argv[1], sys.argv[2] == "hooked"
paths = [os.path.join(folder, f"{number}.txt") for number in range(200)]
for path in paths:
    open(path, "w").close()
if hooked:
    Accesses(Repository(folder), os.path.join(os.path.dirname(folder), "accesses.jsonl")).watch()
best = float("inf")
for _ in range(200):
    begun = time.perf_counter()
    for path in paths:
        os.close(os.open(path, os.O_RDONLY))
    best = min(best, time.perf_counter() - begun)
print(best / len(paths) * 1e6)
"""


def added_to_an_open(environment: Environment, place: Path, rounds: int) -> list[float]:
    """Open files of a repository with the hook and without, in turns; return what it adds, in microseconds."""
    (place / "repository").mkdir(parents=True)
    return [_opens(environment, place, "hooked") - _opens(environment, place, "free") for _ in range(rounds)]


def _opens(environment: Environment, place: Path, how: str) -> float:
    argv = [environment.program("python"), "-c", _OPENS, str(place / "repository"), how]
    done = subprocess.run(argv, env=environment.variables(), check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)
