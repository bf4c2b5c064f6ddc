"""The code that a Python cell executes: IPython's transformation of its text, and the identity of the result."""

from __future__ import annotations

import ast
import re

import msgspec

from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.ipython import transform_cell
from nbmake_dag_cache.syntax import parse, write_tree

_PYTHON_MAGICS = frozenset({"capture", "prun", "time", "timeit"})


class Executable(msgspec.Struct, frozen=True):
    """A cell as IPython executes it. Without a ``tree`` the text is not Python, and running it fails."""

    text: str
    tree: ast.Module | None

    @property
    def counts(self) -> bool:
        """Whether it does anything: it holds a statement, or fails to parse."""
        return self.tree is None or bool(self.tree.body)

    @property
    def modules(self) -> list[tuple[str, ast.Module]]:
        """Text and tree of the code, and of the body of a cell magic that runs Python."""
        match self.tree:
            case None:
                return []
            case ast.Module(
                body=[
                    ast.Expr(
                        ast.Call(
                            func=ast.Attribute(attr="run_cell_magic"),
                            args=[ast.Constant(value=magic), _, ast.Constant(value=str(body))],
                        )
                    )
                ]
            ) if magic in _PYTHON_MAGICS:
                return executable(body).modules
            case tree:
                return [(self.text, tree)]

    @property
    def written(self) -> str | None:
        """The file that the cell is written to by ``%%writefile``, as the cell names it."""
        match self.tree:
            case ast.Module(
                body=[
                    ast.Expr(
                        ast.Call(
                            func=ast.Attribute(attr="run_cell_magic"),
                            args=[ast.Constant(value="writefile" | "file"), ast.Constant(value=str(line)), _],
                        )
                    )
                ]
            ) if line.split():
                return line.split()[-1]
            case _:
                return None

    @property
    def identity(self) -> Digest:
        if self.tree is None:
            return text_identity(self.text)
        semicolon = ";" if self._hides_its_value(self.tree) else ""
        return digest_text(f"python{semicolon}:{write_tree(self.tree)}")

    def _hides_its_value(self, tree: ast.Module) -> bool:
        """Whether a semicolon follows an expression that IPython would else show, the last statement."""
        if ";" not in self.text or not tree.body or not isinstance(tree.body[-1], ast.Expr):
            return False
        last = tree.body[-1]
        line, column = last.end_lineno or 0, last.end_col_offset or 0
        lines = re.split(rb"\r\n?|\n", self.text.encode())
        rest = b"\n".join([lines[line - 1][column:], *lines[line:]])
        return lines[line - 1][:column].endswith(b";") or rest.lstrip(b" \t\f\\\n").startswith(b";")


def text_identity(text: str) -> Digest:
    """Identify code that is not read as Python; white space at its end does not count."""
    return digest_text("text:" + text.rstrip())


def executable(source: str) -> Executable:
    """Find what IPython makes of a cell, loading its transformation only where it could change something."""
    tree = parse(source)
    if tree is not None and _is_left_alone(source):
        return Executable(source, tree)
    try:
        transformed = transform_cell(source)
    except Exception:  # noqa: BLE001 - IPython reports whatever its transformation raises as the cell's error
        return Executable(source, None)
    tree = parse(transformed)
    return Executable(source if tree is None else transformed, tree)


_SUSPECT = re.compile(
    r"""
    \A(?:[^\S\n]*\n)*[ \t]                           # indentation of the first line
    | ^[^\S\n]*(?:[!?%,;/]|>>>|\.\.\.|(?:\[\w+\]\ )?In\ \[)  # escapes and prompts, also in strings
    | =\s*!(?!=)                                      # system assignments
    | [\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]           # line ends for `str.splitlines` only
    """,
    re.MULTILINE | re.VERBOSE,
)
_BLANK_LINE = re.compile(r"^[^\S\n]+$", re.MULTILINE)
_LINES_IN_STRINGS = ('"""', "'''", "\\\n")


def _is_left_alone(source: str) -> bool:
    """Whether IPython certainly leaves text that parses as it is.

    Besides escapes and prompts it removes common indentation, and thereby empties blank lines, which
    matters in strings.
    """
    if _SUSPECT.search(source):
        return False
    return not (_BLANK_LINE.search(source) and any(mark in source for mark in _LINES_IN_STRINGS))
