"""The notebook that is executed: the source's cells with the parameters injected, and where each came from."""

from __future__ import annotations

import ast
import keyword
import math
import re
from typing import Any

import msgspec
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from nbmake_dag.execute.protocol import AttemptSpec, NotebookWork
from nbmake_dag_cache.notebook import NotebookSource

INJECTED = "injected-parameters"
_NEW_CELL = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class ParameterError(ValueError):
    """A parameter that cannot be written into the notebook."""


class Prepared(msgspec.Struct, frozen=True):
    """A notebook to execute. ``indices`` has every cell's index in the source, ``None`` for an injected one."""

    notebook: NotebookNode
    indices: tuple[int | None, ...]

    def executed(self) -> list[int]:
        """List the positions of the cells that are executed."""
        return [
            position
            for position, cell in enumerate(self.notebook.cells)
            if cell.cell_type == "code"
            and cell.source.strip()
            and "skip-execution" not in cell.metadata.get("tags", ())
        ]

    def outputs(self, counted: frozenset[int]) -> list[dict[str, Any]]:
        """List what is kept of the cells that count, given by their indices in the source."""
        return [
            {"outputs": cell.get("outputs", []), "execution_count": cell.get("execution_count")}
            for index, cell in zip(self.indices, self.notebook.cells, strict=True)
            if index in counted
        ]


def values_to_inject(spec: AttemptSpec, work: NotebookWork) -> dict[str, Any]:
    """Collect what the injected cell assigns."""
    values = dict(spec.parameters)
    if work.inject_inputs:
        values["inputs"] = spec.inputs
    if work.inject_outputs:
        values["outputs"] = spec.outputs
    return values


def prepare(source: NotebookSource, kernel: str, language: str, values: dict[str, Any]) -> Prepared:
    """Make an executable notebook of a source; raises `ParameterError`."""
    cells = [
        _NEW_CELL[cell.kind](  # type: ignore[no-untyped-call]
            cell.source,
            metadata=NotebookNode(cell.metadata),  # type: ignore[no-untyped-call]
            id=identified(index, cell.identifier),
            **({"attachments": cell.attachments} if cell.attachments else {}),
        )
        for index, cell in enumerate(source.cells)
    ]
    indices: list[int | None] = list(range(len(cells)))
    if values:
        code = injected_code(kernel, language, values)
        position = 0 if source.parameters_index is None else source.parameters_index + 1
        cells.insert(position, new_code_cell(code, metadata=NotebookNode(tags=[INJECTED]), id=INJECTED))  # type: ignore[no-untyped-call]
        indices.insert(position, None)
    return Prepared(new_notebook(cells=cells, metadata=NotebookNode(source.metadata)), tuple(indices))  # type: ignore[no-untyped-call]


def identified(index: int, identifier: str | None) -> str:
    """Name a cell that has no name by its place, so that executing a notebook twice gives the same file."""
    return identifier or f"cell-{index}"


def injected_code(kernel: str, language: str, values: dict[str, Any]) -> str:
    """Write assignments in the language of a kernel; raises `ParameterError`."""
    from papermill.exceptions import PapermillException  # noqa: PLC0415  # takes 0.3 s, for parameters alone
    from papermill.translators import translate_parameters  # noqa: PLC0415  # likewise

    for name, value in values.items():
        _check(name, value)
    try:
        code: str = translate_parameters(kernel, language, values, "Parameters")
    except (PapermillException, NotImplementedError) as error:
        raise ParameterError(f"parameters cannot be written in {language}: {error}") from error
    if language == "python":
        _check_code(code, values)
    return code


def _check(name: str, value: Any) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ParameterError(f"{name!r} is not the name of a variable")
    _check_value(name, value)


def _check_value(name: str, value: Any) -> None:
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ParameterError(f"{name} is not valid Unicode") from error
        case None | bool() | int() | float():
            pass
        case list() | tuple():
            for each in value:
                _check_value(name, each)
        case dict():
            for key, each in value.items():
                _check_value(name, key)
                if not isinstance(key, str):
                    raise ParameterError(f"{name} has a key that is no string: {key!r}")
                _check_value(name, each)
        case _:
            raise ParameterError(f"{name} is a {type(value).__name__}, which has no equal in every language")


def _check_code(code: str, values: dict[str, Any]) -> None:
    """Make sure that the cell assigns exactly the values: what was generated is not trusted."""
    try:
        assigned = dict(_assignment(statement) for statement in ast.parse(code).body)
    except (SyntaxError, ValueError) as error:
        raise ParameterError(f"the parameters cannot be written as Python: {error}") from error
    if not _equal(assigned, values):
        raise ParameterError("the parameters cannot be written as Python without loss")


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, _literal(value)
        case _:
            raise ValueError(f"line {statement.lineno} is no assignment")


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Call(
            func=ast.Name(id="float"), args=[ast.Constant(value="nan" | "inf" | "-inf" as text)], keywords=[]
        ):
            return float(text)
        case ast.List(elts=elements):
            return [_literal(each) for each in elements]
        case ast.Dict(keys=keys, values=values):
            return {ast.literal_eval(k): _literal(v) for k, v in zip(keys, values, strict=True) if k is not None}
        case _:
            return ast.literal_eval(node)


def _equal(left: Any, right: Any) -> bool:
    """Compare values and their types; ``nan`` is itself."""
    match left, right:
        case list(), list():
            return len(left) == len(right) and all(map(_equal, left, right))
        case dict(), dict():
            return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
        case float(), float() if math.isnan(left):
            return math.isnan(right)
        case _:
            return type(left) is type(right) and left == right
