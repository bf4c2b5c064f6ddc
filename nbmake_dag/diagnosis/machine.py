"""What a machine lacks that a pipeline needs: Ray, a file system that can lock and tell of changes."""

from __future__ import annotations

import importlib
import os

from nbmake_dag.errors import Complaint
from nbmake_dag.observe.project import Project

_REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)


def broken_ray() -> list[Complaint]:
    """Complain where Ray cannot be imported."""
    try:
        importlib.import_module("ray")
    except Exception as error:  # noqa: BLE001 - whatever an incompatible installation raises
        what = f"Ray cannot be imported: {type(error).__name__}: {error}"
        return [Complaint(what=what, hint="install it anew, or build with --executor inline, one task at a time")]
    return []


def remote_file_system(project: Project, mounts: str) -> list[Complaint]:
    """Complain where another machine has the file system; ``mounts`` is the text of ``/proc/self/mountinfo``."""
    kind = _kind_of(os.path.realpath(project.root), mounts)
    if kind not in _REMOTE:
        return []
    what = f"the project is on a {kind} file system, which tells of no changes and may not lock"
    hint = "use `nbdag watch --poll`, and do not build on two machines at once"
    return [Complaint(what=what, place=project.root, hint=hint)]


def _kind_of(path: str, mounts: str) -> str:
    """Return the type of the file system that is mounted nearest above a path."""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ")
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return kind
