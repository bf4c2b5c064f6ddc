"""Steps: what another tool's file declares, on the way to tasks."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from functools import partial
from glob import glob
from itertools import product
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.config.matrix import name_fault as task_name_fault
from nbmake_dag.config.paths import PathError, folded, read_pattern, written_path
from nbmake_dag.config.values import name_fault, spelling, value_fault
from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.reading import Paths

_FIELD = re.compile(r"\{(\w+)\}")
_LARGEST = 1 << 20
"""Bytes of a file that is still read."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A task to be. Paths are relative to the project; those in ``command`` and ``parameters`` to ``workdir``."""

    name: str
    notebook: str = ""
    command: str = ""
    function: str = ""
    inputs: Paths = ()
    outputs: Paths = ()
    parameters: Mapping[str, Any] = {}
    matrix: Mapping[str, list[Any]] = {}
    after: tuple[str, ...] = ()
    workdir: str = ""
    kernel: str = ""
    notebook_output: str = ""
    timeout: str = ""
    retries: int = 0
    own_kernel: str = ""
    """The kernel that the notebook asks for."""
    language: str = "python"
    reads_code: bool = False
    """Whether the files that the notebook's code names are its inputs and outputs, too."""
    unsaid: tuple[str, ...] = ()
    """What of it a task cannot say, a sentence each."""
    is_comment: bool = False
    """Whether it cannot be a task as it is."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of a file, and what concerns all of it and cannot be said."""

    steps: tuple[Step, ...]
    unsaid: tuple[str, ...] = ()


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of another tool. ``path`` is relative to ``root``, which is absolute."""

    root: str
    path: str
    text: str

    @classmethod
    def read(cls, root: str, path: str) -> SourceFile:
        """Read a file below the project; raises `UsageError`."""
        absolute = os.path.realpath(path)
        relative = os.path.relpath(absolute, os.path.realpath(root))
        if relative.startswith("../"):
            raise UsageError(
                f"{path} is not in {root}", (), "a pipeline is written for the files below its folder"
            )
        if os.path.exists(absolute) and not os.path.isfile(absolute):
            raise UsageError(f"{relative} is not a file", (), "name the file that declares the pipeline")
        try:
            with open(absolute, "rb") as file:
                data = file.read(_LARGEST + 1)
        except OSError as error:
            raise UsageError(f"{relative} cannot be read: {error.strerror}") from error
        if len(data) > _LARGEST:
            raise UsageError(f"{relative} is larger than {_LARGEST >> 20} MiB, which no pipeline is")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            what = f"byte {error.start + 1} is 0x{data[error.start]:02x}"
            raise UsageError(f"{relative} is not UTF-8: {what}") from error
        if "\0" in text:
            raise UsageError(f"{relative} is not a text")
        return cls(root=root, path=relative, text=text)

    @property
    def folder(self) -> str:
        """The folder of the file, relative to the project; empty for the project itself."""
        return posixpath.dirname(self.path)

    def place(self, line: int | None) -> str:
        return f"{self.path}:{line}" if line else self.path

    def at(self, path: str, folder: str | None = None) -> str:
        """Return the project path of one that is relative to a folder, by default that of the file."""
        if "://" in path:
            return path
        joined = posixpath.join(self.folder if folder is None else folder, path)
        slash = "/" if path.endswith("/") else ""
        return posixpath.normpath(joined) + slash

    def matching(self, pattern: str, folder: str) -> list[str]:
        """Return the files that a glob matches in a folder of the project, as the glob spells them."""
        place = os.path.join(self.root, folder)
        return sorted(glob(pattern, root_dir=place))[:1000] if not pattern.startswith("/") else []

    def has(self, path: str) -> bool:
        """Return whether there is a file at a project path."""
        return os.path.isfile(os.path.join(self.root, path))

    def sibling(self, path: str) -> SourceFile | None:
        """Read another file of the project, if it is there and can be read."""
        place = os.path.join(self.root, path)
        if not os.path.isfile(place):
            return None
        try:
            return SourceFile.read(self.root, place)
        except UsageError:
            return None


def settled(source: SourceFile, steps: Iterable[Step]) -> tuple[Step, ...]:
    """Make steps that the pipeline file accepts: other names, and paths that cannot be declared said as unsaid."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    found: list[Step] = []
    for step in steps:
        name = _free_name(step.name, taken)
        taken.add(folded(name))
        names.setdefault(step.name, name)
        found.append(replace(step, name=name))
    known = {step.name for step in found if not step.is_comment}
    made = {path for step in found if not step.is_comment for path in _made(step)}
    return tuple(_settled(source, step, names, known, made) for step in found)


