"""Copies: a workload of tasks that each copy one small file, told to each tool in its own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CHAIN = 100
"""Tasks in each chain of a deep workload."""

Pairs = list[tuple[str, str]]

_DOIT = """
import json

def task_copy():
    with open("pairs.json") as file:
        pairs = json.load(file)
    for number, (source, target) in enumerate(pairs):
        yield {"name": str(number), "actions": [["cp", source, target]], "file_dep": [source], "targets": [target]}
"""

_SNAKEMAKE = """
import json

with open("pairs.json") as file:
    SOURCES = {target: source for source, target in json.load(file)}

rule all:
    input: list(SOURCES)

rule copy:
    input: lambda wildcards: SOURCES[f"out/{wildcards.name}.txt"]
    output: "out/{name}.txt"
    shell: "cp {input} {output}"
"""

_PYTASK = """
import json
import shutil
from pathlib import Path

from pytask import task

for source, target in json.loads(Path(__file__).with_name("pairs.json").read_text()):

    @task(id=target)
    def task_copy(source: Path = Path(source), produces: Path = Path(target)) -> None:
        shutil.copyfile(source, produces)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """``count`` copies: wide, each of its own file, or deep, in chains where each copies the one before."""

    count: int
    deep: bool = False
    chain: int = CHAIN

    def __str__(self) -> str:
        shape = ("deep" if self.chain == CHAIN else f"in chains of {self.chain:,}") if self.deep else "wide"
        return f"{self.count:,} copies, {shape}"

    def write(self, folder: Path, tool: str) -> None:
        """Write what a tool needs into an empty folder."""
        pairs = self._pairs()
        for name in ("in", "out"):
            (folder / name).mkdir(parents=True)
        for source, _ in pairs:
            if source.startswith("in/"):
                (folder / source).write_text(f"{source}\n")
        for name, text in _TOLD[tool](pairs).items():
            (folder / name).write_text(text)

    def output(self, number: int) -> str:
        return self._pairs()[number][1]

    def edit(self, folder: Path, number: int) -> None:
        (folder / "in" / "0.txt").write_text(f"edited {number} times\n")

    def _pairs(self) -> Pairs:
        if not self.deep:
            return [(f"in/{number}.txt", f"out/{number}.txt") for number in range(self.count)]
        return [
            (f"out/{chain}-{step - 1}.txt" if step else f"in/{chain}.txt", f"out/{chain}-{step}.txt")
            for chain, step in (divmod(number, self.chain) for number in range(self.count))
        ]


def _nbdag(pairs: Pairs) -> Mapping[str, str]:
    tasks = [
        f'[tasks.copy{number}]\ncommand = ["cp", "{source}", "{target}"]\n'
        f'inputs = ["{source}"]\noutputs = ["{target}"]\n'
        for number, (source, target) in enumerate(pairs)
    ]
    return {"pipeline.toml": "\n".join(['[pipeline]\nname = "copies"\n', *tasks])}


def _ninja(pairs: Pairs) -> Mapping[str, str]:
    builds = [f"build {target}: copy {source}\n" for source, target in pairs]
    return {"build.ninja": "".join(["rule copy\n  command = cp $in $out\n", *builds])}


def _make(pairs: Pairs) -> Mapping[str, str]:
    rules = [f"{target}: {source}\n\tcp {source} {target}\n" for source, target in pairs]
    return {"Makefile": "\n".join([f"all: {' '.join(target for _, target in pairs)}\n", *rules])}


def _told_by(name: str, program: str) -> Callable[[Pairs], Mapping[str, str]]:
    return lambda pairs: {name: program, "pairs.json": json.dumps(pairs)}


_TOLD = {
    "nbdag": _nbdag,
    "make": _make,
    "ninja": _ninja,
    "doit": _told_by("dodo.py", _DOIT),
    "snakemake": _told_by("Snakefile", _SNAKEMAKE),
    "pytask": _told_by("task_copy.py", _PYTASK),
}
