"""What this machine has for tasks to occupy, and whether each task fits."""

from __future__ import annotations

import os

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Resources
from nbmake_dag.errors import Complaint, ConfigError


def usable_cpus() -> int:
    """Return the processors that this process may use: its affinity, and its cgroup's quota rounded up."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _quota() or affinity))


def refuse_what_never_fits(graph: Graph, file: str) -> None:
    """Raise `ConfigError` for tasks that ask for more than this machine has; processors are capped instead."""
    gpus, memory = _gpus(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    complaints = [
        Complaint(what=f"task `{task.name}` needs {what}", place=f"{file}:{task.line}", hint=_HINT)
        for task in graph.tasks.values()
        if (what := _missing(task.policy.resources, gpus, memory))
    ]
    if complaints:
        raise ConfigError(tuple(complaints))


_HINT = "build on a Ray cluster that has it: `--ray-address`"


def _missing(wanted: Resources, gpus: int, memory: int) -> str:
    if wanted.gpus > gpus:
        return f"{wanted.gpus:g} GPUs, and this machine has {gpus}"
    if wanted.memory > memory:
        return f"{wanted.memory:,} bytes of memory, and this machine has {memory:,}"
    if wanted.custom:
        return f"the resource `{next(iter(wanted.custom))}`, which this machine does not have"
    return ""


def _gpus() -> int:
    try:
        return len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0


def _quota() -> int | None:
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else -(-int(quota) // int(period))
