"""Digits: the example that the README builds, a workload that no peer is told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mnist-digits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """The example as it is; its first task fails once and hangs for ten seconds."""

    count: int = 10

    def __str__(self) -> str:
        return "the MNIST example"

    def write(self, folder: Path, tool: str) -> None:
        """Copy the example into an empty folder."""
        shutil.copytree(
            _EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".nbdag", "__pycache__")
        )

    def output(self, number: int) -> str:
        return "results/overview.json"

    def edit(self, folder: Path, number: int) -> None:
        """Change a notebook, and nothing that it writes."""
        with (folder / "notebooks" / "eda.py").open("a") as file:
            file.write(f"\n# %%\nprint({number})\n")
