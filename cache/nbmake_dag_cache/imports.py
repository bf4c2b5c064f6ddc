"""What Python code imports, adds to ``sys.path`` and starts, found without running it.

Everything is found anywhere in the code: in functions, conditions and ``try``. Finding the files that these
names mean is the caller's task.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator

import msgspec

from nbmake_dag_cache.computed_imports import (
    COMPUTED,
    ComputedImports,
    Import,
    LoadedFile,
    WholeFolder,
    WholePackage,
)
from nbmake_dag_cache.paths_in_code import Base, PathsInCode
from nbmake_dag_cache.started import (
    PYTHON,
    StartedCommand,
    Word,
    commands_among,
    python_path_among,
    scripts_named_among,
)
from nbmake_dag_cache.syntax import parse


class PathAddition(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A folder added to ``sys.path``: ``path`` below the importing file's folder, or the working directory.

    ``path`` is normalised, may begin with ``..``, and may be absolute. ``first``: before all
    others, as by ``insert(0, path)``.
    """

    base: Base
    path: str
    first: bool = False


class Imports(msgspec.Struct, frozen=True, array_like=True):
    """What some code imports, each once, sorted; the folders it adds and the commands it starts, in order.

    ``listed``: it may import whatever modules a package or a folder has. ``computed``: it imports something that
    only running tells. ``opaque``: it runs code of which the text says nothing, such as an unpickled object's.
    ``python_path``: folders from which what it starts imports as well. ``named``: texts that may name scripts.
    """

    modules: tuple[Import, ...] = ()
    folders: tuple[PathAddition, ...] = ()
    commands: tuple[StartedCommand, ...] = ()
    listed: tuple[WholePackage | WholeFolder, ...] = ()
    computed: bool = False
    opaque: bool = False
    python_path: tuple[Word, ...] = ()
    named: tuple[str, ...] = ()


def imports_of(source: str | bytes) -> Imports:
    """Find what a module imports; nothing where it does not parse."""
    tree = parse(source)
    return _imports_among(list(ast.walk(tree))) if tree is not None else Imports()


def imports_in(modules: list[tuple[str, ast.Module]]) -> Imports:
    """Find what code imports that shares a namespace, as cells do: pieces of it, each with its text.

    Of pieces whose text shows that they import and start nothing, only what they assign at the top level counts.
    """
    adds_folders = any("sys.path" in text for text, _ in modules)
    return _imports_among(
        [
            node
            for text, tree in modules
            for node in (ast.walk(tree) if adds_folders or _MAY_COUNT.search(text) else tree.body)
        ]
    )


_MAY_COUNT = re.compile(
    "import|iter_modules|walk_packages|spec_from|load|FileLoader|run|exec|eval|call|open|output|system|spawn"
    "|subprocess|pickle|entry_points|site|discover|main|chdir|PYTHONPATH"
)


def _imports_among(nodes: list[ast.AST]) -> Imports:
    calls_and_statements = [node for node in nodes if isinstance(node, _INTERESTING)]
    places = PathsInCode(nodes)
    computed = ComputedImports(nodes, places)
    modules = {found for node in calls_and_statements for found in _imports_by(node)}
    listed: set[WholePackage | WholeFolder] = set()
    loaded: list[StartedCommand] = []
    is_computed = False
    for call in (node for node in calls_and_statements if isinstance(node, ast.Call)):
        for found in computed.by(call):
            match found:
                case Import():
                    modules.add(found)
                case WholePackage() | WholeFolder():
                    listed.add(found)
                case LoadedFile(base=base, path=path):
                    loaded.append(StartedCommand((PYTHON, Word(base, path))))
                case _:
                    is_computed |= found == COMPUTED
    added = [expression for node in nodes for expression in _additions_by(node)]
    found_places = [(places.find(expression), first) for expression, first in added]
    folders = dict.fromkeys(
        PathAddition(place[0], posixpath.normpath(place[1]), first) for place, first in found_places if place
    )
    if None in (place for place, _ in found_places):
        folders |= dict.fromkeys(_folders_named_among(nodes))
    commands = dict.fromkeys([*commands_among(calls_and_statements, places), *loaded])
    return Imports(
        modules=tuple(sorted(modules)),
        folders=tuple(folders),
        commands=tuple(commands),
        listed=tuple(sorted(listed, key=repr)),
        computed=is_computed,
        opaque=any(isinstance(node, ast.Call) and computed.is_opaque(node) for node in calls_and_statements),
        python_path=tuple(dict.fromkeys(python_path_among(nodes, places))),
        named=tuple(sorted(set(scripts_named_among(nodes)))),
    )


