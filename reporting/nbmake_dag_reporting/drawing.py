"""A graph of tasks to be drawn, with what happened to each in words, glyphs and colours."""

from __future__ import annotations

from typing import Literal

import msgspec

from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.vocabulary import TaskStatus, TaskType


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How a status is drawn: never by its colour alone."""

    glyph: str
    words: str
    fill: str
    stroke: str
    dark: str
    """The fill on dark, below light text."""


LOOKS: dict[TaskStatus, Look] = {
    "ran": Look(glyph="✓", words="ran", fill="#d1f0d9", stroke="#1a7f37", dark="#12351f"),
    "restored": Look(glyph="↺", words="restored", fill="#d6ebf5", stroke="#1b7c83", dark="#0f3338"),
    "up_to_date": Look(glyph="=", words="up to date", fill="#eceef0", stroke="#6e7781", dark="#2b3036"),
    "failed": Look(glyph="✗", words="failed", fill="#ffd9d6", stroke="#c22a2a", dark="#4a1618"),
    "skipped": Look(glyph="↷", words="skipped", fill="#fff1c9", stroke="#9a6700", dark="#3d2f08"),
    "cancelled": Look(glyph="-", words="cancelled", fill="#f3e6ff", stroke="#8250df", dark="#33204d"),
}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A task; ``type``, ``status`` and a ``note`` of a line where they are known."""

    name: str
    type: TaskType | Literal[""] = ""
    status: TaskStatus | None = None
    note: str = ""

    @property
    def label(self) -> str:
        """The lines of its box."""
        if self.status is None:
            return "\n".join(filter(None, (self.name, self.note)))
        look = LOOKS[self.status]
        return f"{self.name}\n{look.glyph} {look.words}"


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes in a fixed order; an edge leads from a task to one that needs it."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


def drawing_of(run: Run) -> Drawing:
    """Draw what happened in a run, of which an interrupted one may name tasks that it does not have."""
    return Drawing(
        title=run.pipeline,
        nodes=tuple(Node(name=task.name, type=task.type, status=task.status) for task in run.tasks.values()),
        edges=tuple(
            (above, task.name) for task in run.tasks.values() for above in task.upstreams if above in run.tasks
        ),
    )
