"""The commands that Python code starts, by calls of the usual functions and IPython's magics, by reading it.

Calls are recognised by the last part of their name, on any object. What a command means, and which of
the files it names exist, is for the caller to find.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import msgspec

from nbmake_dag_cache.paths_in_code import Base, PathsInCode

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""A value that is known only by running the code."""


class Word(msgspec.Struct, frozen=True, array_like=True):
    """One argument of a command; as a path it starts at ``base``."""

    base: Base
    text: str


class StartedCommand(msgspec.Struct, frozen=True, array_like=True):
    """A line for the shell, or a list of arguments, and the folder in which it starts."""

    arguments: str | tuple[Word, ...]
    folder: Word = Word("working", ".")


_SHELL_MAGICS = frozenset({"!", "bash", "sh", "script", "sx", "system"})
_PYTHON_MAGICS = frozenset({"python", "python3"})
PYTHON = Word("working", "python")


def commands_among(nodes: Iterable[ast.AST], paths: PathsInCode) -> Iterator[StartedCommand]:
    """Yield what calls among nodes start."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in _STARTS:
                yield from _STARTS[name](node, paths)
            case _:
                pass


def _shell(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for line in _arguments(call)[:1]:
        yield StartedCommand(_text(paths.value(line)), _folder(call, paths))


def _list_or_shell(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for first in _arguments(call)[:1]:
        yield StartedCommand(_list_or_line(first, paths), _folder(call, paths))


def _spread(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    yield StartedCommand(tuple(_word(item, paths) for item in call.args), _folder(call, paths))


def _path_and_list(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    """Read ``os.execv(path, arguments)``, and ``os.spawnv(mode, path, arguments)``."""
    for path, words in pairwise(call.args):
        arguments = _list_or_line(words, paths)
        if isinstance(arguments, tuple):
            yield StartedCommand((_word(path, paths), *arguments[1:]))


def _path_and_spread(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    """Read ``os.execl(path, argument, …)``, and ``os.spawnl(mode, path, argument, …)``."""
    words = tuple(_word(item, paths) for item in call.args)
    for start in (0, 1):
        yield StartedCommand((*words[start : start + 1], *words[start + 2 :]))


def _run_path(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for script in call.args[:1]:
        yield StartedCommand((PYTHON, _word(script, paths)))


def _run_module(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for module in call.args[:1]:
        yield StartedCommand((PYTHON, Word("working", "-m"), _word(module, paths)))


def _exec(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for code in call.args[:1]:
        for script in _opened(code, paths):
            yield StartedCommand((PYTHON, script))


def _cell_magic(call: ast.Call, _: PathsInCode) -> Iterator[StartedCommand]:
    match call.args:
        case [ast.Constant(value=str(magic)), _, ast.Constant(value=str(body)), *_] if magic in _SHELL_MAGICS:
            yield StartedCommand(body)
        case [ast.Constant(value=str(magic)), _, ast.Constant(value=str(body)), *_] if magic in _PYTHON_MAGICS:
            yield StartedCommand((PYTHON, Word("working", "-c"), Word("working", body)))
        case _:
            pass


def _line_magic_call(call: ast.Call, _: PathsInCode) -> Iterator[StartedCommand]:
    match call.args:
        case [ast.Constant(value=str(magic)), ast.Constant(value=str(line)), *_]:
            yield from _line_magic(magic, line)
        case _:
            pass


def _line_magic(magic: str, line: str) -> Iterator[StartedCommand]:
    if magic in {"sx", "system", "!"}:
        yield StartedCommand(line)
    elif magic == "run":
        words = [word for word in _split(line) if word == "-m" or not word.startswith("-")]
        if words and words[0] != "-m" and not words[0].endswith((".py", ".ipynb", ".ipy")):
            words[0] += ".py"
        yield StartedCommand(tuple(Word("working", word) for word in ("python", *words)))


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _opened(code: ast.expr, paths: PathsInCode) -> Iterator[Word]:
    """Yield the files that an expression, or a variable in it, opens by ``open(path)`` or ``path.read_text()``."""
    variables = [paths.value(node) for node in ast.walk(code) if isinstance(node, ast.Name)]
    for node in (node for expression in (code, *variables) for node in ast.walk(expression)):
        match node:
            case ast.Call(func=ast.Name(id="open"), args=[path, *_]):
                yield _word(path, paths)
            case ast.Call(func=ast.Attribute(value=path, attr="open" | "read_text" | "read_bytes")):
                yield _word(path, paths)
            case _:
                pass


def _arguments(call: ast.Call) -> list[ast.expr]:
    return call.args or [item.value for item in call.keywords if item.arg in {"args", "cmd", "command"}]


def _folder(call: ast.Call, paths: PathsInCode) -> Word:
    return next((_word(item.value, paths) for item in call.keywords if item.arg == "cwd"), Word("working", "."))


def _list_or_line(expression: ast.expr, paths: PathsInCode) -> str | tuple[Word, ...]:
    match paths.value(expression):
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return tuple(_word(element, paths) for element in elements)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            both = _list_or_line(left, paths), _list_or_line(right, paths)
            return tuple(word for words in both if isinstance(words, tuple) for word in words)
        case ast.Call(func=ast.Attribute(attr="split"), args=[ast.Constant(value=str(line))]):
            return line
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(line)), attr="split")):
            return line
        case value:
            return _text(value)


def _word(expression: ast.expr, paths: PathsInCode) -> Word:
    match expression:
        case ast.Attribute(value=ast.Name(id="sys"), attr="executable"):
            return Word("working", "python")
        case ast.JoinedStr():
            return Word("working", _text(expression))
        case _:
            place = paths.find(expression)
            return Word(*place) if place else Word("working", UNKNOWN)


def _text(expression: ast.expr) -> str:
    """Return a text, with `UNKNOWN` for the values in it that are not literal."""
    match expression:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values)
        case ast.FormattedValue(value=ast.Attribute(value=ast.Name(id="sys"), attr="executable")):
            return "python"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case _:
            return UNKNOWN


_STARTS: dict[str, Callable[[ast.Call, PathsInCode], Iterator[StartedCommand]]] = {
    **dict.fromkeys(("system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"), _shell),
    **dict.fromkeys(("run", "Popen", "call", "check_call", "check_output"), _list_or_shell),
    **dict.fromkeys(("execv", "execve", "execvp", "execvpe", "posix_spawn", "posix_spawnp"), _path_and_list),
    **dict.fromkeys(("spawnv", "spawnve", "spawnvp", "spawnvpe"), _path_and_list),
    **dict.fromkeys(("execl", "execle", "execlp", "execlpe"), _path_and_spread),
    **dict.fromkeys(("spawnl", "spawnle", "spawnlp", "spawnlpe"), _path_and_spread),
    "create_subprocess_exec": _spread,
    "run_path": _run_path,
    "run_module": _run_module,
    "exec": _exec,
    "run_cell_magic": _cell_magic,
    "run_line_magic": _line_magic_call,
}
