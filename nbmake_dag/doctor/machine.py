"""What is in use on a machine, and what it lacks: Ray, a file system with locks and change notifications."""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata

from nbmake_dag import __version__
from nbmake_dag.core.model import Notebook, Task
from nbmake_dag.errors import Complaint
from nbmake_dag.execute.executors import KINDS, ONE_AT_A_TIME
from nbmake_dag.observe.kernels import Kernels, kernel_name, kernelspecs
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources

_REMOTE = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)


def installation() -> Iterator[str]:
    """Yield which nbdag, Python and packages of executors are in use, and where they are."""
    yield f"nbdag {__version__} in {os.path.dirname(os.path.dirname(__file__))}"
    yield f"Python {platform.python_version()}, {sys.executable}"
    for package in (kind.package for kind in KINDS if kind.package):
        try:
            found = metadata.distribution(package)
            yield f"{package} {found.version} in {found.locate_file(package)}"
        except metadata.PackageNotFoundError:
            yield f"{package} is not installed: tasks run one at a time"


def kernels_in_use(tasks: Iterable[Task], sources: Sources, kernels: Kernels) -> Iterator[str]:
    """Yield each kernel that tasks ask for and that is installed, with what runs it and its kernelspec."""
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415 - takes 0.2 s

    folders = kernelspecs(KernelSpecManager())
    names = Counter(
        kernel_name(task.work, sources)
        for task in tasks
        if isinstance(task.work, Notebook) and task.environment is None
    )
    for name, count in sorted(names.items()):
        kernel = kernels.get(name)
        if kernel.problem is None:
            program = f"{kernel.python}, {kernel.interpreter}" if kernel.interpreter else " ".join(kernel.argv)
            kernelspec = f" ({folders[name]})" if name in folders else ""
            yield f"kernel `{name}` of {count} {'task' if count == 1 else 'tasks'}: {program}{kernelspec}"


def broken_executors() -> list[Complaint]:
    """Complain about executors that cannot be used on this machine."""
    hint = f"reinstall it, or build with --executor {ONE_AT_A_TIME}, one task at a time"
    return [Complaint(what=defect, hint=hint) for kind in KINDS if (defect := kind.defect())]


def remote_file_system(project: Project, mounts: str) -> list[Complaint]:
    """Complain where another machine has the file system; ``mounts`` is the text of ``/proc/self/mountinfo``."""
    kind = _kind_of(os.path.realpath(project.root), mounts)
    if kind not in _REMOTE:
        return []
    what = f"the project is on a {kind} file system, which reports no changes and may not support locks"
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
