"""The local scripts that the words of one command name, from its arguments as it gets them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from fnmatch import fnmatch
from glob import glob
from itertools import pairwise
from typing import TypeAlias

import msgspec

from nbmake_dag.observe.places import PathKind, is_program, kind_of
from nbmake_dag.observe.shell import commands
from nbmake_dag_cache.computed_imports import Import, WholeFolder
from nbmake_dag_cache.imports import Imports, imports_of
from nbmake_dag_cache.started import SCRIPT_SUFFIXES, UNKNOWN

SUFFIXES = SCRIPT_SUFFIXES
LESS_USUAL = (
    ".ipynb",
    ".qmd",
    ".Rmd",
    ".fish",
    ".csh",
    ".tcl",
    ".php",
    ".ts",
    ".sql",
    ".awk",
    ".sed",
    ".m",
    ".smk",
)
"""What the names of files with code end with besides; they count where a command names them."""
INTERPRETER = re.compile(
    r"(?:.*/)?(?:python[\d.]*|pypy[\d.]*|bash|sh|dash|zsh|ksh|source|\.|Rscript|julia|perl|ruby|node|lua)"
)
SHELLS = frozenset({"bash", "sh", "dash", "zsh", "ksh"})
ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
_WRAPPERS = frozenset({"command", "env", "exec", "ionice", "nice", "nohup", "setsid", "stdbuf", "time", "timeout"})
"""Programs that start what their arguments name."""
_OPTION_OR_TIME = re.compile(r"-.*|[\d.]+[smhd]?")
_TESTERS = frozenset({"pytest", "py.test", "unittest"})
_MAKES = frozenset({"make", "gmake"})
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_MAKE_OPTION = re.compile(r"(-C|-f|--directory|--file|--makefile)(.*)")
_TAKE_PROGRAM_FILES = frozenset({"awk", "gawk", "mawk", "nawk", "sed"})
_ATTACHED_MODULE = re.compile(r"-[bBdEiIOPqRsSuvx]*m([\w.]+)")
_EXPRESSION = re.compile(r"-\w*e")
_HAS_COMMANDS = re.compile(r"""\s|[(\"']""")
_PYTHON_OPTION = re.compile(r"-[bBdEiIOPqRsSuvx]*([mc])")
_SHELL_OPTION = re.compile(r"-\w*(c)")


class Script(msgspec.Struct, frozen=True):
    """A file that is run: its absolute path, and the folder in which it is started."""

    path: str
    working: str
    python_path: tuple[str, ...] = ()
    """Folders from which it imports besides its own."""


class Code(msgspec.Struct, frozen=True):
    """What Python imports after ``-m`` and ``-c``, and the folder in which it is started."""

    imports: Imports
    working: str
    python_path: tuple[str, ...] = ()


class Found(msgspec.Struct):
    """What was found so far, as `Scripts` of `nbmake_dag.observe.scripts` has it."""

    files: list[Script] = []
    missing: list[str] = []
    code: list[Code] = []
    unknown: list[str] = []
    kinds: dict[str, PathKind] = {}
    programs: dict[str, bool] = {}

    def kind(self, path: str) -> PathKind:
        """Return what is at an absolute path, and note that it decided how a word is read."""
        if path not in self.kinds:
            self.kinds[path] = kind_of(path)
        return self.kinds[path]

    def is_program(self, path: str) -> bool:
        """Whether a program is at an absolute path; notes that this decided how a word is read."""
        if path not in self.programs:
            self.programs[path] = is_program(path)
        return self.programs[path]

    @property
    def count(self) -> int:
        return len(self.files) + len(self.code)


class Place(msgspec.Struct, frozen=True):
    """Where a command starts."""

    folder: str
    python_path: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    """Folders in which programs are looked for first."""

    def absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.folder, path))


ReadLines: TypeAlias = Callable[[str, Place, Found], None]
"""Adds what lines of shell run."""


def is_computed(word: str) -> bool:
    """Return whether only running tells what a word is."""
    return "$" in word or "`" in word or UNKNOWN in word


def read_arguments(words: list[str], place: Place, found: Found, read_lines: ReadLines) -> None:
    """Add what a command runs; ``read_lines`` reads what it hands to a shell."""
    words = _unwrapped(without_redirections(words))
    reader = _Arguments(words, place, found, read_lines)
    known = found.count
    for position in range(len(words)):
        reader.read(position)
    if reader.runs_tests:
        _read_tests(words, place, found)
    if words[:1] == ["find"] and reader.takes_found:
        _read_found(words, place, found)
    elif words[:1] in (["xargs"], ["parallel"]):
        reader.is_unknown |= reader.takes_found or reader.waits
    if reader.is_unknown or (reader.is_program_unknown and found.count == known):
        found.unknown.append(" ".join(words))
    if words and os.path.basename(words[0]) in _MAKES:
        _read_make(words, place, found)