def plain(paths: Paths) -> tuple[str, ...]:
    return tuple(paths.values()) if isinstance(paths, Mapping) else paths


def _made(step: Step) -> set[str]:
    """Return the outputs of all instances of a step."""
    found: set[str] = set()
    for cell in product(*step.matrix.values()):
        row = {name: spelling(value) for name, value in zip(step.matrix, cell, strict=True)}
        for path in plain(step.outputs):
            found.add(_FIELD.sub(partial(_filled, row), path))
    return found


def _filled(row: Mapping[str, str], match: re.Match[str]) -> str:
    return row.get(match[1], match[0])


def _free_name(name: str, taken: set[str]) -> str:
    name = re.sub(r"[\[\]=,\x00-\x1f]", "-", name).strip() or "task"
    if task_name_fault(name):
        name = re.sub(r"[^\w.-]", "-", name) or "task"
    number, candidate = 2, name
    while folded(candidate) in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate


def _settled(source: SourceFile, step: Step, names: Mapping[str, str], known: set[str], made: set[str]) -> Step:
    unsaid = list(step.unsaid)
    outputs = _declarable(step.outputs, written_path, "output", unsaid)
    inputs = _declarable(step.inputs, read_pattern, "input", unsaid)
    inputs = _with_folders(source, _there(source, inputs, made, unsaid), made)
    after = tuple(dict.fromkeys(names.get(name, name) for name in step.after))
    unsaid += [f"it comes after `{name}`, which is no task here" for name in after if name not in known]
    parameters = {name: value for name, value in step.parameters.items() if not _fault(name, value)}
    unsaid += [
        f"its parameter `{name}`: it {fault}"
        for name, value in step.parameters.items()
        if (fault := _fault(name, value))
    ]
    return replace(
        step,
        inputs=inputs,
        outputs=outputs,
        after=tuple(name for name in after if name in known and name != step.name),
        parameters=parameters,
        unsaid=tuple(dict.fromkeys(unsaid)),
    )


def _fault(name: str, value: Any) -> str | None:
    return name_fault(name) or value_fault(value)


def _declarable(paths: Paths, check: Any, role: str, unsaid: list[str]) -> Paths:
    def fault(path: str) -> str:
        try:
            check(path)
        except PathError as error:
            return error.what
        return ""

    kept: dict[str, str] = {}
    seen: set[str] = set()
    for name, path in paths.items() if isinstance(paths, Mapping) else enumerate(paths):
        reason = fault(path)
        if reason:
            unsaid.append(f"its {role} `{path}`, which {reason}")
        elif path not in seen:
            kept[str(name)] = path
            seen.add(path)
    return kept if isinstance(paths, Mapping) else tuple(kept.values())


def _with_folders(source: SourceFile, paths: Paths, made: set[str]) -> Paths:
    """End the paths of folders with `/`: a folder of the disk, or one that another step declares as that."""

    def spelled(path: str) -> str:
        is_folder = f"{path}/" in made or (path not in made and os.path.isdir(os.path.join(source.root, path)))
        return f"{path}/" if is_folder and not path.endswith("/") else path

    if isinstance(paths, Mapping):
        return {name: spelled(path) for name, path in paths.items()}
    return tuple(spelled(path) for path in paths)


def _there(source: SourceFile, paths: Paths, made: set[str], unsaid: list[str]) -> Paths:
    """Leave out inputs that no task makes and that are not there: no build could begin."""

    def is_there(path: str) -> bool:
        if "{" in path or "*" in path or path in made or f"{path}/" in made:
            return True
        if any(folder.endswith("/") and path.startswith(folder) for folder in made):
            return True
        return os.path.exists(os.path.join(source.root, path))

    absent = [path for path in plain(paths) if not is_there(path)]
    unsaid += [
        f"its input `{path}`, which is not there and no task makes: declare it when it is" for path in absent
    ]
    if isinstance(paths, Mapping):
        return {name: path for name, path in paths.items() if path not in absent}
    return tuple(path for path in paths if path not in absent)
