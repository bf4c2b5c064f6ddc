"""What expressions of a notebook come to, as far as its text says so."""

from __future__ import annotations

import ast
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from nbmake_dag_cache.cells import executable
from nbmake_dag_cache.notebook import NotebookSource


class NotLiteralError(ValueError):
    """Only running the code would tell."""


def trees_of(notebook: NotebookSource) -> list[ast.Module]:
    """Parse the cells of a Python notebook; those of other languages, and what does not parse, are left out."""
    if notebook.language != "python":
        return []
    cells = (executable(cell.source) for cell in notebook.cells if cell.is_executed)
    return [tree for cell in cells for _, tree in cell.modules]


class Literals:
    """Evaluates expressions by the variables that a notebook assigns exactly once, at its top level."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self._variables: dict[str, Any] = {}
        modules = list(trees)
        assigned = Counter(
            node.id
            for tree in modules
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        for statement in (statement for tree in modules for statement in tree.body):
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ) if assigned[name] == 1:
                    self._note(name, value)
                case _:
                    pass

    def get(self, name: str) -> Any:
        """Return the value of a variable; raises `NotLiteralError`."""
        if name not in self._variables:
            raise NotLiteralError(name)
        return self._variables[name]

    def evaluate(self, expression: ast.expr) -> Any:  # noqa: C901 - a case for each kind of expression
        """Return a string, number, list or dictionary; a path is a string. Raises `NotLiteralError`."""
        match expression:
            case ast.Constant(value=str() | int() | float() as value):
                return value
            case ast.Name(id=name):
                return self.get(name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.evaluate(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return {self._text(key): self.evaluate(value) for key, value in zip(keys, values, strict=True)}
            case ast.JoinedStr(values=parts):
                return "".join(str(self.evaluate(part)) for part in parts)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.evaluate(value)
            case ast.Subscript(value=value, slice=index):
                return self._item(self.evaluate(value), self.evaluate(index))
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._join((left, right))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._text(left) + self._text(right)
            case ast.Call(func=ast.Name(id=function) | ast.Attribute(attr=function), args=arguments, keywords=[]):
                return self._call(expression.func, function, arguments)
            case _:
                raise NotLiteralError(type(expression).__name__)

    def _call(self, called: ast.expr, function: str, arguments: Sequence[ast.expr]) -> str:
        match called, function:
            case _, "Path" | "PurePath" | "join" if arguments:
                return self._join(arguments)
            case ast.Name(), "str":
                return self._text(arguments[0]) if arguments else ""
            case ast.Attribute(value=owner), "joinpath":
                return self._join((owner, *arguments))
            case _:
                raise NotLiteralError(function)

    def _join(self, parts: Sequence[ast.expr]) -> str:
        return posixpath.join(*(self._text(part) for part in parts))

    def _text(self, expression: ast.expr | None) -> str:
        value = None if expression is None else self.evaluate(expression)
        if not isinstance(value, str):
            raise NotLiteralError("not a string")
        return value

    def _item(self, value: Any, index: Any) -> Any:
        try:
            return value[index]
        except (LookupError, TypeError):
            raise NotLiteralError("no such item") from None

    def _note(self, name: str, value: ast.expr) -> None:
        try:
            self._variables[name] = self.evaluate(value)
        except NotLiteralError:
            return
