"""Functions: a workload of calls that each take the same time, told to each tool in its own words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_WORK = """
import time

def one(number, outputs):
    end = time.perf_counter() + {seconds}
    while time.perf_counter() < end:
        pass
    with open(outputs[0], "w") as file:
        file.write(str(number))
"""

_JOBLIB = """
import os

from joblib import Parallel, delayed

from work import one

if __name__ == "__main__":
    os.makedirs("out", exist_ok=True)
    Parallel(n_jobs=2)(delayed(one)(number, [f"out/{{number}}.txt"]) for number in range({count}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """``count`` instances of one function; each is busy for some ``seconds``, and writes its number."""

    count: int
    seconds: float = 0.001

    def __str__(self) -> str:
        return f"{self.count:,} functions of {self.seconds * 1000:g} ms"

    def write(self, folder: Path, tool: str) -> None:
        """Write what a tool needs into an empty folder."""
        (folder / "work.py").write_text(_WORK.format(seconds=self.seconds))
        if tool == "joblib":
            (folder / "run.py").write_text(_JOBLIB.format(count=self.count))
            return
        numbers = json.dumps(list(range(self.count)))
        (folder / "pipeline.toml").write_text(
            f'[tasks.one]\nfunction = "work:one"\noutputs = ["out/{{number}}.txt"]\nmatrix.number = {numbers}\n'
        )

    def output(self, number: int) -> str:
        return f"out/{number}.txt"

    def edit(self, folder: Path, number: int) -> None:
        """Change the function, and nothing that it writes."""
        with (folder / "work.py").open("a") as file:
            file.write(f"\nNUMBER = {number}\n")
