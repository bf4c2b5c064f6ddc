"""Notebooks: a workload of notebooks with next to nothing in them, told to each tool in its own words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DVC_CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"

_SNAKEMAKE = """
rule all:
    input: expand("out/{{number}}.txt", number=range({count}))

rule run:
    input: "notebooks/{{number}}.ipynb"
    output: "out/{{number}}.txt"
    shell: "papermill --no-progress-bar {{input}} out/{{wildcards.number}}.ipynb"
"""

_PLOOMBER = """
meta:
  extract_product: false
  extract_upstream: false
executor:
  dotted_path: ploomber.executors.Parallel
  processes: 2
tasks:
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebooks:
    """``count`` notebooks that do not depend on each other; each writes one small file."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} notebooks"

    def write(self, folder: Path, tool: str) -> None:
        """Write what a tool needs into an empty folder."""
        for name in ("notebooks", "out"):
            (folder / name).mkdir(parents=True)
        for number in range(self.count):
            (folder / self._notebook(number)).write_text(self._text(number, tool, value=0))
        for name, text in self._told(tool).items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def output(self, number: int) -> str:
        return f"out/{number}.txt"

    def edit(self, folder: Path, number: int) -> None:
        """Change what the first notebook computes."""
        (folder / self._notebook(0)).write_text(self._text(0, "nbdag", value=number + 1))

    def _notebook(self, number: int) -> str:
        return f"notebooks/{number}.ipynb"

    def _text(self, number: int, tool: str, *, value: int) -> str:
        path = 'product["data"]' if tool == "ploomber" else f'"{self.output(number)}"'
        parameters = "upstream = None\nproduct = None" if tool == "ploomber" else "scale = 1"
        if tool == "nbmake":
            path = f'"../{self.output(number)}"'
        cells = [
            _cell("a", parameters, tags=["parameters"]),
            _cell("b", f"value = {value} + {number}"),
            _cell("c", f"with open({path}, 'w') as file:\n    print(value, file=file)"),
        ]
        metadata = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
        return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})

    def _told(self, tool: str) -> Mapping[str, str]:
        numbers = range(self.count)
        papermill = [f"papermill --no-progress-bar {self._notebook(n)} out/{n}.ipynb" for n in numbers]
        match tool:
            case "nbdag":
                tasks = [
                    f'[tasks.run{number}]\nnotebook = "{self._notebook(number)}"\n'
                    f'outputs = ["{self.output(number)}"]\n'
                    for number in numbers
                ]
                return {"pipeline.toml": "\n".join(['[pipeline]\nname = "notebooks"\n', *tasks])}
            case "papermill":
                return {"run.sh": "\n".join(["set -e", *papermill, ""])}
            case "snakemake":
                return {"Snakefile": _SNAKEMAKE.format(count=self.count)}
            case "dvc":
                stages = {
                    f"run{number}": {
                        "cmd": papermill[number],
                        "deps": [self._notebook(number)],
                        "outs": [self.output(number)],
                    }
                    for number in numbers
                }
                # JSON is YAML
                return {"dvc.yaml": json.dumps({"stages": stages}), ".dvc/config": _DVC_CONFIG}
            case "ploomber":
                tasks = [
                    f"  - source: {self._notebook(number)}\n    name: run{number}\n"
                    f"    product: {{nb: out/{number}.ipynb, data: {self.output(number)}}}\n"
                    for number in numbers
                ]
                return {"pipeline.yaml": "".join([_PLOOMBER, *tasks])}
            case _:
                return {}


def _cell(name: str, source: str, tags: list[str] | None = None) -> dict[str, object]:
    return {
        "cell_type": "code",
        "id": name,
        "source": source,
        "metadata": {"tags": tags} if tags else {},
        "execution_count": None,
        "outputs": [],
    }
