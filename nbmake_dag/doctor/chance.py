"""What in the code of a notebook may give another result each time: clocks, chance, and the order of files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from enum import Enum

import msgspec

from nbmake_dag_cache.cells import executable
from nbmake_dag_cache.notebook import NotebookSource
from nbmake_dag_reporting.cell_ref import CellRef


class Cause(Enum):
    """Why a call may return something else the next time, with what helps against it."""

    CLOCK = "reads a clock: leave times out of what is written"
    CHANCE = "has no seed: give it one"
    UNSEEDED = "is new each time, and takes no seed: leave it out of what is written"
    ORDER = "lists files in any order: sort them"


class Suspect(msgspec.Struct, frozen=True):
    """A call, by the name that the code gives it."""

    call: str
    cell: CellRef
    cause: Cause

    def __str__(self) -> str:
        return f"`{self.call}` in {self.cell} {self.cause.value}"


_CALLS = {
    Cause.CLOCK: re.compile(
        r"time\.(time|time_ns|ctime|asctime|localtime|gmtime|strftime|perf_counter|perf_counter_ns|monotonic"
        r"|monotonic_ns|process_time)|(.+\.)(now|utcnow|today)"
    ),
    Cause.UNSEEDED: re.compile(r"uuid\.uuid[14]|os\.urandom|secrets\.\w+|random\.SystemRandom|tempfile\.\w+"),
    Cause.CHANCE: re.compile(r"(numpy\.)?random\.\w+|torch\.(rand\w*|normal)|.+\.(sample|train_test_split)"),
    Cause.ORDER: re.compile(r"os\.(listdir|scandir|walk)|glob\.i?glob|.+\.(iterdir|glob|rglob)"),
}
_SEED = re.compile(r"(.+\.)?(seed|manual_seed|set_seed|set_random_seed)")
_SEEDED_BY = frozenset({"random_state", "seed"})
_GENERATORS = frozenset({"default_rng", "RandomState", "Random", "PCG64", "SeedSequence"})
"""What takes a seed as its argument."""


def suspects(notebook: NotebookSource) -> list[Suspect]:
    """Return the first call for each cause; of a notebook in another language than Python, none."""
    if notebook.language != "python":
        return []
    trees = [
        (CellRef(index), tree)
        for index, cell in enumerate(notebook.cells)
        if cell.is_executed
        for _, tree in executable(cell.source).modules
    ]
    names = dict(pair for _, tree in trees for pair in _imported(tree))
    calls = [(cell, name, call) for cell, tree in trees for name, call in _calls(tree, names)]
    is_seeded = any(_SEED.fullmatch(name) for _, name, _ in calls)
    found: dict[Cause, Suspect] = {}
    for cell, name, call in calls:
        cause = next((cause for cause, pattern in _CALLS.items() if pattern.fullmatch(name)), None)
        if cause is None or (cause is Cause.CHANCE and (is_seeded or _has_seed(name, call))):
            continue
        found.setdefault(cause, Suspect(ast.unparse(call.func), cell, cause))
    return list(found.values())


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each name that code imports, with what it stands for."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((item.asname, item.name) for item in names if item.asname)
            case ast.ImportFrom(module=str(module), names=names):
                yield from ((item.asname or item.name, f"{module}.{item.name}") for item in names)
            case _:
                pass


def _calls(tree: ast.Module, names: dict[str, str]) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call with the full name of what is called, but for those whose result is sorted at once."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        below: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.Call):
            name = _name(node.func, names)
            if name == "sorted":
                below = [inner for argument in node.args for inner in ast.iter_child_nodes(argument)]
            elif name:
                yield name, node
        waiting += reversed(list(below))


def _name(function: ast.expr, names: dict[str, str]) -> str:
    """Return the dotted name of what is called; what begins with another value than a name begins with `_`."""
    match function:
        case ast.Name(id=name):
            return names.get(name, name)
        case ast.Attribute(value=value, attr=attribute):
            return f"{_name(value, names) or '_'}.{attribute}"
        case _:
            return ""


def _has_seed(name: str, call: ast.Call) -> bool:
    is_given = bool(call.args) and name.rpartition(".")[2] in _GENERATORS
    return is_given or any(keyword.arg in _SEEDED_BY for keyword in call.keywords)
