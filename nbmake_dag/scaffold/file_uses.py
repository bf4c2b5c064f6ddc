"""The files that Python code opens under names that stand in it: the usual calls, and only those."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nbmake_dag.scaffold.literals import Literals, NotLiteralError

Mode: TypeAlias = Literal["read", "write"]

_READERS = frozenset({"genfromtxt", "imread", "load", "loadtxt", "scan_csv", "scan_parquet"})
_WRITERS = frozenset(
    {
        *("imsave", "imwrite", "save", "savefig", "savetxt", "savez", "savez_compressed", "sink_csv"),
        *("sink_parquet", "write_html", "write_image"),
    }
)
_FORMATS = ("csv", "excel", "feather", "hdf", "json", "parquet", "pickle", "table")
_PATH_KEYWORDS = frozenset({"file", "filename", "filepath_or_buffer", "fname", "io", "path", "path_or_buf"})
_OPENERS = frozenset({"bz2", "codecs", "gzip", "io", "lzma"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUse:
    """A path as the code writes it, which may be a glob if it is read."""

    path: str
    mode: Mode


def file_uses(trees: Iterable[ast.Module], literals: Literals) -> tuple[FileUse, ...]:
    """List the files that code reads or writes, each once, in the order of the code."""
    uses: dict[FileUse, None] = {}
    for tree in trees:
        for node in ast.walk(tree):
            for mode, expression in _paths_in(node, literals) if isinstance(node, ast.Call) else ():
                try:
                    path = literals.evaluate(expression)
                except NotLiteralError:
                    continue
                if isinstance(path, str) and path:
                    uses[FileUse(path=path, mode=mode)] = None
    return tuple(uses)


def _paths_in(  # noqa: C901, PLR0912 - a case for each way to name a file
    call: ast.Call, literals: Literals
) -> Iterator[tuple[Mode, ast.expr]]:
    match call:
        case ast.Call(func=ast.Name(id="open"), args=[path, *rest]):
            yield from _opened(path, rest, call.keywords, literals)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="open"), args=[path, *rest]) if (
            module in _OPENERS
        ):
            yield from _opened(path, rest, call.keywords, literals)
        case ast.Call(func=ast.Attribute(value=path, attr="open"), args=rest):
            yield from _opened(path, rest, call.keywords, literals)
        case ast.Call(func=ast.Attribute(value=path, attr="read_text" | "read_bytes")):
            yield "read", path
        case ast.Call(func=ast.Attribute(value=path, attr="write_text" | "write_bytes")):
            yield "write", path
        case ast.Call(func=ast.Attribute(value=ast.Name(id="glob"), attr="glob" | "iglob"), args=[pattern]):
            yield "read", pattern
        case ast.Call(func=ast.Attribute(value=folder, attr="glob"), args=[pattern]):
            yield "read", ast.BinOp(left=folder, op=ast.Div(), right=pattern)
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="joblib" | "cloudpickle"), attr="dump"), args=[_, path]
        ):
            yield "write", path
        case ast.Call(func=ast.Attribute(value=ast.Name(id="shutil")), args=[source, target]):
            yield "read", source
            yield "write", target
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            mode = _mode_of(name)
            if mode is not None:
                named = [item.value for item in call.keywords if item.arg in _PATH_KEYWORDS]
                for path in [*call.args[:1], *named][:1]:
                    yield mode, path
        case _:
            pass


def _mode_of(function: str) -> Mode | None:
    verb, _, kind = function.partition("_")
    if function in _READERS or (verb == "read" and kind in _FORMATS):
        return "read"
    if function in _WRITERS or (verb in {"to", "write"} and kind in _FORMATS):
        return "write"
    return None


def _opened(
    path: ast.expr, rest: list[ast.expr], keywords: list[ast.keyword], literals: Literals
) -> Iterator[tuple[Mode, ast.expr]]:
    modes = [*rest[:1], *(item.value for item in keywords if item.arg == "mode")]
    try:
        mode = str(literals.evaluate(modes[0])) if modes else "r"
    except NotLiteralError:
        return
    if "+" not in mode:
        used: Mode = "write" if any(letter in mode for letter in "wax") else "read"
        yield used, path
