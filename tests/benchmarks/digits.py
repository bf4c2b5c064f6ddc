"""Digits: the example that the README builds, a workload that no peer is told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mnist-digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """The example as it is, or without what follows a task; its first one fails once and hangs for ten seconds."""

    count: int
    without: str | None = None

    def __str__(self) -> str:
        return "the MNIST example" if self.without is None else f"{self.count} tasks of the MNIST example"

    def write(self, folder: Path, tool: str) -> None:
        """Copy the example into an empty folder."""
        shutil.copytree(
            _EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".nbdag", "__pycache__")
        )
        if self.without is not None:
            pipeline = folder / "pipeline.toml"
            text, cut, _ = pipeline.read_text().partition(f"[tasks.{self.without}]")
            if not cut:
                raise RuntimeError(f"the example has no task {self.without}")
            pipeline.write_text(text.replace('timeout = "10s"', 'timeout = "3s"'))

    def output(self, number: int) -> str:
        return "results/overview.json"

    def edit(self, folder: Path, number: int) -> None:
        """Change a notebook, and nothing that it writes."""
        with (folder / "notebooks" / "eda.py").open("a") as file:
            file.write(f"\n# %%\nprint({number})\n")


DIGITS = Digits(count=10)
TWO_OF_DIGITS = Digits(count=2, without="split")
