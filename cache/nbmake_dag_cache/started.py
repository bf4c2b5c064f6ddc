"""The commands that Python code starts, by calls of the usual functions and IPython's magics, by reading it.

Calls are recognised by the last part of their name, on any object. What a command means, and which of
the files it names exist, is for the caller to find.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import msgspec
from msgspec.structs import replace

from nbmake_dag_cache.paths_in_code import Base, PathsInCode

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""A value that is known only by running the code."""


class Word(msgspec.Struct, frozen=True, array_like=True):
    """One argument of a command; as a path it starts at ``base``."""

    base: Base
    text: str


HERE = Word("working", ".")


class StartedCommand(msgspec.Struct, frozen=True, array_like=True):
    """A line for the shell, or a list of arguments, and the folder in which it starts."""

    arguments: str | tuple[Word, ...]
    folder: Word = HERE


SCRIPT_SUFFIXES = (".py", ".sh", ".bash", ".zsh", ".ksh", ".R", ".r", ".jl", ".pl", ".rb", ".js", ".mjs", ".lua")
"""What the names of scripts end with."""
PYTHON = Word("working", "python")
_SHELL_MAGICS = frozenset({"!", "bash", "sh", "sx", "system"})
_PYTHON_PATH = "PYTHONPATH"
_OWN_FOLDER = "$(dirname $0)"
"""That of the file, as a line for the shell names it."""


def commands_among(nodes: Sequence[ast.AST], paths: PathsInCode) -> Iterator[StartedCommand]:
    """Yield what calls among nodes start: in the working directory, and in each folder that they change it to."""
    aliases = {
        alias.asname: alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    calls = [(_called(node, aliases, paths), node) for node in nodes if isinstance(node, ast.Call)]
    folders = [folder for name, call in calls for folder in _entered(name, call, paths)]
    for name, call in calls:
        for command in _STARTS[name](call, paths) if name in _STARTS else ():
            yield command
            if command.folder == HERE:
                yield from (replace(command, folder=folder) for folder in folders)


def python_path_among(nodes: Sequence[ast.AST], paths: PathsInCode) -> Iterator[Word]:
    """Yield the folders that code puts on the import path of what it starts, by ``PYTHONPATH``."""
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value="PYTHONPATH"))], value=value):
                yield from _folders(value, paths)
            case ast.keyword(arg="PYTHONPATH", value=value):
                yield from _folders(value, paths)
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == _PYTHON_PATH:
                        yield from _folders(value, paths)
            case ast.Call(args=[ast.Constant(value="PYTHONPATH"), value]):
                yield from _folders(value, paths)
            case ast.Call(args=[ast.Constant(value="env" | "set_env"), ast.Constant(value=str(text))]):
                name, _, place = text.replace("=", " ", 1).partition(" ")
                if name == _PYTHON_PATH:
                    yield from _folders(ast.Constant(value=place.strip()), paths)
            case _:
                pass


