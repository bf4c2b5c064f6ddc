"""What a Python interpreter is and has: version, import paths, installed packages; asked once, then remembered."""

from __future__ import annotations

import os
import subprocess

import msgspec

from nbmake_dag.errors import UsageError
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.memo import IdentityMemo
from nbmake_dag_cache.stamps import Stamp, folder_stamp

_SCHEMA = "interpreter-1"
_DEADLINE_S = 60

_QUESTION = r"""
import json, platform, re, sys
from importlib.metadata import distributions
versions = {}
for found in distributions():
    name = found.metadata["Name"]
    if name:
        versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), found.version)
editable = {}
for name, module in list(sys.modules.items()):
    if name.startswith("__editable___"):
        editable.update(getattr(module, "MAPPING", {}))
print(json.dumps({
    "implementation": platform.python_implementation().lower(),
    "version": "%d.%d" % sys.version_info[:2],
    "path": [entry for entry in sys.path if entry],
    "editable": editable,
    "packages": versions,
}))
"""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter said of itself. ``packages`` has versions by normalised name."""

    implementation: str
    version: str
    path: tuple[str, ...]
    editable: dict[str, str]
    """Modules and packages that an editable install maps to files and folders, as its import hook has them."""
    packages: dict[str, str]


def normalised(package: str) -> str:
    """Normalise the name of a distribution, as package indexes do."""
    return "-".join(part for part in package.lower().replace("_", "-").replace(".", "-").split("-") if part)


class Interpreters:
    """Interpreters by path; an answer is kept for as long as the folders on its import path are unchanged."""

    def __init__(self, memo: IdentityMemo) -> None:
        self._memo = memo
        self._known: dict[str, Interpreter] = {}
        self.folders: dict[str, Stamp | None] = {}
        """Folders on import paths: a package that joins or leaves one makes an answer void."""

    def ask(self, executable: str) -> Interpreter:
        """Ask an interpreter what it is; raises `UsageError` where ``executable`` is no Python that runs."""
        if executable not in self._known:
            self._known[executable] = self._note(self._recall(executable) or self._run(executable))
        return self._known[executable]

    def _note(self, found: Interpreter) -> Interpreter:
        for folder in found.path:
            self.folders.setdefault(folder, folder_stamp(folder))
        return found

    def _recall(self, executable: str) -> Interpreter | None:
        path = self._memo.get(digest_text(_stamps([executable])), _SCHEMA)
        if path is None:
            return None
        text = self._memo.get(digest_text(_stamps([executable, *path.split("\0")])), _SCHEMA)
        return msgspec.json.decode(text, type=Interpreter) if text else None

    def _run(self, executable: str) -> Interpreter:
        try:
            answer = subprocess.run(
                [executable, "-c", _QUESTION],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=_DEADLINE_S,
                cwd="/",
            ).stdout
            found = msgspec.json.decode(answer, type=Interpreter)
        except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
            raise UsageError(f"the Python interpreter {executable} does not answer: {error}") from error
        self._memo.put(digest_text(_stamps([executable])), _SCHEMA, "\0".join(found.path))
        text = msgspec.json.encode(found).decode()
        self._memo.put(digest_text(_stamps([executable, *found.path])), _SCHEMA, text)
        return found


def _stamps(paths: list[str]) -> str:
    """Write down whether paths are what they were: inode and times of each."""
    lines: list[str] = [os.environ.get("PYTHONPATH", "")]
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            lines.append(path)
        else:
            lines.append(f"{path}\0{status.st_ino}\0{status.st_mtime_ns}\0{status.st_ctime_ns}")
    return "\n".join(lines)
