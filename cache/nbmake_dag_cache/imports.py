"""What Python code says that it imports, and the folders that it adds to ``sys.path``, without running it.

Everything is found wherever it stands: in functions, conditions and ``try``. Finding the files that these
names mean is somebody else's work.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec

from nbmake_dag_cache.syntax import parse


class Import(msgspec.Struct, frozen=True, array_like=True, order=True):
    """``import module``, or ``from module import names``, where ``level`` counts leading dots.

    Each of ``names`` may be a module in the package ``module``, or something defined there; ``*`` is all.
    """

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


Base: TypeAlias = Literal["file", "working"]


class PathAddition(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A folder added to ``sys.path``: ``path`` below the importing file's folder, or the working directory.

    ``path`` is normalised, may begin with ``..``, and is absolute where the code says so.
    """

    base: Base
    path: str


class Imports(msgspec.Struct, frozen=True, array_like=True):
    """What some code imports, each once, sorted."""

    modules: tuple[Import, ...] = ()
    folders: tuple[PathAddition, ...] = ()


def imports_of(source: str | bytes) -> Imports:
    """Find what a module imports; nothing where it does not parse."""
    tree = parse(source)
    return _imports_among(list(ast.walk(tree))) if tree is not None else Imports()


def imports_in(modules: list[tuple[str, ast.Module]]) -> Imports:
    """Find what code imports that shares a namespace, as cells do: pieces of it, each with its text."""
    adds_folders = any("sys.path" in text for text, _ in modules)
    return _imports_among(
        [node for text, tree in modules if adds_folders or "import" in text for node in ast.walk(tree)]
    )


def _imports_among(nodes: list[ast.AST]) -> Imports:
    calls_and_statements = [node for node in nodes if isinstance(node, _INTERESTING)]
    modules = {found for node in calls_and_statements for found in _imports_by(node)}
    added = [expression for node in calls_and_statements for expression in _additions_by(node)]
    places = _Places(nodes if added else [])
    folders = {PathAddition(*place) for expression in added if (place := places.find(expression))}
    return Imports(tuple(sorted(modules)), tuple(sorted(folders)))


_INTERESTING = (ast.Import, ast.ImportFrom, ast.Call, ast.AugAssign)


def _imports_by(node: ast.AST) -> Iterator[Import]:
    match node:
        case ast.Import(names=aliases):
            for alias in aliases:
                yield Import(alias.name)
        case ast.ImportFrom(module=module, names=aliases, level=level):
            yield Import(module or "", tuple(alias.name for alias in aliases), level)
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            module = name.lstrip(".")
            yield Import(module, (), len(name) - len(module))
        case _:
            pass


def _additions_by(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.Call(func=ast.Attribute(value=path, attr="append"), args=[folder]) if _is_sys_path(path):
            yield folder
        case ast.Call(func=ast.Attribute(value=path, attr="insert"), args=[_, folder]) if _is_sys_path(path):
            yield folder
        case ast.Call(
            func=ast.Attribute(value=path, attr="extend"), args=[ast.List(elts=folders) | ast.Tuple(elts=folders)]
        ) if _is_sys_path(path):
            yield from folders
        case ast.AugAssign(target=path, value=ast.List(elts=folders)) if _is_sys_path(path):
            yield from folders
        case _:
            pass


def _is_sys_path(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="sys"), attr="path"):
            return True
        case _:
            return False


_Place: TypeAlias = tuple[Base, str]


class _Places:
    """Evaluates the usual ways to name a folder, going by the names of functions and variables."""

    def __init__(self, nodes: Iterable[ast.AST]) -> None:
        self._variables: dict[str, ast.expr] = {}
        self._open: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._variables[node.targets[0].id] = node.value

    def find(self, expression: ast.expr) -> _Place | None:
        """Evaluate; ``None`` for what only running the code could tell."""
        try:
            place = self._place(expression)
        except RecursionError:
            return None
        return (place[0], posixpath.normpath(place[1])) if place else None

    def _place(self, expression: ast.expr) -> _Place | None:
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

    def _method(self, owner: ast.expr, name: str, arguments: list[ast.expr]) -> _Place | None:
        match name, arguments:
            case "joinpath", _:
                return self._join([owner, *arguments])
            case (("absolute" | "resolve"), []):
                return self._place(owner)
            case _:
                return self._call(name, arguments)

    def _call(self, function: str, arguments: list[ast.expr]) -> _Place | None:
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

    def _variable(self, name: str) -> _Place | None:
        if name not in self._variables or name in self._open:
            return None
        self._open.add(name)
        place = self._place(self._variables[name])
        self._open.discard(name)
        return place

    def _above(self, expression: ast.expr, steps: int) -> _Place | None:
        place = self._place(expression)
        return (place[0], posixpath.normpath(place[1] + "/.." * steps)) if place else None

    def _join(self, expressions: list[ast.expr]) -> _Place | None:
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
