"""Results of notebooks resumed from snapshots: they are in the workspace, but not hits until a run from the start.

They are kept in ``.nbdag/state``, so that whichever build runs a task from the start can compare.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from nbmake_dag.core.facts import Facts
from nbmake_dag.core.model import TaskName
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag.observe.survey import Survey
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.cell_ref import CellRef

_LARGEST = 256 << 20
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


Basis = frozenset[tuple[TaskName, Key]]
"""The own keys of a task and of all above it, but not their results."""


class Drafts:
    """The latest draft of every task that has one; losing them costs a comparison."""

    def __init__(self, state: str, warn: Callable[[str], None]) -> None:
        self._file = StateFile(os.path.join(state, "drafts.json"), "nbdag-drafts 2", dict[str, Record])
        self._changed = False
        self._records = self._file.read(warn) or {}
        self._failed: dict[TaskName, Basis] = {}

    def __contains__(self, task: TaskName) -> bool:
        return task in self._records

    def get(self, task: TaskName) -> Record | None:
        return self._records.get(task)

    def note(self, task: TaskName, record: Record) -> None:
        self._records[task] = record
        self._changed = True
        self._failed.pop(task, None)

    def note_failed(self, task: TaskName, basis: Basis) -> None:
        """Note that a task failed as a draft; that is forgotten with the process."""
        self._failed[task] = basis

    def forget(self, task: TaskName) -> None:
        self._changed = self._records.pop(task, None) is not None or self._changed

    def is_draft(self, task: TaskName, record: Record) -> bool:
        """Return whether a record is the draft of a task, not one of the cache."""
        draft = self._records.get(task)
        return draft is not None and draft.origin == record.origin

    def settle(
        self, task: TaskName, static_key: Key, record: Record | None, blobs: BlobStore, cells: Sequence[CellRef]
    ) -> str | None:
        """Forget the draft of a task that ran from the start, and return how the two compare, if that is possible.

        ``record`` is what that run left, ``None`` if it failed; ``cells`` has the place in the file of each cell
        that counts, from 0.
        """
        draft = self._records.get(task)
        self.forget(task)
        if draft is None or draft.static_key != static_key:
            return None
        found = ("that it fails",) if record is None else differences(draft, record, blobs, cells)
        if not found:
            return f"{task}: the draft is confirmed by a run from the start"
        return (
            f"warning: {task}: a run from the start differs from the draft: {', '.join(found)}\n\n"
            "hint: the result depends on the order in which cells were executed, or on hidden state"
        )

    def refute(self, task: TaskName, basis: Callable[[TaskName], Basis]) -> bool:
        """Forget that a task failed as a draft; return whether it did so on the same basis."""
        failed = self._failed.pop(task, None)
        return failed is not None and failed == basis(task)

    def save(self) -> None:
        if self._changed:
            self._file.write(self._records)
            self._changed = False


def with_drafts(facts: Mapping[TaskName, Facts], drafts: Drafts, survey: Survey) -> dict[TaskName, Facts]:
    """Keep the drafts that still match their outputs, as records of the cache do."""
    found = dict(facts)
    for name, known in facts.items():
        draft = drafts.get(name)
        if draft is not None and draft.own_key == known.own_key:
            used = (path for kind, path in draft.trace if kind == "module")
            found[name] = msgspec.structs.replace(
                known,
                records=(draft, *known.records),
                modules={**known.modules, **survey.module_digests(used)},
            )
    return found


def differences(draft: Record, record: Record, blobs: BlobStore, cells: Sequence[CellRef]) -> tuple[str, ...]:
    """Describe where a run from the start differs from a draft: the first cell, files, logged values.

    ``cells`` are those of the present source that count.
    """
    return tuple(_differences(draft, record, blobs, cells))


def _differences(draft: Record, record: Record, blobs: BlobStore, cells: Sequence[CellRef]) -> Iterator[str]:
    shown, now = _shown(draft, blobs), _shown(record, blobs)
    for number, (before, after) in enumerate(zip(shown, now, strict=False)):
        if before != after:
            yield f"what {cells[number]} shows"
            break
    digests = {file.path: file.digest for output in draft.outputs for file in output.files}
    found = {file.path: file.digest for output in record.outputs for file in output.files}
    yield from (path for path in sorted({**digests, **found}) if digests.get(path) != found.get(path))
    for kind in ("params", "metrics", "tags", "artifacts"):
        before, after = getattr(draft.logged, kind), getattr(record.logged, kind)
        names = (name for name in sorted({**before, **after}) if before.get(name) != after.get(name))
        yield from (f"{kind.removesuffix('s')} {name}" for name in names)


def _shown(record: Record, blobs: BlobStore) -> list[str]:
    """Return what each cell shows, but for counts and addresses, which differ from run to run."""
    if record.cells is None:
        return []
    try:
        cells: list[dict[str, Any]] = json.loads(blobs.read(record.cells, _LARGEST))
    except BlobError:
        return []
    return [
        _ADDRESS.sub("", json.dumps([{**output, "execution_count": None} for output in cell["outputs"]]))
        for cell in cells
    ]
