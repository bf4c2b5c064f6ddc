"""What `nbdag watch` adds to a build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nbmake_dag.build.resuming import Resuming
from nbmake_dag.core.model import TaskName


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """``outdated`` is asked again and again for tasks that have become pointless: they stop, or do not begin.

    With ``resuming`` notebooks leave snapshots, and go on from them.
    """

    outdated: Callable[[], frozenset[TaskName]] = frozenset
    resuming: Resuming | None = None