def without_redirections(words: list[str]) -> list[str]:
    """Leave out the files that a command writes to."""
    return [
        word for before, word in pairwise(["", *words]) if not before.startswith(">") and not word.startswith(">")
    ]


def _unwrapped(words: list[str]) -> list[str]:
    """Leave out assignments and programs that only start another one, with their options."""
    start = 0
    while start < len(words) and (
        os.path.basename(words[start]) in _WRAPPERS
        or ASSIGNMENT.fullmatch(words[start])
        or (start and _OPTION_OR_TIME.fullmatch(words[start]))
    ):
        start += 1
    return words[start:]


class _Arguments:
    """Reads the words of one command in their order."""

    def __init__(self, words: list[str], place: Place, found: Found, read_lines: ReadLines) -> None:
        self._words = words
        self._place = place
        self._found = found
        self._read_lines = read_lines
        self._interpreter = ""
        """The last one that was named."""
        self.waits = False
        """Its script has not come yet."""
        self.takes_found = False
        """Its script is what `find` or `xargs` hands it."""
        self.runs_tests = any(os.path.basename(word) in _TESTERS for word in words[:1])
        self.is_unknown = False
        self.is_program_unknown = words[:1] != ["$"] and any(map(is_computed, words[:1]))

    def read(self, position: int) -> None:
        """Add what a word names."""
        word, before = self._words[position], self._words[position - 1] if position else ""
        if option := _code_option(before, self._interpreter):
            self._read_code(option, word)
        elif not (self.waits and self._is_taken(position)):
            self._read_word(position)
        if INTERPRETER.fullmatch(word) and (position == 0 or word not in {".", "source"}):
            self._interpreter, self.waits = word, True

    def _is_taken(self, position: int) -> bool:
        """Read a word before the script of an interpreter as its option, or as the script."""
        word = self._words[position]
        if (module := _ATTACHED_MODULE.fullmatch(word)) and _is_python(self._interpreter):
            self._read_code("m", module[1])
        elif word == "<":
            # the file that follows is read as its script
            return True
        elif word.startswith("-"):
            self.waits = word != "-" and not (_EXPRESSION.fullmatch(word) and self._takes_expressions)
        elif self._is_its_script(position):
            self.waits = False
        else:
            return False
        return True

    def _read_word(self, position: int) -> None:
        word, before = self._words[position], self._words[position - 1] if position else ""
        takes_program = before == "-f" and os.path.basename(self._words[0]) in _TAKE_PROGRAM_FILES
        if _HAS_COMMANDS.search(word) and not self._kind(word):
            self._read_quoted(word)
        elif word.startswith("-") and self._names_script(value := word.partition("=")[2]):
            self._add(value)
        elif takes_program or self._names_script(word):
            self._add(word)
        elif position == 0:
            self._add_program(word)

    def _names_script(self, word: str) -> bool:
        return word.endswith((*SUFFIXES, *LESS_USUAL)) or self._is_program(word)

    @property
    def _takes_expressions(self) -> bool:
        return not _is_python(self._interpreter) and os.path.basename(self._interpreter) not in SHELLS

    def _is_its_script(self, position: int) -> bool:
        """Add the script of an interpreter: its first argument, or the value of an option before that."""
        word = self._words[position]
        if word == "{}":
            self.takes_found = True
            return True
        is_first = INTERPRETER.fullmatch(self._words[position - 1]) is not None
        if is_computed(word):
            following = self._words[position + 1] if position + 1 < len(self._words) else ""
            # else it may be options
            self.is_unknown |= not (following and self._kind(following) == "file")
            return True
        kind = self._kind(word)
        if kind == "folder":
            if _is_python(self._interpreter):
                self._add(os.path.join(word, "__main__.py"))
            return is_first
        if is_first or kind == "file" or word.endswith(SUFFIXES):
            self._add(word)
            return True
        return False

    def _is_program(self, word: str) -> bool:
        return "/" in word and not is_computed(word) and self._found.is_program(self._place.absolute(word))

    def _kind(self, word: str) -> PathKind:
        return self._found.kind(self._place.absolute(word))

    def _add_program(self, word: str) -> None:
        """Add a program by its path, or one that is found on a ``PATH`` of the command's own."""
        if "/" in word:
            if not os.path.isabs(word):
                self._add(word)
            return
        for folder in self._place.programs:
            path = os.path.join(folder, word)
            if os.path.isfile(path):
                self._found.files.append(Script(path, self._place.folder, self._place.python_path))
                return
            self._found.missing.append(path)

    def _add(self, word: str) -> None:
        if is_computed(word):
            return
        for path in _paths(self._place.absolute(word), self._found):
            if os.path.isfile(path):
                self._found.files.append(Script(path, self._place.folder, self._place.python_path))
            elif not os.path.isdir(path):
                self._found.missing.append(path)

    def _read_code(self, option: str, word: str) -> None:
        """Add what follows ``-m`` or ``-c``."""
        self.waits = False
        place = self._place
        if option == "m":
            if is_computed(word):
                self.is_unknown |= bool(self._interpreter)
                return
            # a package is run by its `__main__`
            self._found.code.append(Code(Imports((Import(word, ("__main__",)),)), place.folder, place.python_path))
            self.runs_tests |= word in _TESTERS
        elif self._interpreter and not _is_python(self._interpreter):
            self._read_lines(word, place, self._found)
        else:
            self.is_unknown |= bool(self._interpreter) and word == UNKNOWN
            self._found.code.append(Code(imports_of(word), place.folder, place.python_path))

    def _read_quoted(self, word: str) -> None:
        """Add the scripts in a word that a program may take for lines of shell; a pattern with a quote is none."""
        if commands(word)[0][0] == [word]:
            return
        inside = Found()
        self._read_lines(word, self._place, inside)
        self._found.files += inside.files
        self._found.code += inside.code
        self._found.kinds |= inside.kinds
        self._found.programs |= inside.programs


