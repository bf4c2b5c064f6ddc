"""Inputs: a workload of two tasks that read much, which no peer is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A file of ``size`` bytes, all of them zero, and ``files`` small ones below a glob."""

    size: int
    files: int
    count: int = 2

    def __str__(self) -> str:
        return f"an input of {self.size / 1e9:g} GB, {self.files:,} small ones"

    def write(self, folder: Path, tool: str) -> None:
        """Write the files into an empty folder."""
        (folder / "many").mkdir()
        with (folder / "large.bin").open("wb") as file:
            os.truncate(file.fileno(), self.size)
        for number in range(self.files):
            (folder / "many" / f"{number}.txt").write_text(f"{number}\n")
        (folder / "pipeline.toml").write_text(
            '[tasks.size]\ncommand = "wc -c < large.bin > size.txt"\n'
            'inputs = ["large.bin"]\noutputs = ["size.txt"]\n\n'
            '[tasks.number]\ncommand = "ls many | wc -l > number.txt"\n'
            'inputs = ["many/*.txt"]\noutputs = ["number.txt"]\n'
        )

    def output(self, number: int) -> str:
        return ("size.txt", "number.txt")[number]

    def edit(self, folder: Path, number: int) -> None:
        """Change one small file."""
        (folder / "many" / "0.txt").write_text(f"{number} again\n")
