"""The local scripts that a command runs, from its arguments or its lines of shell: Python, shell and others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

import msgspec

from nbmake_dag.observe.arguments import (
    ASSIGNMENT,
    INTERPRETER,
    SHELLS,
    SUFFIXES,
    Code,
    Found,
    Place,
    Script,
    is_computed,
    read_arguments,
    without_redirections,
)
from nbmake_dag.observe.places import PathKind
from nbmake_dag.observe.shell import HEREDOC, commands, without_backticks, without_heredocs
from nbmake_dag_cache.imports import imports_of
from nbmake_dag_cache.started import UNKNOWN

_PREFIXES = frozenset(
    {"!", "{", "if", "then", "else", "elif", "while", "until", "do", "time", "exec", "env", "nohup"}
)
_OWN_FOLDER = re.compile(
    r"""\$\(\s*dirname\s+(?:--\s+)?"?\$\{?(?:0|BASH_SOURCE(?:\[0\])?)\}?"?\s*\)"""
    r"""|\$\{(?:0|BASH_SOURCE(?:\[0\])?)%/\*\}"""
)
_OWN_PATH = re.compile(
    r"""\$\(\s*(?:realpath|readlink -f)\s+(?:--\s+)?"?\$\{?(?:0|BASH_SOURCE(?:\[0\])?)\}?"?\s*\)"""
)
_ENTERED = re.compile(
    r"""\$\(\s*cd\s+(?:-P\s+)?(?:--\s+)?(?P<quote>"?)(?P<folder>/[^"\s$`]*)(?P=quote)\s*"""
    r"""(?:&?>\s*/dev/null\s*(?:2>&1\s*)?)?&&\s*pwd(?:\s+-P)?\s*\)"""
)


def with_own_folder(lines: str, folder: str) -> str:
    """Put the folder of a shell script in place of the usual ways in which it names that."""
    if "$" not in lines and "`" not in lines:
        return lines
    lines = _OWN_FOLDER.sub(lambda _: folder, _OWN_PATH.sub("$0", without_backticks(lines)))
    return _ENTERED.sub(lambda match: match["folder"], lines)


class Scripts(msgspec.Struct, frozen=True):
    """What a command runs."""

    files: tuple[Script, ...]
    missing: tuple[str, ...]
    """Absolute paths of scripts that do not exist, and of folders whose scripts are run."""
    code: tuple[Code, ...]
    unknown: tuple[str, ...] = ()
    """Commands that run a script whose name is computed."""
    kinds: Mapping[str, PathKind] = {}
    """What was at the absolute paths of which that decided how a word is read."""
    programs: Mapping[str, bool] = {}
    """Whether there was a program at those of which that did."""


def scripts_of(arguments: str | Sequence[str], folder: str) -> Scripts:
    """Find what a command that starts in a folder names, be it a list of arguments or lines for the shell."""
    found = Found()
    lines = _Lines(None if UNKNOWN in folder else folder, found)
    if isinstance(arguments, str):
        lines.read(arguments)
    else:
        lines.start(list(arguments))
    return Scripts(
        files=tuple(dict.fromkeys(found.files)),
        missing=tuple(dict.fromkeys(found.missing)),
        code=tuple(dict.fromkeys(found.code)),
        unknown=tuple(dict.fromkeys(found.unknown)),
        kinds=found.kinds,
        programs=found.programs,
    )


class _Lines:
    """Reads lines of shell: follows ``cd``, sourced files, and variables and loops over what is written."""

    def __init__(self, folder: str | None, found: Found, python_path: tuple[str, ...] = ()) -> None:
        self._folder = folder
        """``None`` once nobody can tell."""
        self._found = found
        self._python_path = python_path
        self._values: dict[str, list[str]] = {}
        self._texts: list[str] = []
        self._left: list[str | None] = []
        self._sourced: set[str] = set()

    def read(self, lines: str) -> None:
        """Add what the lines run; a subshell returns to the folder it began in."""
        lines, texts = without_heredocs(lines)
        outside, self._texts = self._texts, texts
        outer: list[str | None] = []
        source: list[str] = []
        for words, separator in commands(_PWD.sub("$PWD", lines)):
            self._read_command(words)
            if source:
                self._read_piped(source, words)
            source = words if separator in {"|", "|&"} else []
            for bracket in separator:
                if bracket == "(":
                    outer.append(self._folder)
                elif bracket == ")" and outer:
                    self._folder = outer.pop()
        self._texts = outside

    def _read_command(self, words: list[str]) -> None:
        words = self._without_assignments(words)
        match words:
            case []:
                return
            case ["export" | "local" | "readonly" | "declare", *assignments]:
                self._read_command(assignments)
            case ["for", name, "in", *values]:
                self._values[name] = [found for value in values for found in self._expanded(value)]
            case ["cd" | "pushd" as change, *places]:
                if change == "pushd":
                    self._left.append(self._folder)
                self._change_folder([place for place in places if place != "--"])
            case ["popd", *_]:
                self._folder = self._left.pop() if self._left else None
            case ["eval", *rest]:
                for text in self._expanded(" ".join(rest)):
                    self.read(text)
            case _:
                for command in self._alternatives(words):
                    self.start(command)

    def _without_assignments(self, words: list[str]) -> list[str]:
        """Note what is assigned before a command, and return the rest."""
        start = 0
        while start < len(words) and (words[start] in _PREFIXES or ASSIGNMENT.fullmatch(words[start])):
            name, sign, value = words[start].partition("=")
            if sign:
                if "$(" in value:
                    self.read(value)
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
        return [values for name in _names_in(word) if (values := self._value(name))]

    def _value(self, name: str) -> list[str]:
        if name == "PWD" and self._folder is not None:
            return [self._folder]
        return self._values.get(name, [])

    def _expanded(self, word: str) -> list[str]:
        """Return what a word can be; variables that are not known stay in it."""
        found = [word]
        for name in _names_in(word):
            if values := self._value(name):
                found = [
                    text.replace(f"${{{name}}}", value) if f"${{{name}}}" in text else _replaced(name, value, text)
                    for text in found
                    for value in values
                ]
        return found[:_MOST_VALUES]

    def _change_folder(self, places: list[str]) -> None:
        place = self._expanded(places[0])[0] if places else "~"
        if is_computed(place) or place.startswith(("~", "-")):
            self._folder = None
        elif os.path.isabs(place):
            self._folder = os.path.normpath(place)
        elif self._folder is not None:
            self._folder = os.path.normpath(os.path.join(self._folder, place))

    def start(self, words: list[str]) -> None:
        """Add what one command runs; its words are those that it gets."""
        plain = [word for word in words if HEREDOC not in word and word != "<<"]
        if len(plain) < len(words):
            for word in words:
                if word.startswith(HEREDOC):
                    self._read_input(plain, self._texts[int(word.removeprefix(HEREDOC))])
        if self._folder is not None:
            read_arguments(plain, self._place(self._folder, plain), self._found, _read_lines)
            self._source(plain)
        elif any(_may_be_script(word, before, at) for at, (before, word) in enumerate(pairwise(["", *plain]))):
            self._found.unknown.append(" ".join(plain))

    def _place(self, folder: str, words: Iterable[str]) -> Place:
        """Return where a command starts; ``env NAME=value`` and the like count for it alone."""
        written = (word.split("=", 1) for word in words if word.startswith(("PATH=", "PYTHONPATH=")))
        given = {name: self._expanded(value)[0] for name, value in written}
        known = {name: given.get(name) or next(iter(self._value(name)), "") for name in ("PATH", "PYTHONPATH")}
        folders = {
            name: tuple(
                os.path.normpath(os.path.join(folder, part))
                for part in value.split(":")
                if part and not is_computed(part)
            )
            for name, value in known.items()
        }
        return Place(folder, (*folders["PYTHONPATH"], *self._python_path), folders["PATH"])

    def _source(self, words: list[str]) -> None:
        """Go on with what a sourced file changes: variables, folders, what it starts."""
        if words[:1] not in (["."], ["source"]) or len(words) < 2 or self._folder is None:
            return
        path = os.path.normpath(os.path.join(self._folder, words[1]))
        if path not in self._sourced:
            self._sourced.add(path)
            with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
                self.read(with_own_folder(file.read(), os.path.dirname(path)))

    def _read_piped(self, source: list[str], words: list[str]) -> None:
        """Read what an interpreter gets from another command, if that is its script."""
        programs = [word for word in without_redirections(words) if not _PLAIN_OPTION.fullmatch(word)]
        if len(programs) != 1 or not INTERPRETER.fullmatch(programs[0]):
            return
        match source:
            case ["echo" | "printf", *texts]:
                self._read_input(words, " ".join(texts))
            case ["cat", *paths]:
                for path in paths:
                    self.start([programs[0], path])
            case _:
                self._found.unknown.append(" ".join([*source, "|", *words]))

    def _read_input(self, words: list[str], text: str) -> None:
        """Read a text that a command gets as its input: code, if that is what the command reads."""
        program = os.path.basename(words[0]) if words else ""
        has_script = any(not word.startswith("-") for word in words[1:])
        if has_script or self._folder is None:
            return
        if program.startswith(("python", "pypy")):
            place = self._place(self._folder, words)
            self._found.code.append(Code(imports_of(text), place.folder, place.python_path))
        elif program in SHELLS:
            _Lines(self._folder, self._found, self._python_path).read(text)


def _read_lines(lines: str, place: Place, found: Found) -> None:
    _Lines(place.folder, found, place.python_path).read(lines)


_MOST_VALUES = 100
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_PWD = re.compile(r"\$\(\s*pwd\s*\)|`pwd`")
_PLAIN_OPTION = re.compile(r"-(?![cm]$).*")


def _replaced(name: str, value: str, text: str) -> str:
    return re.sub(rf"\${name}\b", lambda _: value, text)


def _names_in(word: str) -> list[str]:
    return list(dict.fromkeys(first or second for first, second in _VARIABLE.findall(word))) if "$" in word else []


def _at(values: list[str], position: int) -> str:
    return values[min(position, len(values) - 1)]


def _may_be_script(word: str, before: str, position: int) -> bool:
    """Return whether a word can name a script, going by its text and place alone."""
    if word.endswith(SUFFIXES):
        return True
    if INTERPRETER.fullmatch(before) and position == 1:
        return not word.startswith("-")
    return position == 0 and "/" in word and not os.path.isabs(word)