def _code_option(word: str, interpreter: str) -> str:
    """Return ``m`` or ``c`` where a word says that a module or code follows."""
    shells = os.path.basename(interpreter) in SHELLS
    found = (_SHELL_OPTION if shells else _PYTHON_OPTION).fullmatch(word)
    return found[1] if found and (interpreter or word in {"-m", "-c"}) else ""


def _is_python(interpreter: str) -> bool:
    return os.path.basename(interpreter).startswith(("python", "pypy"))


def _read_found(words: list[str], place: Place, found: Found) -> None:
    """Add the scripts that ``find`` hands to an interpreter: those whose names match."""
    tops = [place.absolute(top) for top in _until_option(words[1:])] or [place.folder]
    patterns = [word for before, word in pairwise(words) if before in {"-name", "-iname"}]
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name not in {".git", ".nbdag"}]
            found.missing.append(folder)
            found.files += [
                Script(os.path.join(folder, name), place.folder, place.python_path)
                for name in sorted(names)
                if any(fnmatch(name, pattern) for pattern in patterns or ["*"])
            ]


def _read_tests(words: list[str], place: Place, found: Found) -> None:
    """Add all modules in the folders of tests: where none is named, in the one that it starts in."""
    named = [word for word in words[1:] if found.kind(place.absolute(word)) == "folder"]
    is_all = not named and not any(".py" in word for word in words)
    listed = tuple(WholeFolder("working", folder) for folder in named or (["."] if is_all else []))
    found.code.append(Code(Imports(listed=listed), place.folder, place.python_path))


def _until_option(words: list[str]) -> list[str]:
    end = next((at for at, word in enumerate(words) if word.startswith(("-", "!"))), len(words))
    return words[:end]


def _read_make(words: list[str], place: Place, found: Found) -> None:
    """Add the file that make reads, and the folder in which it runs its recipes."""
    folder, named = place.folder, list[str]()
    for word, following in pairwise([*words, ""]):
        if option := _MAKE_OPTION.fullmatch(word):
            value = option[2].removeprefix("=") or following
            if option[1] in {"-C", "--directory"}:
                folder = os.path.normpath(os.path.join(folder, value))
            else:
                named.append(value)
    paths = [os.path.normpath(os.path.join(folder, name)) for name in named or _MAKEFILES]
    there = [Script(path, folder, place.python_path) for path in paths if os.path.isfile(path)]
    found.files += there if named else there[:1]
    found.missing += [path for path in paths if not os.path.exists(path)]


def _paths(path: str, found: Found) -> list[str]:
    """Return a path, or the files that it matches as a pattern: a file that joins its folder is one more."""
    if os.path.exists(path) or not any(character in path for character in "*?["):
        return [path]
    found.missing.append(os.path.dirname(path))
    return sorted(glob(path))
