"""Results that came from snapshots: they stand in the workspace, and are no hits, until a run from the start.

They are kept in ``.nbdag/state``, so that whichever build runs a task from the start can compare.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nbmake_dag.core.model import TaskName
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record

if TYPE_CHECKING:
    from nbmake_dag.build.prepare import Prepared

_LARGEST = 256 << 20
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


class Drafts:
    """The latest draft of every task that has one; losing them costs a comparison."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, "drafts.json")
        self._changed = False
        self._records: dict[str, Record] = {}
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError), open(self._path, "rb") as file:
            self._records = msgspec.json.decode(file.read(), type=dict[str, Record])

    def __contains__(self, task: TaskName) -> bool:
        return task in self._records

    def get(self, task: TaskName) -> Record | None:
        return self._records.get(task)

    def note(self, task: TaskName, record: Record) -> None:
        self._records[task] = record
        self._changed = True

    def forget(self, task: TaskName) -> None:
        self._changed = self._records.pop(task, None) is not None or self._changed

    def is_draft(self, task: TaskName, record: Record) -> bool:
        """Say whether a record is the draft of a task, not one of the cache."""
        draft = self._records.get(task)
        return draft is not None and draft.origin == record.origin

    def settle(
        self, task: TaskName, static_key: Key, record: Record | None, blobs: BlobStore, cells: Sequence[int]
    ) -> str | None:
        """Forget the draft of a task that ran from the start, and say how they compare, if they can be.

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
            "hint: the order in which cells were executed matters, or a state that they do not show"
        )

    def save(self) -> None:
        if self._changed:
            temporary = f"{self._path}.new"
            with open(temporary, "wb") as file:
                file.write(msgspec.json.encode(self._records))
            os.replace(temporary, self._path)
            self._changed = False


def with_drafts(prepared: Prepared, drafts: Drafts) -> Prepared:
    """Let drafts that rest on what is there now stand, as records of the cache do."""
    facts = dict(prepared.facts)
    for name, known in facts.items():
        draft = drafts.get(name)
        if draft is not None and draft.own_key == known.own_key:
            used = (item.name for item in draft.ingredients if (item.kind, item.stage) == ("module", "trace"))
            facts[name] = dataclasses.replace(
                known,
                records=(draft, *known.records),
                modules={**known.modules, **prepared.survey.module_digests(used)},
            )
    return dataclasses.replace(prepared, facts=facts)


def differences(draft: Record, record: Record, blobs: BlobStore, cells: Sequence[int]) -> tuple[str, ...]:
    """Say where a run from the start differs from a draft: the first cell, files, logged values.

    ``cells`` has the place in the file of each cell that counts, from 0.
    """
    return tuple(_differences(draft, record, blobs, cells))


def _differences(draft: Record, record: Record, blobs: BlobStore, cells: Sequence[int]) -> Iterator[str]:
    shown, now = _shown(draft, blobs), _shown(record, blobs)
    for number, (before, after) in enumerate(zip(shown, now, strict=False)):
        if before != after:
            yield f"what cell {cells[number] + 1} shows"
            break
    digests = {file.path: file.xxh3 for output in draft.outputs for file in output.files}
    found = {file.path: file.xxh3 for output in record.outputs for file in output.files}
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
