"""One notebook, run again and again in real kernels, from the start or from a snapshot of an earlier run."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmake_dag.core.resume import Basis, Taken, basis, choose
from nbmake_dag.execute.attempt import run_attempt
from nbmake_dag.execute.notebook.saved_state import SOCKET, remove_snapshot
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.zygote_client import Snapshot
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Event,
    NotebookWork,
    Resume,
    Snapshotted,
    Unresumable,
)
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import read_notebook


@dataclass
class Ran:
    """A run, and what it told."""

    result: AttemptResult
    events: list[Event]
    shown: list[str]
    """What each cell that counts printed."""

    @property
    def snapshots(self) -> list[Snapshotted]:
        return [event for event in self.events if isinstance(event, Snapshotted)]

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Unresumable)]


class Resumable:
    """A project with one notebook; ``snapshots`` of all its runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runtime = tempfile.mkdtemp(prefix="r", dir="/tmp")
        self.attempts = tempfile.mkdtemp(prefix="a", dir="/tmp")
        self.snapshots: list[Taken] = []
        self.blobs = BlobStore(str(root / ".nbdag" / "cache"))

    def run(self, cells: Sequence[str], *, resumes: bool = True, **fields: Any) -> Ran:
        """Run cells, from the last snapshot that fits if ``resumes``."""
        (self.root / "a.py").write_text("".join(f"# %%\n{cell}\n\n" for cell in cells))
        identity = identify(read_notebook((self.root / "a.py").read_bytes(), "a.py"))
        now = basis(identity.ingredients(), injects=False)
        chosen = choose(self.snapshots, now, {}) if resumes else None
        spec = AttemptSpec(
            **{
                "run_id": "r",
                "task": "t",
                "attempt": 1,
                "root": str(self.root),
                "repository": str(self.root),
                "workdir": ".",
                "work": NotebookWork(
                    path="a.py",
                    kernel="python3",
                    start=fields.pop("start", "warm"),
                    counted=frozenset(cell.index for cell in identity.cells),
                ),
                "parameters": {},
                "inputs": {},
                "outputs": {},
                "declared_outputs": (),
                "env": {**os.environ, "NBDAG_ROOT": str(self.root), "NBDAG_REPOSITORY": str(self.root)},
                "blobs": str(self.root / ".nbdag" / "cache"),
                "scratch": tempfile.mkdtemp(dir=self.attempts),
                "runtime": self.runtime,
                "snapshot_after": 0.0,
                "resume": Resume(folder=chosen.folder, cells=chosen.cells) if chosen else None,
                **fields,
            }
        )
        for path in spec.declared_outputs:
            (self.root / path).unlink(missing_ok=True)
        events: list[Event] = []
        result = run_attempt(spec, events.append, Cancellation())
        ran = Ran(result, events, self._shown(result))
        self.snapshots += [_taken(event, now) for event in ran.snapshots]
        return ran

    def forget(self) -> None:
        """Drop all snapshots."""
        for taken in self.snapshots:
            Snapshot(path=f"{taken.folder}/{SOCKET}").end()
            remove_snapshot(taken.folder)
        self.snapshots.clear()

    def close(self) -> None:
        shutil.rmtree(self.runtime)
        shutil.rmtree(self.attempts)

    def _shown(self, result: AttemptResult) -> list[str]:
        if result.cell_outputs is None:
            return []
        cells = json.loads(self.blobs.read(result.cell_outputs, 1 << 30))
        return ["".join(_text(output) for output in cell["outputs"]) for cell in cells]


def _text(output: dict[str, Any]) -> str:
    return output.get("text") or output.get("data", {}).get("text/plain") or output.get("evalue", "")


def _taken(event: Snapshotted, of: Basis) -> Taken:
    return Taken(folder=event.folder, pid=event.pid, basis=of, cells=event.cells, elapsed_s=event.elapsed_s)
