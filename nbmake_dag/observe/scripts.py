"""The local scripts that a command runs, from its arguments or its lines of shell: Python, shell and others."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from itertools import pairwise

from nbmake_dag_cache.computed_imports import Import
from nbmake_dag_cache.imports import Imports, imports_of
from nbmake_dag_cache.started import UNKNOWN

SUFFIXES = (".py", ".sh", ".bash", ".zsh", ".ksh", ".R", ".r", ".jl", ".pl", ".rb", ".js", ".mjs", ".lua")
_INTERPRETER = re.compile(
    r"(?:.*/)?(?:python[\d.]*|pypy[\d.]*|bash|sh|dash|zsh|ksh|source|\.|Rscript|julia|perl|ruby|node|lua)"
)
_SEPARATOR = re.compile(r"[;&|()\n]+")
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
_QUOTED_OR_COMMENT = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|(?<![^\s;&|()])(?P<comment>#[^\n]*)""", re.DOTALL
)
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_PREFIXES = frozenset(
    {"!", "{", "if", "then", "else", "elif", "while", "until", "do", "time", "exec", "env", "nohup"}
)


@dataclass(frozen=True, slots=True)
class Script:
    """A file that is run: its absolute path, and the folder in which it is started."""

    path: str
    working: str


@dataclass(frozen=True, slots=True)
class Code:
    """What Python imports after ``-m`` and ``-c``, and the folder in which it is started."""

    imports: Imports
    working: str


@dataclass(frozen=True, slots=True)
class Scripts:
    """What a command runs."""

    files: tuple[Script, ...]
    missing: tuple[str, ...]
    """Absolute paths of scripts that do not exist, and of folders whose scripts are run."""
    code: tuple[Code, ...]
    unknown: tuple[str, ...] = ()
    """Commands that run a script whose name is computed."""


def scripts_of(arguments: str | Sequence[str], folder: str) -> Scripts:
    """Find what a command that starts in a folder names, be it a list of arguments or lines for the shell."""
    found = _Found()
    if isinstance(arguments, str):
        _Lines(folder, found).read(arguments)
    else:
        _read_arguments(list(arguments), folder, found)
    return Scripts(
        files=tuple(dict.fromkeys(found.files)),
        missing=tuple(dict.fromkeys(found.missing)),
        code=tuple(dict.fromkeys(found.code)),
        unknown=tuple(dict.fromkeys(found.unknown)),
    )


class _Found:
    def __init__(self) -> None:
        self.files: list[Script] = []
        self.missing: list[str] = []
        self.code: list[Code] = []
        self.unknown: list[str] = []