def _folders_named_among(nodes: list[ast.AST]) -> Iterator[PathAddition]:
    """Yield what texts may name as folders, where one that is added to ``sys.path`` is computed."""
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if _FOLDER.fullmatch(text):
                yield from (PathAddition(base, posixpath.normpath(text)) for base in _BASES)
            case _:
                pass


_FOLDER = re.compile(r"[\w.\-][\w./\-]{0,200}")
_BASES: tuple[Base, ...] = ("file", "working")
_INTERESTING = (ast.Import, ast.ImportFrom, ast.Call, ast.AugAssign)


def _imports_by(node: ast.AST) -> Iterator[Import]:
    match node:
        case ast.Import(names=aliases):
            for alias in aliases:
                yield Import(alias.name)
        case ast.ImportFrom(module=module, names=aliases, level=level):
            yield Import(module or "", tuple(alias.name for alias in aliases), level)
        case _:
            pass


def _additions_by(node: ast.AST) -> Iterator[tuple[ast.expr, bool]]:
    """Yield the folders that a node adds to ``sys.path``, and whether they go before the others."""
    match node:
        case ast.Call(func=ast.Attribute(value=path, attr="append"), args=[folder]) if _is_sys_path(path):
            yield folder, False
        case ast.Call(func=ast.Attribute(value=path, attr="insert"), args=[at, folder]) if _is_sys_path(path):
            yield folder, isinstance(at, ast.Constant) and at.value == 0
        case ast.Call(
            func=ast.Attribute(value=path, attr="extend"), args=[ast.List(elts=folders) | ast.Tuple(elts=folders)]
        ) if _is_sys_path(path):
            yield from ((folder, False) for folder in folders)
        case ast.AugAssign(target=path, value=ast.List(elts=folders)) if _is_sys_path(path):
            yield from ((folder, False) for folder in folders)
        case ast.Assign(targets=[ast.Subscript(value=path)], value=ast.List(elts=folders)) if _is_sys_path(path):
            yield from ((folder, True) for folder in reversed(folders))
        case ast.Assign(targets=[path], value=value) if _is_sys_path(path):
            yield from _around_path(value)
        case ast.Call(func=ast.Attribute(attr="addsitedir") | ast.Name(id="addsitedir"), args=[folder, *_]):
            yield folder, False
        case _:
            pass


def _around_path(value: ast.expr) -> Iterator[tuple[ast.expr, bool]]:
    """Yield the folders that are put before ``sys.path`` and after it, as in ``[folder, *sys.path]``."""
    match value:
        case ast.BinOp(left=ast.List(elts=folders), op=ast.Add()):
            yield from ((folder, True) for folder in reversed(folders))
        case ast.BinOp(op=ast.Add(), right=ast.List(elts=folders)):
            yield from ((folder, False) for folder in folders)
        case ast.List(elts=elements):
            starred = [position for position, item in enumerate(elements) if isinstance(item, ast.Starred)]
            middle = starred[0] if starred else len(elements)
            yield from ((folder, True) for folder in reversed(elements[:middle]))
            yield from ((folder, False) for folder in elements[middle + 1 :])
        case _:
            pass


def _is_sys_path(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="sys"), attr="path"):
            return True
        case _:
            return False
