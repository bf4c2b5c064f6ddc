"""Declared paths: relative to ``pipeline.toml``, POSIX, normalised, in Unicode's form C."""

from __future__ import annotations

import posixpath
import re
import unicodedata

from nbmake_dag.core.globs import is_glob, unescaped
from nbmake_dag.core.model import ProjectPath

_PLAIN = re.compile(r"[A-Za-z0-9_][\w.-]*(?:/[A-Za-z0-9_][\w.-]*)*/?", re.ASCII)
_PRIVATE = frozenset({".git", ".nbdag"})


class PathError(ValueError):
    """A path cannot be declared; ``what`` goes on from "the path …"."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint


def read_path(text: str) -> ProjectPath:
    """Normalise a path that is only read; it may be outside the project."""
    if len(text) < 200 and _PLAIN.fullmatch(text):
        return ProjectPath(text)
    if fault := _fault(text):
        raise PathError(*fault)
    path = posixpath.normpath(unicodedata.normalize("NFC", text))
    if fault := _fault(path):
        raise PathError(*fault)
    if not _PRIVATE.isdisjoint(path.casefold().split("/")):
        raise PathError("is inside a folder that belongs to git or nbdag")
    if text.endswith(("/", "/.", "/..")) or text in {".", ".."}:
        path += "/"
    return ProjectPath(path)


def read_pattern(text: str) -> ProjectPath:
    """Normalise a path or glob: ``*``, ``?``, ``[...]``, and ``**`` for any number of folders."""
    if not is_glob(text):
        return read_path(unescaped(text))
    path = read_path(text)
    magic = False
    for part in text.split("/"):
        if part == ".." and magic:
            raise PathError("goes up after a wildcard")
        if "**" in part and part != "**":
            raise PathError(
                "joins `**` with other text", "`**` stands alone between slashes, as in `data/**/*.csv`"
            )
        if "[" in re.sub(r"\[(?:\[|!?[^\[\]]+)\]", "", part):
            raise PathError("has a `[` that is not closed", "`[ab]` matches one of the characters in it")
        magic = magic or is_glob(part)
    return path


def written_path(text: str) -> ProjectPath:
    """Normalise a path that a task writes: inside the project, and no glob."""
    if is_glob(text):
        raise PathError(
            "is a glob, and what a task writes is declared file by file",
            "for many files, declare their folder with a `/` at its end; `[*]`, `[?]`, `[[]` are the characters",
        )
    path = read_path(unescaped(text))
    if path == "./" or path.startswith("../"):
        raise PathError("is not inside the project", "a task writes below the folder of pipeline.toml")
    return path


def written_notebook(text: str) -> ProjectPath:
    """Normalise the path of a copy of an executed notebook."""
    path = written_path(text)
    if path.endswith("/"):
        raise PathError("is a folder", "name the file in it")
    if not path.endswith((".ipynb", ".html")):
        raise PathError("is neither `.ipynb` nor `.html`", "name one of them")
    return path


def folded(path: str) -> str:
    """Fold what some file systems do not distinguish: case, and the forms of Unicode."""
    bare = path.rstrip("/")
    return (
        bare.lower()
        if bare.isascii()
        else unicodedata.normalize("NFC", unicodedata.normalize("NFC", bare).casefold())
    )


def _fault(text: str) -> tuple[str, str] | None:
    if not text:
        return "is empty", ""
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in text):
        return "holds a line break or a control character", ""
    if "://" in text:
        return "is a URL", "let a task without inputs fetch it"
    if text.startswith("/"):
        return "is absolute", "write it relative to pipeline.toml"
    if text.startswith("~"):
        return "begins with `~`, which is not expanded", "write it relative to pipeline.toml"
    if "\\" in text:
        return "holds a backslash", "separate folders with `/`"
    if any(len(part.encode()) > 255 for part in text.split("/")):
        return "has a part of more than 255 bytes", ""
    return None