class _Lines:
    """Reads lines of shell: follows ``cd``, and variables and loops over what is written."""

    def __init__(self, folder: str, found: _Found) -> None:
        self._folder: str | None = folder
        """``None`` once nobody can tell."""
        self._found = found
        self._values: dict[str, list[str]] = {}
        self._texts: list[str] = []

    def read(self, lines: str) -> None:
        """Add what the lines run; a subshell returns to the folder it began in."""
        lines, self._texts = _without_heredocs(lines)
        outer: list[str | None] = []
        for words, separator in _commands(lines):
            self._read_command(words)
            for bracket in separator:
                if bracket == "(":
                    outer.append(self._folder)
                elif bracket == ")" and outer:
                    self._folder = outer.pop()

    def _read_command(self, words: list[str]) -> None:
        words = self._without_assignments(words)
        match words:
            case []:
                return
            case ["export" | "local" | "readonly" | "declare", *assignments]:
                self._read_command(assignments)
            case ["for", name, "in", *values]:
                self._values[name] = [found for value in values for found in self._expanded(value)]
            case ["cd" | "pushd", *places]:
                self._change_folder([place for place in places if place != "--"])
            case ["popd", *_]:
                self._folder = None
            case ["eval", *rest]:
                for text in self._expanded(" ".join(rest)):
                    self.read(text)
            case _:
                for command in self._alternatives(words):
                    self._start(command)

    def _without_assignments(self, words: list[str]) -> list[str]:
        """Note what is assigned before a command, and return the rest."""
        start = 0
        while start < len(words) and (words[start] in _PREFIXES or _ASSIGNMENT.fullmatch(words[start])):
            name, sign, value = words[start].partition("=")
            if sign:
                self._values[name] = self._expanded(value)
            start += 1
        return words[start:]

    def _alternatives(self, words: list[str]) -> list[list[str]]:
        """Return a command with its variables replaced: once for each value where a loop gives several."""
        most = max((len(values) for word in words for values in self._used(word)), default=1)
        if most <= 1:
            return [[self._expanded(word)[0] for word in words]]
        return [[_at(self._expanded(word), position) for word in words] for position in range(most)]

    def _used(self, word: str) -> list[list[str]]:
        return [self._values[name] for name in _names_in(word) if name in self._values]

    def _expanded(self, word: str) -> list[str]:
        """Return what a word can be; variables that are not known stay in it."""
        found = [word]
        for name in _names_in(word):
            if values := self._values.get(name):
                found = [
                    text.replace(f"${{{name}}}", value) if f"${{{name}}}" in text else _replaced(name, value, text)
                    for text in found
                    for value in values
                ]
        return found[:_MOST_VALUES]

    def _change_folder(self, places: list[str]) -> None:
        place = self._expanded(places[0])[0] if places else "~"
        if _is_computed(place) or place.startswith(("~", "-")):
            self._folder = None
        elif os.path.isabs(place):
            self._folder = os.path.normpath(place)
        elif self._folder is not None:
            self._folder = os.path.normpath(os.path.join(self._folder, place))

    def _start(self, words: list[str]) -> None:
        plain = [word for word in words if _HEREDOC not in word and word != "<<"]
        if len(plain) < len(words):
            for word in words:
                if word.startswith(_HEREDOC):
                    self._read_input(plain, self._texts[int(word.removeprefix(_HEREDOC))])
        if self._folder is not None:
            _read_arguments(plain, self._folder, self._found)
        elif any(_is_script(word, before, place) for place, (before, word) in enumerate(pairwise(["", *plain]))):
            self._found.unknown.append(" ".join(plain))

    def _read_input(self, words: list[str], text: str) -> None:
        """Read a text that a command gets as its input: code, if that is what the command reads."""
        program = os.path.basename(words[0]) if words else ""
        has_script = any(not word.startswith("-") for word in words[1:])
        if has_script or self._folder is None:
            return
        if program.startswith(("python", "pypy")):
            self._found.code.append(Code(imports_of(text), self._folder))
        elif program in _SHELLS:
            _Lines(self._folder, self._found).read(text)


_HEREDOC = "\N{OBJECT REPLACEMENT CHARACTER}"
_HEREDOC_START = re.compile(r"(?<![<])<<(?!<)(?P<indented>-?)[ \t]*(?P<quote>['\"\\]?)(?P<end>\w+)['\"]?")
_MOST_VALUES = 100
_SHELLS = frozenset({"bash", "sh", "dash", "zsh", "ksh"})
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def _replaced(name: str, value: str, text: str) -> str:
    return re.sub(rf"\${name}\b", lambda _: value, text)


def _names_in(word: str) -> list[str]:
    return list(dict.fromkeys(first or second for first, second in _VARIABLE.findall(word)))


def _at(values: list[str], position: int) -> str:
    return values[min(position, len(values) - 1)]


def _is_computed(word: str) -> bool:
    """Return whether only running tells what a word is."""
    return "$" in word or "`" in word or UNKNOWN in word


def _without_heredocs(lines: str) -> tuple[str, list[str]]:
    """Replace the bodies of here-documents by their numbers; return them as well."""
    if "<<" not in lines:
        return lines, []
    kept: list[str] = []
    bodies: list[str] = []
    rest = lines.split("\n")
    while rest:
        line = rest.pop(0)
        if line.lstrip().startswith("#"):
            continue
        waiting: list[re.Match[str]] = []

        def numbered(match: re.Match[str], waiting: list[re.Match[str]] = waiting) -> str:
            if not any(_ends(match, text) for text in rest):
                # a shift of bits, or text in quotes
                return match[0]
            waiting.append(match)
            return f" {_HEREDOC}{len(bodies) + len(waiting) - 1} "

        kept.append(_HEREDOC_START.sub(numbered, line))
        for match in waiting:
            body: list[str] = []
            while rest:
                text = rest.pop(0)
                if _ends(match, text):
                    break
                body.append(text)
            bodies.append("\n".join(body))
    return "\n".join(kept), bodies


