"""The notebook that is executed: the source's cells with the parameters injected, and where each came from."""

from __future__ import annotations

import ast
import keyword
import math
import re
import unicodedata
from typing import Any

import msgspec
from nbformat import NotebookNode, from_dict

from nbmake_dag.execute.protocol import AttemptSpec, NotebookWork
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag_cache.notebook import Cell, NotebookSource

INJECTED = "injected-parameters"
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The ids of cells that nbformat 4.5 admits."""


class ParameterError(ValueError):
    """A parameter that cannot be written into the notebook."""


class PreparedNotebook(msgspec.Struct, frozen=True):
    """A notebook to execute. ``indices`` has every cell's index in the source, ``None`` for an injected one."""

    notebook: NotebookNode
    indices: tuple[int | None, ...]

    def redact(self, redactor: Redactor) -> None:
        """Replace secrets in all that the notebook holds: sources, outputs, metadata."""
        self.notebook.update(from_dict(redactor.value(self.notebook)))  # type: ignore[no-untyped-call]

    def executed(self) -> list[int]:
        """List the positions of the cells that are executed."""
        return [
            position
            for position, cell in enumerate(self.notebook.cells)
            if cell.cell_type == "code"
            and cell.source.strip()
            and "skip-execution" not in cell.metadata.get("tags", ())
        ]

    @property
    def injected(self) -> str | None:
        """The code of the injected cell, if there is one."""
        if None not in self.indices:
            return None
        code: str = self.notebook.cells[self.indices.index(None)].source
        return code

    @property
    def parameters_cell(self) -> str:
        """The code of the cell tagged `parameters`; empty where there is none."""
        tagged = (cell.source for cell in self.notebook.cells if "parameters" in cell.metadata.get("tags", ()))
        return next(tagged, "")

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


def prepare_notebook(
    source: NotebookSource, kernel: str, language: str, values: dict[str, Any]
) -> PreparedNotebook:
    """Make an executable notebook of a source; raises `ParameterError`.

    nbformat's schema is not asked: Jupyter runs notebooks that it refuses, such as one with ``"kernelspec": {}``.
    """
    cells = [_cell(index, cell) for index, cell in enumerate(source.cells)]
    indices: list[int | None] = list(range(len(cells)))
    if values:
        code = injected_code(kernel, language, values)
        position = 0 if source.parameters_index is None else source.parameters_index + 1
        injected = Cell(kind="code", source=code, metadata={"tags": [INJECTED]}, identifier=INJECTED)
        cells.insert(position, _cell(position, injected))
        indices.insert(position, None)
    notebook = {"cells": cells, "metadata": source.metadata, "nbformat": 4, "nbformat_minor": 5}
    return PreparedNotebook(from_dict(notebook), tuple(indices))  # type: ignore[no-untyped-call]


def _cell(index: int, cell: Cell) -> dict[str, Any]:
    """Return a cell that nothing has executed yet."""
    unexecuted: dict[str, Any] = {"execution_count": None, "outputs": []} if cell.kind == "code" else {}
    return {
        "cell_type": cell.kind,
        "id": identified(index, cell.identifier),
        "metadata": cell.metadata,
        "source": cell.source,
        **unexecuted,
        **({"attachments": cell.attachments} if cell.attachments else {}),
    }


def identified(index: int, identifier: str | None) -> str:
    """Name a cell that has no valid name by its place, so that executing a notebook twice gives the same file."""
    return identifier if identifier and _IDENTIFIER.fullmatch(identifier) else f"cell-{index}"


def injected_code(kernel: str, language: str, values: dict[str, Any]) -> str:
    """Write assignments in the language of a kernel; raises `ParameterError`."""
    from papermill.exceptions import PapermillException  # noqa: PLC0415  # takes 0.3 s, for parameters alone
    from papermill.translators import translate_parameters  # noqa: PLC0415  # likewise

    from nbmake_dag.execute.notebook.translators import OWN  # noqa: PLC0415  # likewise

    for name, value in values.items():
        _check(name, value)
        if language == "bash" and not name.isascii():
            raise ParameterError(f"{name!r} is not the name of a variable in bash")
    try:
        own = OWN.get(language)
        code: str = own.codify(values) if own else translate_parameters(kernel, language, values, "Parameters")
    except (PapermillException, NotImplementedError) as error:
        raise ParameterError(f"parameters cannot be written in {language}: {error}") from error
    if language == "python":
        _check_code(code, values)
    return code


def _check(name: str, value: Any) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
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
                    raise ParameterError(f"{name} has a key that is not a string: {key!r}")
                _check_value(name, each)
        case _:
            raise ParameterError(f"{name} is a {type(value).__name__}, which has no equal in every language")


def _check_code(code: str, values: dict[str, Any]) -> None:
    """Make sure that the cell assigns exactly the values: what was generated is not trusted."""
    try:
        assigned = dict(_assignment(statement) for statement in ast.parse(code).body)
    except (SyntaxError, ValueError) as error:
        raise ParameterError(f"the parameters cannot be written as Python: {error}") from error
    # Python reads identifiers in their normal form
    if not _equal(assigned, {unicodedata.normalize("NFKC", name): value for name, value in values.items()}):
        raise ParameterError("the parameters cannot be written as Python without loss")


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, _literal(value)
        case _:
            raise ValueError(f"line {statement.lineno} is not an assignment")


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
