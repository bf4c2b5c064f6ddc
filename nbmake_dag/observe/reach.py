"""What code reaches by importing and starting, and how far a search for it has come."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from nbmake_dag.observe.arguments import SUFFIXES, Script
from nbmake_dag_cache.computed_imports import WholeFolder, WholePackage
from nbmake_dag_cache.imports import Imports
from nbmake_dag_cache.started import UNKNOWN

_MOST_PLACES = 8
"""Folders in which one script is followed: a script may start itself, each time one folder further down."""
_WORD = re.compile(r"[\w.\-*?\[\]]+")


class Code(msgspec.Struct, frozen=True):
    """Code whose imports are to be followed."""

    imports: Imports
    folder: str
    """That of the code."""
    working: str
    """That in which it runs."""
    path: tuple[str, ...]
    """Its import path before where packages are installed."""
    path_after: tuple[str, ...] = ()
    """Its import path after that."""
    package: str | None = None
    """The folder of the package that it belongs to."""
    is_traced: bool = False
    """Its process notes what it imports and starts, so that computed names need not be guessed."""
    python_path: tuple[str, ...] = ()
    """Folders from which all that it starts imports."""


class Reached(msgspec.Struct, frozen=True):
    """What some code reaches, directly or indirectly."""

    paths: tuple[str, ...]
    """The absolute paths of all local modules and scripts, sorted."""
    names: tuple[str, ...]
    """All names by which modules and scripts are mentioned, also those that mean no file here, if asked for."""
    unknown: tuple[str, ...]
    """Commands that start a script whose name is computed, where no run notes it."""
    is_opaque: bool
    """Some of the code imports or starts computed names, or is in another language."""


shared_reached = lru_cache(maxsize=1024)(Reached)
"""Makes what some code reaches once for all code that reaches the same: most commands reach nothing."""


class Search:
    """What a search has found so far; ``named``: also the names that mean no file."""

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self.scripts: set[str] = set()
        self.names: set[str] = set()
        self.unknown: list[str] = []
        self.is_opaque = False
        self._followed: dict[str, set[str]] = {}

    def note(self, code: Code) -> None:
        if self._named:
            self.names.update(names_in(code.imports, code.package or code.folder))
        imports = code.imports
        self.is_opaque |= imports.computed or imports.opaque or _starts_pattern(imports)
        self.is_opaque |= any(map(_leads_up, imports.listed))

    def note_unknown(self, commands: tuple[str, ...], code: Code) -> None:
        """Note commands; where a run notes what is started, those stay unknown that a shell computes."""
        self.is_opaque |= bool(commands)
        self.unknown += [command for command in commands if not (code.is_traced and UNKNOWN in command)]

    def is_new(self, script: Script) -> bool:
        """Note a script, and return whether it is to be followed: once in each folder that it is started in."""
        self.scripts.add(script.path)
        places = self._followed.setdefault(script.path, set())
        if script.working in places or len(places) >= _MOST_PLACES:
            return False
        places.add(script.working)
        return True


def _leads_up(item: WholePackage | WholeFolder) -> bool:
    """Return whether a folder has no name in the code."""
    if isinstance(item, WholePackage):
        return item.level > 1 and not item.module
    return item.base == "working" and os.path.normpath(item.path).endswith(".")


def names_in(imports: Imports, folder: str) -> Iterator[str]:
    """Yield the names of modules, folders and files that code mentions where it imports and starts.

    With a slash at its end: of a folder whose every module may be meant; ``folder`` is that of the code.
    """
    for module in imports.modules:
        yield from (*module.module.split("."), *module.names)
    for item in imports.listed:
        parts = item.module.split(".") if isinstance(item, WholePackage) else item.path.split("/")
        named = [part for part in parts if part not in {"", ".", ".."}]
        yield from named
        yield f"{named[-1] if named else os.path.basename(folder)}/"
    for added in imports.folders:
        yield from added.path.split("/")
    for place in imports.python_path:
        yield from place.text.split("/")
    for words in _words_of(imports):
        yield from words
        if "-m" in words:
            yield from (part for word in words for part in word.split("."))


def _words_of(imports: Imports) -> Iterator[list[str]]:
    """Yield the words of each command that is started, or may be, paths taken apart."""
    yield from (_WORD.findall(text) for text in imports.named)
    for command in imports.commands:
        words = command.arguments
        texts = (words,) if isinstance(words, str) else (word.text for word in words)
        yield [word for text in texts for word in _WORD.findall(text)]


def _starts_pattern(imports: Imports) -> bool:
    """Return whether scripts are started that match a pattern."""
    return any("*" in word and word.endswith(SUFFIXES) for words in _words_of(imports) for word in words)
