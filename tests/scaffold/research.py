"""A repository of notebooks in a test: its files, and the edges that a reader finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Repository:
    """Notebooks by path, cells separated by blank lines; a notebook needs those that ``edges`` names."""

    notebooks: Mapping[str, str]
    edges: Mapping[str, str]
    """The names of the notebooks that one needs, by its own name, separated by spaces."""
    files: tuple[str, ...] = ()
    kernel: str = "python3"
    kernels: Mapping[str, str] = field(default_factory=dict[str, str])
    """The kernels of notebooks that have another."""

    def write(self, root: Path) -> None:
        for path in self.files:
            _put(root / path, "")
        for path, code in self.notebooks.items():
            kernel = self.kernels.get(path, self.kernel)
            _put(root / path, _ipynb(code, kernel) if path.endswith(".ipynb") else _percent(code))

    @property
    def pairs(self) -> set[tuple[str, str]]:
        return {(above, name) for name, needed in self.edges.items() for above in needed.split()}


def _put(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def _cells(code: str) -> list[str]:
    return [cell for cell in code.strip("\n").split("\n\n") if cell.strip()]


def _percent(code: str) -> str:
    return "".join(f"# %%\n{cell}\n\n" for cell in _cells(code))


def _ipynb(code: str, kernel: str) -> str:
    language = "R" if kernel.endswith("-r") else "python"
    blank = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": []}
    spec = {"name": kernel, "display_name": kernel, "language": language}
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 2,
            "metadata": {"kernelspec": spec},
            "cells": [{**blank, "source": cell} for cell in _cells(code)],
        }
    )


def joined(*parts: str) -> str:
    return f"path = os.path.join({', '.join(map(repr, parts))})"
