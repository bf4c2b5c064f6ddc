"""The list of the user's bytes that became blobs outside a run, or in a run that is no longer kept.

One JSON object in a line, beside the runs; what it names is never collected, because no other copy may exist.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable

import msgspec

from nbmake_dag.build.outcome import Kept
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.place import Place

_decode = msgspec.json.Decoder(Kept).decode


def remember_kept(project: Project, kept: Iterable[Kept]) -> None:
    """Add to the list what it does not have."""
    new = set(kept).difference(remembered(project))
    if not new:
        return
    os.makedirs(project.runs, exist_ok=True)
    lines = b"".join(msgspec.json.encode(item) + b"\n" for item in sorted(new, key=lambda item: item.path))
    with open(_path(project), "ab") as file:
        file.write(lines)


def way_back(project: Project, kept: Kept) -> str:
    """Say how to get a file of the user back, with paths as they are typed in the current directory."""
    paths = (Place(project.cache).blob(kept.sha256), project.absolute(kept.path))
    blob, file = (shlex.quote(os.path.relpath(path)) for path in paths)
    return f"{kept.path} was not made by nbdag; to get it back: cp {blob} {file}"


def remembered(project: Project) -> tuple[Kept, ...]:
    """Return the whole list, without lines that are damaged."""
    try:
        with open(_path(project), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return ()
    kept: list[Kept] = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            kept.append(_decode(line))
    return tuple(dict.fromkeys(kept))


def _path(project: Project) -> str:
    return os.path.join(project.runs, "kept.jsonl")
