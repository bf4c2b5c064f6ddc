"""Salted digests of past builds' secrets, so that later exports are searched for those secrets too.

The values themselves are written nowhere. The file is the user's alone, and never leaves the machine: neither a
bundle nor a site nor the folders that CI saves have anything of ``.nbdag/state``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag_reporting.secrets_scan import RememberedSecret, Secrets, remembered

_MOST = 5_000
"""Spellings that are remembered; the oldest are forgotten first."""


def remember_secrets(project: Project, values: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """Remember the secrets of a build that are not known yet; raises `OSError`."""
    if not values:
        return
    file = _file(project)
    known = file.read(warn) or ()
    new = [
        item
        for name, value in values.items()
        if not _is_known(name, value, known)
        for item in remembered(name, value)
    ]
    if new:
        file.write((*known, *new)[-_MOST:])


def _is_known(name: str, value: str, known: Iterable[RememberedSecret]) -> bool:
    search = Secrets({}, remembered=[item for item in known if item.name == name])
    return search.name_of(value.encode(errors="surrogateescape")) is not None


def read_remembered(project: Project, warn: Callable[[str], None]) -> tuple[RememberedSecret, ...]:
    """Return what past builds of a checkout knew."""
    return _file(project).read(warn) or ()


def _file(project: Project) -> StateFile[tuple[RememberedSecret, ...]]:
    path = os.path.join(project.state, "secrets.json")
    return StateFile(path, "nbdag-secrets 1", tuple[RememberedSecret, ...], private=True)
