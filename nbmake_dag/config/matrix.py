"""Instances of a task: their number, their order and their names."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from nbmake_dag.config.values import spelling
from nbmake_dag.core.model import TaskName, Value

MAX_TASKS = 1_000_000
MAX_NAME_BYTES = 255
_RESERVED = frozenset("[]=,/")


def name_fault(name: str) -> str | None:
    """Return why ``name`` cannot be the name of a task in ``pipeline.toml``."""
    if not name.strip():
        return "is empty"
    if name in {".", ".."}:
        return "is a folder's own name"
    if not all(map(str.isprintable, name)) or any(unicodedata.category(char) in {"Zl", "Zp"} for char in name):
        return "holds a line break or a character that cannot be printed"
    if reserved := sorted(_RESERVED.intersection(name)):
        return f"holds `{reserved[0]}`, which has a meaning in the names of instances and paths"
    if name != name.strip():
        return "begins or ends with a space"
    return length_fault(name)


def length_fault(name: str) -> str | None:
    return f"has more than {MAX_NAME_BYTES} bytes" if len(name.encode()) > MAX_NAME_BYTES else None


def count(matrix: Mapping[str, Sequence[Value]]) -> int:
    """Return how many instances a matrix makes."""
    return math.prod(len(values) for values in matrix.values())


def points(matrix: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Yield each combination of values, the last key varying fastest."""
    for values in itertools.product(*matrix.values()):
        yield dict(zip(matrix, values, strict=True))


def unknown_name(family: str) -> TaskName:
    """Name what stands for all instances of a family while nobody knows them."""
    return TaskName(f"{family}[...]")


def instance_name(family: str, point: Mapping[str, Value]) -> TaskName:
    """Name an instance: ``train[lr=0.1,seed=2]``, keys sorted, values spelled as in TOML."""
    if not point:
        return TaskName(family)
    return TaskName(f"{family}[{','.join(f'{key}={spelling(point[key])}' for key in sorted(point))}]")
