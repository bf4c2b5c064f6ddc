"""The notebooks of a folder, found without importing or running anything."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from nbmake_dag.observe.kernels import command_of, kernelspecs, may_be_program
from nbmake_dag_cache.notebook import NotebookSource, UnreadableNotebookError, read_notebook

_ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})
_SCRIPTS = (".py", ".R", ".r", ".jl")
_DOCUMENTS = (".md", ".qmd", ".Rmd")
_PERCENT = re.compile(rb"^# %%", re.MULTILINE)
_HEADER = re.compile(
    rb"\A(?:#!.*\n)?(?:# )?---\r?\n(?:(?!(?:# )?---\r?$).*\n)*?(?:# )?(?:jupyter|jupytext|kernelspec):",
    re.MULTILINE,
)
"""The beginning of a text that names its kernel, or its format of Jupytext; that of MyST names them one by one."""
_CHUNK = re.compile(rb"^```+ *\{ *\w", re.MULTILINE)
"""Code that knitr and Quarto execute."""
KINDS = (
    "a notebook is an .ipynb file, a script (.py, .R, .jl) with cells that begin with `# %%`, an .Rmd or .qmd file"
    " with code to execute, or a text with a header of Jupytext"
)


class FoundNotebook(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook; ``path`` is relative to the folder, POSIX."""

    path: str
    source: NotebookSource


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, by path, and a sentence about each file that looks like a notebook and cannot be read."""

    notebooks: tuple[FoundNotebook, ...]
    unreadable: tuple[str, ...]


def discover(root: str) -> Discovery:
    """Look for ``.ipynb`` files and texts of Jupytext below a folder; of a pair of both, the text counts."""
    notebooks: dict[str, FoundNotebook] = {}
    unreadable: list[str] = []
    for path in sorted(_candidates(root), key=_texts_last):
        with open(os.path.join(root, path), "rb") as file:
            data = file.read()
        if not _looks_like_notebook(path, data):
            continue
        try:
            notebooks[os.path.splitext(path)[0]] = FoundNotebook(path=path, source=read_notebook(data, path))
        except UnreadableNotebookError as error:
            unreadable.append(str(error))
    return Discovery(notebooks=tuple(notebooks.values()), unreadable=tuple(unreadable))


def _texts_last(path: str) -> tuple[str, bool, str]:
    stem, extension = os.path.splitext(path)
    return stem, extension != ".ipynb", path


def _looks_like_notebook(path: str, data: bytes) -> bool:
    """Tell notebooks from other scripts and documents: by cells, by code to execute, or by a header."""
    if path.endswith(".ipynb"):
        return True
    if path.endswith(_SCRIPTS) and _PERCENT.search(data):
        return True
    if path.endswith((".Rmd", ".qmd")) and _CHUNK.search(data):
        return True
    return _HEADER.match(data) is not None


def installed_kernels() -> dict[str, str]:
    """Return the language of each kernel of this machine, in lower case, by its name; ``python`` is an alias."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel  # noqa: PLC0415 - takes 0.2 s
    from traitlets import TraitError  # noqa: PLC0415 - likewise

    manager = KernelSpecManager()
    kernels: dict[str, str] = {}
    for name in kernelspecs(manager):
        # one that is damaged, or starts a program that is gone, is as good as none
        with suppress(NoSuchKernel, OSError, ValueError, TypeError, AttributeError, LookupError, TraitError):
            spec = manager.get_kernel_spec(name)
            if _is_there(command_of(spec.argv, spec.resource_dir)[0], spec.env.get("PATH")):
                kernels[name] = str(spec.language).lower()
    return {**({"python": "python"} if "python" in kernels.values() else {}), **kernels}


def _is_there(program: str, path: str | None) -> bool:
    """Return whether what a kernelspec starts may be found; ``path`` is the ``PATH`` that it sets."""
    if os.path.dirname(program):
        return not os.path.isabs(program) or may_be_program(program)
    return path is not None or shutil.which(program) is not None


def _candidates(root: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        if not _ENVIRONMENT_MARKS.isdisjoint((*folders, *names)):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for name in names:
            is_test = name.startswith("test_") or name == "conftest.py"
            if name.endswith((".ipynb", *_SCRIPTS, *_DOCUMENTS)) and not name.startswith(".") and not is_test:
                yield os.path.relpath(os.path.join(folder, name), root)
