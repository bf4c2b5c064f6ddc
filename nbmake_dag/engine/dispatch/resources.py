"""The resources of this machine, and whether each task fits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from nbmake_dag.core.model import Resources, Task
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.execute.executors import KINDS
from nbmake_dag.execute.processes.process_tree import total_memory
from nbmake_dag.execute.protocol import Node

HINT = "; ".join(kind.has_more for kind in KINDS if kind.has_more)


def usable_cpus() -> int:
    """Return the processors that this process may use: its affinity, and its cgroup's quota rounded up."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _quota() or affinity))


def refuse_what_never_fits(tasks: Iterable[Task]) -> None:
    """Raise `ConfigError` for tasks that ask for more than this machine has."""
    complaints = [
        Complaint(what=f"task `{task.name}` needs {what}", place=task.place_of("resources"), hint=HINT)
        for task in tasks
        if (what := lacking(task.policy.resources))
    ]
    if complaints:
        raise ConfigError(tuple(complaints))


def lacking(wanted: Resources) -> str:
    """Return what this machine has too little of, if anything; processors are capped instead."""
    gpus, memory = _gpus(), total_memory()
    if wanted.gpus > gpus:
        return f"{wanted.gpus:g} GPUs, and this machine has {gpus}"
    if wanted.memory > memory:
        return f"{wanted.memory:,} bytes of memory, and this machine has {memory:,}"
    if wanted.custom:
        return f"the resource `{next(iter(wanted.custom))}`, which this machine does not have"
    if labels := _plain(wanted.labels):
        return f"a node with the label {next(f'{name}={value}' for name, value in labels.items())}"
    return ""


def refuse_what_no_node_fits(tasks: Iterable[Task], nodes: Sequence[Node]) -> None:
    """Raise `ConfigError` for tasks that no machine of a cluster has room for, listing what each machine has."""
    has = "; ".join(f"{node.name} has {_described(node)}" for node in nodes)
    complaints = [
        Complaint(
            what=f"task `{task.name}` fits no node of the cluster",
            place=task.place_of("resources"),
            hint=has,
        )
        for task in tasks
        if not any(_fits(task.policy.resources, node) for node in nodes)
    ]
    if complaints:
        raise ConfigError(tuple(complaints))


def _fits(wanted: Resources, node: Node) -> bool:
    amounts = {"CPU": wanted.cpus, "GPU": wanted.gpus, "memory": wanted.memory, **wanted.custom}
    enough = all(node.resources.get(name, 0.0) >= amount for name, amount in amounts.items() if amount)
    return enough and all(node.labels.get(name) == value for name, value in _plain(wanted.labels).items())


def _plain(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a node must have; such as `!a` and `in(a, b)` are left to Ray."""
    return {name: value for name, value in labels.items() if value[:1] != "!" and not value.startswith("in(")}


def _described(node: Node) -> str:
    amounts = [f"{name} {amount:g}" for name, amount in sorted(node.resources.items())]
    labels = [f"{name}={value}" for name, value in sorted(node.labels.items()) if not name.startswith("ray.io/")]
    return ", ".join((*amounts, *labels))


def _gpus() -> int:
    """Count them as Ray does: those of the machine that are visible."""
    try:
        found = len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if visible is None else min(found, len([name for name in visible.split(",") if name.strip()]))


def _quota() -> int | None:
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else -(-int(quota) // int(period))
