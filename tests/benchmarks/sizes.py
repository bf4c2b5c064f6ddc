"""What a dry run of large graphs takes, in processor time and memory: of instances, and of a chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.environments import Environment
from tests.benchmarks.measure import Sample, measured

SIZES = (1000, 10_000, 100_000)
SMALL = (100,)
BAR_S, BAR_MB = 15.0, 300.0
"""Of the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """One dry run of nothing that was ever built."""

    shape: str
    count: int
    sample: Sample

    def __str__(self) -> str:
        sample, micros = self.sample, self.sample.cpu_s / self.count * 1e6
        return (
            f"  {f'{self.count:,} {self.shape}':32} processors {sample.cpu_s:.2f} s,"
            f" {micros:.0f} microseconds for each, {sample.peak_mb:.0f} MB"
        )


def dry_runs(environment: Environment, place: Path, sizes: tuple[int, ...]) -> list[Sized]:
    """Plan pipelines of each size and shape once."""
    return [
        Sized(shape=shape, count=count, sample=_dry_run(environment, place / f"{shape}-{count}", text))
        for shape, write in (("instances", _instances), ("in one chain", _chain))
        for count, text in ((count, write(count)) for count in sizes)
    ]


def _dry_run(environment: Environment, folder: Path, text: str) -> Sample:
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(text)
    (folder / "in.txt").write_text("in")
    return measured([environment.program("nbdag"), "build", "--dry-run"], folder, environment.variables())


def _instances(count: int) -> str:
    return (
        f"[tasks.copy]\nmatrix = {{ number = {list(range(count))} }}\n"
        'command = "cp in.txt out/{number}.txt"\ninputs = ["in.txt"]\noutputs = ["out/{number}.txt"]\n'
    )


def _chain(count: int) -> str:
    sources = ["in.txt", *(f"out/{number}.txt" for number in range(count - 1))]
    return "\n".join(
        f'[tasks.copy{number}]\ncommand = ["cp", "{source}", "out/{number}.txt"]\n'
        f'inputs = ["{source}"]\noutputs = ["out/{number}.txt"]\n'
        for number, source in enumerate(sources)
    )
