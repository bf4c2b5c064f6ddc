"""A Python interpreter's version, import paths and installed packages; queried once, then remembered."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

import msgspec

from nbmake_dag.errors import UsageError, describe, is_short_of_something
from nbmake_dag.observe.variables import Variables
from nbmake_dag_cache.digest import Digest, digest_text
from nbmake_dag_cache.memo import IdentityMemo
from nbmake_dag_cache.stamps import Stamp, folder_stamp

_SCHEMA = "interpreter-2"
_DECISIVE = (
    # read by Python when it looks for its packages
    "HOME",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONPLATLIBDIR",
    "PYTHONUSERBASE",
    # read by programs that stand in for Python
    "CONDA_PREFIX",
    "PYENV_VERSION",
    "VIRTUAL_ENV",
)
"""The variables that decide what an interpreter answers."""
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
    """What an interpreter reported about itself. ``packages`` has versions by normalised name."""

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

    def __init__(self, memo: IdentityMemo, variables: Variables) -> None:
        self.variables = variables
        self._memo = memo
        self._known: dict[str, Interpreter] = {}
        self.folders: dict[str, Stamp | None] = {}
        """The executables, links followed, and the folders on their import paths.

        Another executable, and a package that joins or leaves, makes an answer void.
        """

    def ask(self, executable: str) -> Interpreter:
        """Ask an interpreter what it is; raises `UsageError` where ``executable`` is no Python that runs."""
        if executable not in self._known:
            self._note(executable)
            self._known[executable] = self._recall(executable) or self._run(executable)
            self._note(*self._known[executable].path)
        return self._known[executable]

    def _note(self, *paths: str) -> None:
        for path in paths:
            self.folders.setdefault(path, folder_stamp(path))

    def _recall(self, executable: str) -> Interpreter | None:
        path = self._memo.get(self._question([executable]), _SCHEMA)
        if path is None:
            return None
        text = self._memo.get(self._question([executable, *path.split("\0")]), _SCHEMA)
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
            if isinstance(error, OSError) and is_short_of_something(error):
                raise
            raise UsageError(f"the Python interpreter {executable} does not answer: {_in_short(error)}") from error
        self._memo.put(self._question([executable]), _SCHEMA, "\0".join(found.path))
        text = msgspec.json.encode(found).decode()
        self._memo.put(self._question([executable, *found.path]), _SCHEMA, text)
        return found

    def _question(self, paths: Sequence[str]) -> Digest:
        """Digest all that decides an answer: variables, and whether paths are what they were."""
        return digest_text("\n".join([self.variables.fingerprint(_DECISIVE), *map(_stamp, paths)]))


def _in_short(error: Exception) -> str:
    """Describe what went wrong, without the question."""
    match error:
        case subprocess.CalledProcessError(returncode=code):
            return f"exit code {code}"
        case subprocess.TimeoutExpired():
            return f"not within {_DEADLINE_S} s"
        case OSError():
            return describe(error)
        case _:
            return "what it printed is no answer"


def _stamp(path: str) -> str:
    """Write down what is at a path: inode and times."""
    try:
        status = os.stat(path)
    except OSError:
        return path
    return f"{path}\0{status.st_ino}\0{status.st_mtime_ns}\0{status.st_ctime_ns}"
