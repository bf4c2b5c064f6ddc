"""The files that a notebook opens by literal names, found by following its code without running it."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from nbmake_dag.core.globs import escaped
from nbmake_dag.scaffold.file_calls import Mode, files_of
from nbmake_dag.scaffold.follow import FindModule, Follower
from nbmake_dag.scaffold.known_calls import NotLiteralError
from nbmake_dag.scaffold.literals import Literals


class FileUse(msgspec.Struct, frozen=True, kw_only=True):
    """A path as ``pipeline.toml`` would have it, which may be a glob if it is read."""

    path: str
    mode: Mode


def file_uses(trees: Iterable[ast.Module]) -> tuple[FileUse, ...]:
    """List the files that code reads or writes, each once, in the order of the code.

    The code is followed statement by statement, so that a variable means what it was assigned last: many notebooks
    use one name, such as ``path``, for one file after the other.
    """
    return uses_and_home(trees)[0]


def uses_and_home(
    trees: Iterable[ast.Module], find: FindModule | None = None
) -> tuple[tuple[FileUse, ...], str | None]:
    """List the files as `file_uses` does, and the folder to which the code moves if it is elsewhere, if any.

    ``find`` finds the modules whose constants it imports.
    """
    reader = _Reader(find)
    variables = Literals()
    for tree in trees:
        reader.follow(tree.body, variables)
    reader.follow_uncalled(variables)
    return tuple(reader.uses), reader.home


class _Reader(Follower):
    """Notes the files that calls open."""

    def __init__(self, find: FindModule | None) -> None:
        super().__init__(find)
        self.uses: dict[FileUse, None] = {}

    def note(self, call: ast.Call, variables: Literals) -> None:
        for opened in files_of(call, variables):
            paths = (path for name in opened.names for path in self._path(name, opened.suffix, variables))
            for path in list(paths)[:1]:
                declared = path if opened.is_pattern else escaped(path)
                self.uses[FileUse(path=declared, mode=opened.mode)] = None

    def _path(self, expression: ast.expr, suffix: str, variables: Literals) -> Iterator[str]:
        with suppress(NotLiteralError):
            path = variables.evaluate(expression)
            if isinstance(path, str) and not path.endswith(suffix):
                path += suffix
            if not isinstance(path, str) or "\n" in path or not ("/" in path or "." in path):
                return
            if path.startswith("/"):
                yield path
            elif self.folder is not None:
                yield posixpath.join(self.folder, path)
