"""The simulation of a shared cache: `python -m tests.simulation [--runners N] [--merges N] [--seed N]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.simulation.fleet import Plan, simulated


def main() -> int:
    """Simulate with claims and without, and print what it came to; exit code 1 if something wrong was believed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    plan = Plan()
    for name in ("seed", "runners", "merges", "tasks"):
        parser.add_argument(f"--{name}", type=int, default=getattr(plan, name))
    options = parser.parse_args()
    plan = replace(plan, **vars(options))
    wrong = 0
    for claims in (True, False):
        begun = time.process_time()
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            report, storage = simulated(replace(plan, claims=claims), Path(folder))
        wrong += report.wrong
        print("\n  ".join([f"{'with' if claims else 'without'} claims", *report.lines(storage)]), flush=True)  # noqa: T201
        print(f"took {time.process_time() - begun:.0f} s of processor time", file=sys.stderr)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
