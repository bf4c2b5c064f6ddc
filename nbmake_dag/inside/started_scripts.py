"""Note which local scripts Python starts as processes, by an audit hook; they are listed as modules are.

A script counts where an argument names it: by its ending, or as an executable file. What a started process starts
in turn is not seen: the command is noted as well, for a reader of scripts.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from nbmake_dag.inside.given import given
from nbmake_dag.inside.imports import Imports
from nbmake_dag.inside.repository import Repository
from nbmake_dag.inside.stream import append

_LONGEST = 1 << 16
"""Characters of a command that is noted; a longer one is hardly a person's."""
_MOST = 10_000
"""Commands that are noted."""
_SUFFIXES = (".py", ".sh", ".bash", ".zsh", ".ksh", ".R", ".r", ".jl", ".pl", ".rb", ".js", ".mjs", ".lua")


class StartedScripts:
    """The local scripts that were started so far."""

    def __init__(self, repository: Repository, imports: Imports) -> None:
        self._repository = repository
        self._imports = imports
        self._noted: set[tuple[str, tuple[str, ...], str]] = set()

    def watch(self) -> None:
        """Install the hook, for the rest of the process; it also tells ``imports`` which folders are listed."""
        note_listing = self._imports.note_listing

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            try:
                if event == "subprocess.Popen":
                    executable, words, folder, env = arguments
                    words = [words] if isinstance(words, (str, bytes, os.PathLike)) else list(words)
                    self._note([executable or words[0], *words[1:]], folder, env)
                elif event == "os.system":
                    self._note(["sh", "-c", arguments[0]], None, None)
                elif event in {"os.exec", "os.posix_spawn"}:
                    self._note([arguments[0], *list(arguments[1])[1:]], None, arguments[2])
                elif event in {"os.listdir", "os.scandir"}:
                    note_listing(arguments[0])
            except Exception:  # noqa: BLE001, S110  # an error here would be raised in the user's code
                pass

        sys.addaudithook(hook)

    def _note(self, arguments: list[Any], folder: Any, env: Any) -> None:
        root = given("NBDAG_ROOT")
        place = os.path.abspath(os.fsdecode(folder)) if folder else os.getcwd()
        words = [os.fsdecode(item) for item in arguments if item]
        named = [os.path.join(place, word) for item in words for word in _words(item)]
        found = {path for name in named if _is_script(name) and (path := self._repository.locate(name))}
        paths = sorted(os.path.relpath(path, root) for path in found)
        if paths:
            append({"kind": "modules", "paths": paths, "started": paths})
        command = (
            self._place(place, root),
            tuple(self._named_from(place, word) for word in words),
            _python_path(env),
        )
        if command not in self._noted and len(self._noted) < _MOST and sum(map(len, words)) <= _LONGEST:
            self._noted.add(command)
            append({"kind": "modules", "paths": [], "commands": [command]})

    def _place(self, folder: str, root: str) -> str:
        """Return a folder of the repository relative to the root, wherever this copy of it lies."""
        inside = self._repository.locate(os.path.join(folder, "_"))
        return os.path.relpath(os.path.dirname(inside), root) if inside else folder

    def _named_from(self, folder: str, word: str) -> str:
        """Return an absolute path of the repository relative to a folder of it, and all else as it is."""
        path = self._repository.locate(word) if os.path.isabs(word) else None
        above = self._repository.locate(os.path.join(folder, "_"))
        return os.path.relpath(path, os.path.dirname(above)) if path and above else word


def _python_path(env: Any) -> str:
    given = os.environ if env is None else {os.fsdecode(name): os.fsdecode(env[name]) for name in env}
    return given.get("PYTHONPATH", "")


def _is_script(path: str) -> bool:
    return os.path.isfile(path) and (path.endswith(_SUFFIXES) or os.access(path, os.X_OK))


def _words(argument: str) -> Iterator[str]:
    """Yield an argument, and its words, as it may be a line for the shell, but for what it redirects to."""
    yield argument
    lexer = shlex.shlex(argument, posix=True, punctuation_chars=True)
    lexer.commenters = ""
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        words = argument.split()
    before = ""
    for word in words:
        if not before.startswith(">"):
            yield word
        before = word
