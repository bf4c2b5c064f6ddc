"""Note which local scripts Python starts as processes, by an audit hook; they are listed as modules are.

A script counts where an argument names it: by its ending, or as an executable file. What a started process starts
in turn is not seen.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from nbmake_dag.inside.imports import Imports
from nbmake_dag.inside.repository import Repository
from nbmake_dag.inside.stream import append

_SUFFIXES = (".py", ".sh", ".bash", ".zsh", ".ksh", ".R", ".r", ".jl", ".pl", ".rb", ".js", ".mjs", ".lua")


class StartedScripts:
    """The local scripts that were started so far."""

    def __init__(self, repository: Repository, imports: Imports) -> None:
        self._repository = repository
        self._imports = imports

    def watch(self) -> None:
        """Install the hook, for the rest of the process; it also tells ``imports`` which folders are listed."""
        note_listing = self._imports.note_listing

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            try:
                if event == "subprocess.Popen":
                    executable, words, folder, _ = arguments
                    self._note([executable, *([words] if isinstance(words, (str, bytes)) else words)], folder)
                elif event == "os.system":
                    self._note([arguments[0]], None)
                elif event in {"os.exec", "os.posix_spawn"}:
                    self._note([arguments[0], *arguments[1]], None)
                elif event in {"os.listdir", "os.scandir"}:
                    note_listing(arguments[0])
            except Exception:  # noqa: BLE001, S110  # an error here would be raised in the user's code
                pass

        sys.addaudithook(hook)

    def _note(self, arguments: list[Any], folder: Any) -> None:
        root = os.environ["NBDAG_ROOT"]
        place = os.fsdecode(folder) if folder else os.getcwd()
        named = [os.path.join(place, word) for item in arguments if item for word in _words(os.fsdecode(item))]
        found = {path for name in named if _is_script(name) and (path := self._repository.locate(name))}
        if found:
            paths = sorted(os.path.relpath(path, root) for path in found)
            append({"kind": "modules", "paths": paths, "started": paths})


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
