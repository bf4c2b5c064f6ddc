"""State outside the kernel (outputs, files, logs), saved with a snapshot and restored from it.

The outputs of its cells, the files that it wrote and declares, and what it logged. Declared files are held as
blobs; logged files, which are never written twice, as links. So the folder of a snapshot, whose socket has a short
path, only leads to a folder beside that of the attempt.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import msgspec

from nbmake_dag.execute.collect import collect_outputs, holding_secrets
from nbmake_dag.execute.protocol import AttemptSpec, Failure
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.record import Output

SOCKET = "k"
_SAVED, _STATE, _LOG, _ARTIFACTS = "saved", "state.json", "log.jsonl", "artifacts"


class SavedCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that was executed. ``displays`` has the places of outputs that later cells can update."""

    outputs: list[dict[str, Any]]
    execution_count: int | None
    displays: dict[str, list[int]] = {}


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """``cells`` are those that count, injected ones among them; ``executed`` counts all that were."""

    cells: tuple[SavedCell, ...]
    executed: int
    elapsed_s: float
    outputs: tuple[Output, ...]


class UnkeepableError(Exception):
    """The written files cannot be saved; the message has the reason."""


class OutputsSoFar:
    """The declared outputs as they are again and again: hashed only when they may have changed."""

    def __init__(self, spec: AttemptSpec, redactor: Redactor) -> None:
        self._spec = spec
        self._redactor = redactor
        self._blobs = BlobStore(spec.blobs)
        self._known: dict[str, tuple[list[tuple[str, int, int, int]], Output]] = {}

    def collect(self) -> tuple[Output, ...]:
        """Return those that exist, stored as blobs; raises `UnkeepableError`."""
        return tuple(self._collect(path) for path in self._spec.declared_outputs if self._exists(path))

    def _collect(self, path: str) -> Output:
        stamps = sorted(_stamps(os.path.join(self._spec.root, path)))
        if path not in self._known or self._known[path][0] != stamps:
            found = self._collected(path, None if self._redactor else self._blobs)
            if self._redactor:
                for said in holding_secrets(found, self._spec.root, self._redactor):
                    raise UnkeepableError(said)
                found = self._collected(path, self._blobs)
            self._known[path] = stamps, found[0]
        return self._known[path][1]

    def _collected(self, path: str, blobs: BlobStore | None) -> tuple[Output, ...]:
        found = collect_outputs(self._spec.root, (path,), blobs)
        if isinstance(found, Failure):
            raise UnkeepableError(found.message)
        return found

    def _exists(self, path: str) -> bool:
        return os.path.lexists(os.path.join(self._spec.root, path.rstrip("/")))


def write_state(folder: str, spec: AttemptSpec, state: SavedState) -> None:
    """Keep the state of a snapshot whose folder exists."""
    saved = os.path.join(os.path.dirname(spec.scratch), os.path.basename(folder))
    os.mkdir(saved, 0o700)
    os.symlink(saved, os.path.join(folder, _SAVED))
    with open(os.path.join(saved, _STATE), "wb") as file:
        file.write(msgspec.json.encode(state))
    if os.path.exists(spec.env["NBDAG_LOG"]):
        shutil.copyfile(spec.env["NBDAG_LOG"], os.path.join(saved, _LOG))
    shutil.copytree(spec.env["NBDAG_ARTIFACTS"], os.path.join(saved, _ARTIFACTS), copy_function=os.link)


def put_back(folder: str, spec: AttemptSpec) -> SavedState:
    """Let an attempt begin with a state; raises `OSError` or `BlobError` where it is no longer there."""
    saved = os.path.join(folder, _SAVED)
    with open(os.path.join(saved, _STATE), "rb") as file:
        state = msgspec.json.decode(file.read(), type=SavedState)
    blobs = BlobStore(spec.blobs)
    for output in state.outputs:
        for place in (output.path, *output.folders) if output.path.endswith("/") else ():
            os.makedirs(os.path.join(spec.root, place), exist_ok=True)
        for each in output.files:
            blobs.restore(each.sha256, os.path.join(spec.root, each.path), executable=each.executable)
    if os.path.exists(os.path.join(saved, _LOG)):
        shutil.copyfile(os.path.join(saved, _LOG), spec.env["NBDAG_LOG"])
    shutil.copytree(
        os.path.join(saved, _ARTIFACTS), spec.env["NBDAG_ARTIFACTS"], copy_function=os.link, dirs_exist_ok=True
    )
    return state


def remove_snapshot(folder: str) -> None:
    """Remove the folder of a snapshot and its state, as far as there are any."""
    shutil.rmtree(os.path.realpath(os.path.join(folder, _SAVED)), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def take_away(spec: AttemptSpec) -> None:
    """Undo `put_back`, for an attempt that has to begin from the start."""
    for path in spec.declared_outputs:
        place = os.path.join(spec.root, path.rstrip("/"))
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        elif os.path.lexists(place):
            os.unlink(place)
    shutil.rmtree(spec.env["NBDAG_ARTIFACTS"])
    os.mkdir(spec.env["NBDAG_ARTIFACTS"])
    if os.path.exists(spec.env["NBDAG_LOG"]):
        os.unlink(spec.env["NBDAG_LOG"])


def _stamps(path: str) -> Iterator[tuple[str, int, int, int]]:
    found = os.stat(path)
    yield path, found.st_size, found.st_mtime_ns, found.st_ino
    if os.path.isdir(path):
        for entry in os.scandir(path):
            yield from _stamps(entry.path)
