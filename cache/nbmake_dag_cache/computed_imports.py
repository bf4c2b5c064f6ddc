"""Imports whose names code computes, and what reading the code says of them.

``import_module(f"plugins.{name}")`` may mean every module of ``plugins``, and so may a loop over
``pkgutil.iter_modules(plugins.__path__)``. A name of which nothing is literal is *computed*: only running tells.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias

import msgspec

from nbmake_dag_cache.paths_in_code import Base, PathsInCode
from nbmake_dag_cache.started import UNKNOWN

COMPUTED = "computed"
"""An import that can mean any module."""


class Import(msgspec.Struct, frozen=True, array_like=True, order=True):
    """``import module``, or ``from module import names``, where ``level`` counts leading dots.

    Each of ``names`` may be a module in the package ``module``, or something defined there; ``*`` is all.
    """

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


class WholePackage(msgspec.Struct, frozen=True, array_like=True, order=True, tag="package"):
    """Every module in a package: in all that ``module`` means, below the code's own package with a ``level``."""

    module: str
    level: int = 0


class WholeFolder(msgspec.Struct, frozen=True, array_like=True, order=True, tag="folder"):
    """Every module in a folder: ``path`` below the code's own folder, or the working directory."""

    base: Base
    path: str


class LoadedFile(msgspec.Struct, frozen=True, array_like=True, order=True, tag="file"):
    """A file that is loaded as a module, whatever its name."""

    base: Base
    path: str


Found: TypeAlias = Import | WholePackage | WholeFolder | LoadedFile | str
"""What a call imports; a text is `COMPUTED`."""

_OWN = WholePackage("", 1)
_UNPICKLE = frozenset({"load", "loads"})
_PICKLERS = frozenset({"pickle", "cPickle", "joblib", "dill", "cloudpickle", "torch", "skops"})
_TESTERS = frozenset({"pytest", "unittest"})
"""Their ``main`` looks for tests."""
_OPAQUE = frozenset(
    {
        "read_pickle",
        "Unpickler",
        "exec_module",
        "load_module",
        "entry_points",
        "iter_entry_points",
        "addsitedir",
        "discover",
    }
)


