"""The Python that a command runs, as its words tell: scripts, modules after ``-m`` and code after ``-c``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nbmake_dag_cache.imports import Import, Imports, imports_of


@dataclass(frozen=True, slots=True)
class Scripts:
    """Absolute paths of scripts that exist, and what else is imported, seen from the working directory."""

    files: tuple[str, ...]
    imports: Imports


def scripts_of(arguments: str | Sequence[str], folder: str) -> Scripts:
    """Find what a command that runs in a folder names, be it a list of arguments or a line for the shell."""
    words = _words(arguments) if isinstance(arguments, str) else arguments
    paths = (os.path.normpath(os.path.join(folder, word)) for word in words if word.endswith(".py"))
    # a package is run by its `__main__`
    modules = [Import(word, ("__main__",)) for before, word in pairwise(words) if before == "-m"]
    code = [imports_of(word) for before, word in pairwise(words) if before == "-c"]
    return Scripts(
        files=tuple(path for path in dict.fromkeys(paths) if os.path.isfile(path)),
        imports=Imports(
            modules=tuple(sorted({*modules, *(item for some in code for item in some.modules)})),
            folders=tuple(sorted({item for some in code for item in some.folders})),
        ),
    )


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return line.split()
