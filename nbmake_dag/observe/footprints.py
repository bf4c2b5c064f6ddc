"""The files that decide a task, by the real paths that git has, and the names that its code mentions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from nbmake_dag.core.affected import Footprint
from nbmake_dag.core.globs import static_prefix
from nbmake_dag.core.model import Input, Notebook, Task
from nbmake_dag.observe.arguments import SUFFIXES
from nbmake_dag.observe.places import trail
from nbmake_dag.observe.survey import Survey

_MODULES = (".py", ".pyw", ".pyx", ".pyd", ".so", ".zip", ".egg", ".pth", ".ipynb", ".ipy", ".mk")
_INIT = "__init__.py"
_NEVER = frozenset({".git", ".nbdag"})


class Footprints:
    """Makes the footprint of each task; ``files`` are the absolute paths of all that git knows, or may add."""

    def __init__(self, survey: Survey, files: Iterable[str]) -> None:
        self._survey = survey
        self._root = survey.project.root
        self._mentions: dict[str, list[str]] = {}
        for path in files:
            if path.endswith(SUFFIXES):
                for name in names_of(path):
                    self._mentions.setdefault(name, []).append(path)

    def of(self, task: Task) -> Footprint:
        """Return what a task depends on."""
        reached = self._survey.reach.of(task)
        external = self._survey.graph.external[task.name]
        files = self._survey.files_of(task)
        known = {os.path.join(self._root, path) for path in files}
        kernels = self._survey.kernel_folders if isinstance(task.work, Notebook) else ()
        passed = {step for path in (*files, *kernels) for step in trail(os.path.join(self._root, path))}
        folders = {folder for item in external for folder in self._folders(item)}
        passed |= {step for folder in folders for step in trail(os.path.join(self._root, folder))}
        return Footprint(
            files=frozenset(map(self._relative, passed)),
            inputs=external,
            links=tuple((link, real) for link in sorted(folders) if link and (real := self._real(link)) != link),
            names=_texts_of(task) | self._names(self._survey.reach.named_by(task), known),
            is_opaque=reached.is_opaque,
        )

    def _folders(self, item: Input) -> Iterator[str]:
        """Yield the folder that an input is or begins with, and all links from there on."""
        start = static_prefix(item.path) if item.is_glob else item.path
        is_folder = item.is_glob or os.path.isdir(os.path.join(self._root, start))
        first = start.rstrip("/") if is_folder else os.path.dirname(start)
        yield first
        waiting = [first] if is_folder else []
        seen = {self._real(first)}
        while waiting:
            for folder, folders, files in os.walk(os.path.join(self._root, waiting.pop())):
                folders[:] = [name for name in folders if name not in _NEVER]
                for path in (os.path.join(folder, name) for name in (*folders, *files)):
                    if os.path.islink(path):
                        yield (link := os.path.relpath(path, self._root))
                        if os.path.isdir(path) and self._real(link) not in seen:
                            seen.add(self._real(link))
                            waiting.append(link)

    def _real(self, folder: str) -> str:
        return self._relative(os.path.realpath(os.path.join(self._root, folder)))

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, os.path.realpath(self._root))

    def _names(self, names: tuple[str, ...], known: set[str]) -> frozenset[str]:
        """Add what the files mention that names may mean, wherever these files lie."""
        # a new `__init__.py` in a folder of known code
        found = set(names) | {name for path in known for name in path.split("/")[:-1]}
        waiting = list(names)
        read = set(known)
        while waiting:
            for path in self._mentions.get(waiting.pop(), ()):
                if path not in read:
                    read.add(path)
                    new = self._survey.mentioned_in(path) - found
                    found |= new
                    waiting += new
        return frozenset(found) - {""}


def has_pair(task: Task) -> bool:
    """Return whether Jupytext may have another file executed in a notebook's place, or did."""
    return isinstance(task.work, Notebook) and (task.work.paired is not None or task.work.path.endswith(".ipynb"))


def _texts_of(task: Task) -> frozenset[str]:
    """Return the name that a text has with which a notebook may be paired."""
    path = task.work.path if isinstance(task.work, Notebook) and has_pair(task) else ""
    return frozenset({os.path.splitext(os.path.basename(path))[0]}) - {""}


def may_be_code(path: str) -> bool:
    """Return whether a file can be imported or started, going by its name or its permissions."""
    name = os.path.basename(path)
    return (
        name.endswith((*SUFFIXES, *_MODULES))
        or "." not in name
        or (os.path.isfile(path) and os.access(path, os.X_OK))
    )


def names_of(path: str) -> set[str]:
    """Return the names by which code could mean a file: as a module, a package or a script, or one of a folder."""
    *folders, name = path.split("/")
    names = {f"{folder}/" for folder in folders}
    return names | (set(folders[-1:]) if name == _INIT else {name, name.split(".", 1)[0]})