class ComputedImports:
    """Reads calls that import what is not written as an import; it goes by the names of functions."""

    def __init__(self, nodes: Iterable[ast.AST], paths: PathsInCode) -> None:
        self._paths = paths
        self._aliases: dict[str, Import] = {}
        self._looped: dict[str, list[ast.expr]] = {}
        for node in nodes:
            match node:
                case ast.Import(names=aliases):
                    self._aliases |= {alias.asname: Import(alias.name) for alias in aliases if alias.asname}
                case ast.ImportFrom(module=module, names=aliases, level=level):
                    for alias in aliases:
                        self._aliases[alias.asname or alias.name] = Import(module or "", (alias.name,), level)
                case ast.For(target=ast.Name(id=name), iter=iterable):
                    self._looped.setdefault(name, []).append(iterable)
                case ast.comprehension(target=ast.Name(id=name), iter=iterable):
                    self._looped.setdefault(name, []).append(iterable)
                case _:
                    pass

    def by(self, call: ast.Call) -> Iterator[Found]:
        """Yield what a call imports, or may import."""
        name = self._name(call)
        if name in {"import_module", "__import__"}:
            yield from self._named(call)
        elif name in {"iter_modules", "walk_packages"}:
            yield from self._listed(_argument(call, 0, "path"))
        elif name in {"spec_from_file_location", "load_source", "SourceFileLoader"}:
            yield from self._loaded(_argument(call, 1, "location", "pathname", "path"))

    def is_opaque(self, call: ast.Call) -> bool:
        """Return whether a call may run code that is named nowhere: that of texts, of pickles, of plugins."""
        name = self._name(call)
        if name in _UNPICKLE or name == "main":
            owner = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            root = owner.id if isinstance(owner, ast.Name) else ""
            package = self._aliases.get(root, Import(root)).module.partition(".")[0]
            return package in (_TESTERS if name == "main" else _PICKLERS)
        if name in {"exec", "eval"}:
            return isinstance(call.func, ast.Name) and _text(_argument(call, 0)) is None
        return name in _OPAQUE

    def _named(self, call: ast.Call) -> Iterator[Found]:
        argument = _argument(call, 0, "name")
        if argument is None:
            yield COMPUTED
            return
        base = _text(_argument(call, 1, "package")) if self._name(call) == "import_module" else None
        for expression in self._values(argument):
            yield self._import(expression, base)

    def _import(self, expression: ast.expr, package: str | None) -> Found:
        text, is_whole = _literal_start(expression)
        module = text.lstrip(".")
        level = len(text) - len(module)
        if level and package:
            # of a package that is named, so that dots lead up from there
            above = package.split(".")[: len(package.split(".")) - level + 1]
            module, level = ".".join(filter(None, (*above, module))), 0
            module += "." if not is_whole and text.endswith(".") and not module.endswith(".") else ""
        if is_whole:
            return Import(module, (), level)
        if "." in module or level:
            return WholePackage(module.rpartition(".")[0], level)
        return COMPUTED

    def _values(self, expression: ast.expr) -> list[ast.expr]:
        """Return what an expression can be: a variable by its assignment, or by a loop over what is written."""
        value = self._paths.value(expression)
        if isinstance(expression, ast.Name) and expression.id in self._looped:
            iterables = [self._paths.value(item) for item in self._looped[expression.id]]
            if all(isinstance(item, (ast.List, ast.Tuple, ast.Set)) for item in iterables):
                return list(chain.from_iterable(item.elts for item in iterables))  # type: ignore[attr-defined]
            return [expression]
        return [value]

    def _listed(self, path: ast.expr | None) -> Iterator[Found]:
        if path is None:
            yield COMPUTED
            return
        match self._paths.value(path):
            case ast.Name(id="__path__"):
                yield _OWN
            case ast.Attribute(value=module, attr="__path__"):
                yield self._package(module)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    place = self._paths.find(element)
                    yield WholeFolder(*place) if place else COMPUTED
            case _:
                yield COMPUTED

    def _package(self, expression: ast.expr) -> Found:
        """Return the package that a name, a dotted name or a call of ``import_module`` means."""
        expression = self._paths.value(expression)
        if isinstance(expression, ast.Call) and self._name(expression) in {"import_module", "__import__"}:
            named = next(iter(self._named(expression)))
            return WholePackage(named.module, named.level) if isinstance(named, Import) else COMPUTED
        parts: list[str] = []
        while isinstance(expression, ast.Attribute):
            parts.insert(0, expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return COMPUTED
        alias = self._aliases.get(expression.id, Import(expression.id))
        return WholePackage(".".join(filter(None, (alias.module, *alias.names, *parts))), alias.level)

    def _loaded(self, path: ast.expr | None) -> Iterator[Found]:
        place = self._paths.find(path) if path else None
        if place is None:
            yield COMPUTED
        yield LoadedFile(*place) if place else LoadedFile("working", UNKNOWN)

    def _name(self, call: ast.Call) -> str:
        """Return the last part of the name of what is called, by its own name where it is imported by another."""
        match call.func:
            case ast.Attribute(attr=name):
                return name
            case ast.Name(id=name):
                alias = self._aliases.get(name)
                return alias.names[0] if alias and alias.names else name
            case _:
                return ""


def _argument(call: ast.Call, position: int, *names: str) -> ast.expr | None:
    if len(call.args) > position:
        return call.args[position]
    return next((item.value for item in call.keywords if item.arg in names), None)


def _text(expression: ast.expr | None) -> str | None:
    return expression.value if isinstance(expression, ast.Constant) and isinstance(expression.value, str) else None


def _literal_start(expression: ast.expr) -> tuple[str, bool]:
    """Return the text that an expression begins with, and whether that is all of it."""
    match expression:
        case ast.Constant(value=str(text)):
            return text, True
        case (
            ast.FormattedValue(value=ast.Name(id="__package__" | "__name__"))
            | ast.Name(id="__package__" | "__name__")
        ):
            # the name of a package begins its modules' names, as a dot does
            return "", True
        case ast.JoinedStr(values=values):
            text, is_whole = "", True
            for value in values:
                more, is_whole = _literal_start(value)
                text += more
                if not is_whole:
                    break
            return text, is_whole
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            text, is_whole = _literal_start(left)
            if not is_whole:
                return text, False
            more, is_whole = _literal_start(right)
            return text + more, is_whole
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return text.partition("%")[0], False
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return text.partition("{")[0], False
        case _:
            return "", False