def scripts_named_among(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Yield the texts that may name scripts, however these come to be started; no docstrings, and none written."""
    said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    said |= {id(part) for node in nodes for written in _written(node) for part in ast.walk(written)}
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if text.endswith(SCRIPT_SUFFIXES) and id(node) not in said:
                if text.isprintable() and " " not in text:
                    yield text
            case _:
                pass


def _written(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that name files which are opened for writing."""
    match node:
        case ast.Call(func=ast.Name(id="open"), args=[path, ast.Constant(value=str(mode)), *_]) if (
            mode[:1] in "wax"
        ):
            yield path
        case ast.Call(func=ast.Attribute(value=path, attr="write_text" | "write_bytes")):
            yield path
        case _:
            pass


def _called(call: ast.Call, aliases: dict[str, str], paths: PathsInCode) -> str:
    """Return the last part of the name of what is called, by its own name where it is imported by another."""
    match call.func:
        case ast.Attribute(attr=name):
            return name
        case ast.Name(id=name) if name in aliases:
            return aliases[name]
        case ast.Name(id=name):
            value = paths.value(call.func)
            return value.attr if isinstance(value, ast.Attribute) and name not in _STARTS else name
        case _:
            return ""


def _entered(name: str, call: ast.Call, paths: PathsInCode) -> Iterator[Word]:
    match call.args:
        case [place] if name == "chdir" and (found := paths.find(place)):
            yield Word(*found)
        case [ast.Constant(value="cd" | "pushd"), ast.Constant(value=str(place)), *_] if place.strip():
            yield Word("working", _split(place)[-1])
        case _:
            pass


def _folders(expression: ast.expr, paths: PathsInCode) -> Iterator[Word]:
    """Yield the folders of an import path that is written as text, or joined."""
    expression = paths.value(expression)
    match expression:
        case ast.Call(func=ast.Attribute(attr="join"), args=[ast.List(elts=parts) | ast.Tuple(elts=parts)]):
            for part in parts:
                yield from _folders(part, paths)
            return
        case _:
            pass
    if place := paths.find(expression):
        base, text = place
        yield from (Word(base, part) for part in text.split(":") if part)
    else:
        folders = _text(expression, paths).split(":")
        yield from (Word("working", folder) for folder in folders if folder and UNKNOWN not in folder)


def _shell(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for line in _arguments(call)[:1]:
        text = _text(line, paths)
        match call.func:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython"))):
                text = _expanded(text, paths)
            case _:
                pass
        yield StartedCommand(text, _folder(call, paths))


def _expanded(line: str, paths: PathsInCode) -> str:
    """Put in the values of variables of Python, as IPython does; what is not literal becomes `UNKNOWN`."""

    def value(match: re.Match[str]) -> str:
        name = match["name"] or match["braced"]
        if name == "sys.executable":
            return "python"
        if re.search(rf"\b{name}=|\b(?:for|read) {name}\b", line):
            return match[0]
        return _text(ast.Name(id=name), paths) if name.isidentifier() else UNKNOWN

    return re.sub(r"(?<!\$)(?:\$(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[\w.]+)\})", value, line)


def _list_or_shell(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for first in _arguments(call)[:1]:
        yield StartedCommand(_list_or_line(first, paths), _folder(call, paths))


def _spread(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    yield StartedCommand(tuple(word for item in call.args for word in _words(item, paths)), _folder(call, paths))


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
    for script in _arguments(call)[:1]:
        yield StartedCommand((PYTHON, _word(script, paths)))


def _run_module(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for module in _arguments(call)[:1]:
        yield StartedCommand((PYTHON, Word("working", "-m"), _word(module, paths)))


def _exec(call: ast.Call, paths: PathsInCode) -> Iterator[StartedCommand]:
    for code in call.args[:1]:
        for script in _opened(code, paths):
            yield StartedCommand((PYTHON, script))


def _cell_magic(call: ast.Call, _: PathsInCode) -> Iterator[StartedCommand]:
    match call.args:
        case [ast.Constant(value=str(magic)), ast.Constant(value=str(line)), ast.Constant(value=str(body)), *_]:
            program = _split(line)[0] if magic == "script" and line.strip() else magic
            if program.startswith(("python", "pypy")):
                yield StartedCommand((PYTHON, Word("working", "-c"), Word("working", body)))
            elif program in _SHELL_MAGICS:
                yield StartedCommand(body)
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
    return call.args or [item.value for item in call.keywords if item.arg in _COMMANDS]


_COMMANDS = frozenset({"args", "cmd", "command", "path_name", "mod_name"})


def _folder(call: ast.Call, paths: PathsInCode) -> Word:
    return next((_word(item.value, paths) for item in call.keywords if item.arg == "cwd"), Word("working", "."))


def _list_or_line(expression: ast.expr, paths: PathsInCode) -> str | tuple[Word, ...]:
    match paths.value(expression):
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return tuple(word for element in elements for word in _words(element, paths))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            both = _list_or_line(left, paths), _list_or_line(right, paths)
            if all(isinstance(words, str) for words in both):
                return _text(expression, paths)
            return tuple(word for words in both if isinstance(words, tuple) for word in words)
        case ast.Call(func=ast.Attribute(attr="split"), args=[ast.Constant(value=str(line))]):
            return line
        case ast.Call(func=ast.Attribute(value=line, attr="split")):
            return _text(line, paths)
        case ast.Call(func=ast.Attribute(attr="split"), args=[line, *_]):
            return _text(line, paths)
        case value:
            place = paths.find(value)
            return (Word(*place),) if place and place[0] == "file" else _text(value, paths)


def _words(expression: ast.expr, paths: PathsInCode) -> tuple[Word, ...]:
    if isinstance(expression, ast.Starred):
        found = _list_or_line(expression.value, paths)
        return found if isinstance(found, tuple) else (Word("working", UNKNOWN),)
    return (_word(expression, paths),)


def _word(expression: ast.expr, paths: PathsInCode) -> Word:
    match expression:
        case ast.Attribute(value=ast.Name(id="sys"), attr="executable"):
            return PYTHON
        case _:
            place = paths.find(expression)
            return Word(*place) if place else Word("working", _text(expression, paths))


_DEEPEST = 8


def _text(expression: ast.expr, paths: PathsInCode, depth: int = 0) -> str:
    """Return a text, with `UNKNOWN` for the values in it that are not literal."""
    if depth > _DEEPEST:
        return UNKNOWN
    match expression:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value, paths, depth + 1) for value in values)
        case ast.FormattedValue(value=value):
            return _text(value, paths, depth + 1)
        case ast.Attribute(value=ast.Name(id="sys"), attr="executable"):
            return "python"
        case ast.Attribute(attr="pathsep"):
            return ":"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, paths, depth + 1) + _text(right, paths, depth + 1)
        case ast.Name() if (value := paths.value(expression)) is not expression:
            return _text(value, paths, depth + 1)
        case _:
            base, path = paths.find(expression) or ("working", UNKNOWN)
            return f"{_OWN_FOLDER}/{path}" if base == "file" else path


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