def _ends(start: re.Match[str], line: str) -> bool:
    return (line.lstrip("\t") if start["indented"] else line) == start["end"]


def _commands(lines: str) -> list[tuple[list[str], str]]:
    """Split lines of shell into commands, each with what separates it from the next."""
    commands: list[tuple[list[str], str]] = []
    words: list[str] = []
    for word in [*_words(lines), "\n"]:
        if _SEPARATOR.fullmatch(word):
            commands.append((words, word))
            words = []
        else:
            words.append(word)
    return commands


def _words(lines: str) -> list[str]:
    lines = _QUOTED_OR_COMMENT.sub(lambda match: "" if match["comment"] else match[0], lines)
    lexer = shlex.shlex(lines, posix=True, punctuation_chars="();<>|&\n")
    lexer.commenters = ""
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return [word for line in lines.splitlines() for word in (*line.split(), "\n")]


def _read_arguments(words: list[str], folder: str, found: _Found) -> None:
    words = [
        word for before, word in pairwise(["", *words]) if not before.startswith(">") and not word.startswith(">")
    ]
    known = len(found.files) + len(found.code)
    is_unknown = words[:1] != ["$"] and any(_is_computed(word) for word in words[:1])
    for position, (before, word) in enumerate(pairwise(["", *words])):
        runs = any(_INTERPRETER.fullmatch(word) for word in words[:position])
        if before in {"-m", "-c"}:
            is_unknown |= runs and (_is_computed(word) if before == "-m" else word == UNKNOWN)
            _read_code(words[0], before, word, folder, found)
        elif _is_script(word, before, position):
            is_unknown |= runs and _is_computed(word)
            _add_script(word, folder, found)
        else:
            is_unknown |= _is_computed(word) and _INTERPRETER.fullmatch(before) is not None
    if words[:1] in (["xargs"], ["find"], ["parallel"]):
        is_unknown |= any(_INTERPRETER.fullmatch(word) for word in words[1:] if word != ".")
    if is_unknown and len(found.files) + len(found.code) == known:
        found.unknown.append(" ".join(words))
    if words[:1] in (["make"], ["gmake"]):
        paths = [os.path.join(folder, name) for name in _MAKEFILES]
        found.files += [Script(path, folder) for path in paths if os.path.isfile(path)][:1]
        found.missing += [path for path in paths if not os.path.exists(path)]


def _read_code(program: str, option: str, word: str, folder: str, found: _Found) -> None:
    """Add what follows ``-m`` or ``-c``."""
    if option == "-m":
        if not _is_computed(word):
            # a package is run by its `__main__`
            found.code.append(Code(Imports((Import(word, ("__main__",)),)), folder))
    elif _INTERPRETER.fullmatch(program) and "python" not in program and "pypy" not in program:
        _Lines(folder, found).read(word)
    else:
        found.code.append(Code(imports_of(word), folder))


def _add_script(word: str, folder: str, found: _Found) -> None:
    if _is_computed(word):
        return
    for path in _paths(os.path.normpath(os.path.join(folder, word)), found):
        if os.path.isfile(path):
            found.files.append(Script(path, folder))
        elif not os.path.isdir(path):
            found.missing.append(path)


def _paths(path: str, found: _Found) -> list[str]:
    """Return a path, or the files that it matches as a pattern: a file that joins its folder is one more."""
    if os.path.exists(path) or not any(character in path for character in "*?["):
        return [path]
    found.missing.append(os.path.dirname(path))
    return sorted(glob(path))


def _is_script(word: str, before: str, position: int) -> bool:
    """Whether a word names a script: by its ending, as an interpreter's first argument, or as a path."""
    if not word.isprintable():
        return False
    if word.endswith(SUFFIXES):
        return True
    if _INTERPRETER.fullmatch(before) and position == 1:
        return not word.startswith("-")
    return position == 0 and "/" in word and not os.path.isabs(word)
