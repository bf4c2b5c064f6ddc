"""Paths that Python code names, evaluated without running it."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable
from typing import Literal, TypeAlias

Base: TypeAlias = Literal["file", "working"]

PathInCode: TypeAlias = tuple[Base, str]
"""A path and what it starts from: the folder of the file with the code, or the working directory."""


class PathsInCode:
    """Evaluates the usual ways to name a folder, recognised by the names of functions and variables."""

    def __init__(self, nodes: Iterable[ast.AST]) -> None:
        self._variables: dict[str, ast.expr] = {}
        self._open: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._variables[node.targets[0].id] = node.value

    def find(self, expression: ast.expr) -> PathInCode | None:
        """Evaluate to a path that is not normalised; ``None`` for what is known only by running the code."""
        try:
            return self._place(expression)
        except RecursionError:
            return None

    def value(self, expression: ast.expr) -> ast.expr:
        """Return what a variable was last assigned, any other expression as it is."""
        match expression:
            case ast.Name(id=name) if name in self._variables:
                return self._variables[name]
            case _:
                return expression

    def _place(self, expression: ast.expr) -> PathInCode | None:
        match expression:
            case ast.Constant(value=str(path)):
                return "working", path
            case ast.Name(id="__file__"):
                return "file", "__file__"
            case ast.Name(id=name):
                return self._variable(name)
            case ast.Attribute(value=inner, attr="parent"):
                return self._above(inner, 1)
            case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(n))):
                return self._above(inner, n + 1)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._join([left, right])
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments)
            case ast.Call(func=ast.Attribute(value=owner, attr=name), args=arguments):
                return self._method(owner, name, arguments)
            case _:
                return None

    def _method(self, owner: ast.expr, name: str, arguments: list[ast.expr]) -> PathInCode | None:
        match name, arguments:
            case "joinpath", _:
                return self._join([owner, *arguments])
            case (("absolute" | "resolve"), []):
                return self._place(owner)
            case _:
                return self._call(name, arguments)

    def _call(self, function: str, arguments: list[ast.expr]) -> PathInCode | None:
        match function, arguments:
            case (("Path" | "cwd" | "getcwd"), []):
                return "working", "."
            case "dirname", [inner]:
                return self._above(inner, 1)
            case (("join" | "Path"), [_, _, *_]):
                return self._join(arguments)
            case (("Path" | "abspath" | "fspath" | "normpath" | "realpath" | "str"), [inner]):
                return self._place(inner)
            case _:
                return None

    def _variable(self, name: str) -> PathInCode | None:
        if name not in self._variables or name in self._open:
            return None
        self._open.add(name)
        place = self._place(self._variables[name])
        self._open.discard(name)
        return place

    def _above(self, expression: ast.expr, steps: int) -> PathInCode | None:
        place = self._place(expression)
        return (place[0], posixpath.normpath(place[1] + "/.." * steps)) if place else None

    def _join(self, expressions: list[ast.expr]) -> PathInCode | None:
        places = [self._place(expression) for expression in expressions]
        base: Base = "working"
        path = ""
        for place in places:
            if place is None:
                return None
            if place[0] == "file":
                base, path = place
            else:
                path = posixpath.join(path, place[1])
        return base, path
