"""Read back what the work logged: JSON lines into values, blobs and a clear complaint.

A program of any language logs by appending such lines to the file ``$NBDAG_LOG``, each with one write::

    {"kind": "metric", "key": "auc", "value": 0.9, "step": 3, "time": 1700000000000000000}
    {"kind": "param", "key": "lr", "value": 0.1}
    {"kind": "tag", "key": "model", "value": "svm"}
    {"kind": "artifact", "name": "plots/roc.png", "path": "roc.png", "media_type": "image/png"}

``step``, ``time`` (nanoseconds since the epoch) and ``media_type`` may be left out; ``path`` is relative to the
folder ``$NBDAG_ARTIFACTS``; ``value`` may be ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``. A reader of
``$NBDAG_UPSTREAM`` notes what it used: ``{"kind": "read", "task": "train", "of": "metrics", "name": "auc"}``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from nbmake_dag.core.vocabulary import ReadKind
from nbmake_dag.execute.protocol import Failure, Read
from nbmake_dag.execute.redaction import NO_SECRETS, Redactor
from nbmake_dag.inside.artifacts import check_artifact_name, guess_media_type
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.record import Access, AccessMode, Artifact, Logged, Number

_Point: TypeAlias = tuple[str, Number, int | None, int | None]
_Timed: TypeAlias = tuple[int | None, Number, int | None]
_Command: TypeAlias = tuple[str, tuple[str, ...], str]


class _Metric(msgspec.Struct, tag_field="kind", tag="metric"):
    key: str
    value: Number
    step: int | None = None
    time: int | None = None


class _Metrics(msgspec.Struct, tag_field="kind", tag="metrics"):
    points: list[_Point]


class _Tag(msgspec.Struct, tag_field="kind", tag="tag"):
    key: str
    value: str


class _Param(msgspec.Struct, tag_field="kind", tag="param"):
    key: str
    value: str | int | float | bool | None


class _Artifact(msgspec.Struct, tag_field="kind", tag="artifact"):
    name: str
    path: str
    media_type: str | None = None


class _Read(msgspec.Struct, tag_field="kind", tag="read"):
    task: str
    of: ReadKind
    name: str | None = None


class _Modules(msgspec.Struct, tag_field="kind", tag="modules"):
    paths: list[str]
    decisive: dict[str, list[str]] = {}
    started: list[str] = []
    commands: list[_Command] = []


_Line: TypeAlias = _Metric | _Metrics | _Tag | _Param | _Artifact | _Read | _Modules
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_access = msgspec.json.Decoder(Access).decode


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a log; ``failure`` is set if it had invalid lines as well."""

    logged: Logged = Logged()
    reads: tuple[Read, ...] = ()
    modules: tuple[str, ...] = ()
    decisive: dict[str, tuple[str, ...]] = {}
    started: tuple[str, ...] = ()
    commands: tuple[_Command, ...] = ()
    failure: Failure | None = None
    withheld: tuple[str, ...] = ()
    """Artifacts and metrics that hold a secret, and so are left out."""


def fold_log(path: str, artifacts: str, blobs: BlobStore, redactor: Redactor = NO_SECRETS) -> Folded:
    """Fold the lines of ``$NBDAG_LOG``, whose artifacts lie below the folder ``artifacts``, which need not exist.

    A missing log is empty. A last line that was cut by the end of its process is left out. All other invalid lines
    make one failure.
    """
    fold = _Fold()
    bad: list[str] = []
    for number, line in _lines(path):
        try:
            fold.add(_decode_line(line), artifacts)
        except (ValueError, TypeError, RecursionError) as error:
            if line.endswith(b"\n"):
                # cut at last: a half of a secret is not known for one
                shown = redactor.text(line.decode(errors="replace").strip())[:120]
                bad.append(f"line {number} of $NBDAG_LOG: {redactor.text(str(error))}: {shown}")
    withheld = tuple(fold.withhold(redactor))
    return Folded(
        logged=fold.logged(blobs, redactor),
        reads=tuple(sorted(fold.reads, key=lambda read: (read.task, read.kind, read.name or ""))),
        modules=tuple(sorted(fold.modules)),
        started=tuple(sorted(fold.started)),
        commands=tuple(sorted(fold.commands)),
        decisive={module: tuple(sorted(places)) for module, places in sorted(fold.decisive.items())},
        failure=_complaint(bad),
        withheld=withheld,
    )


def fold_accesses(path: str, root: str, modules: Iterable[str]) -> tuple[Access, ...]:
    """Return the files that were opened and are there, relative to ``root``, but for reads of ``modules``.

    A written file may have been read as well, so it is listed once.
    """
    known = set(modules)
    modes: dict[str, AccessMode] = {}
    for access in _accesses(path):
        name = os.path.relpath(access.path, root)
        if modes.get(name) != "write" and os.path.isfile(access.path):
            modes[name] = access.mode
    return tuple(
        Access(path=name, mode=mode)
        for name, mode in sorted(modes.items())
        if mode == "write" or name not in known
    )


def fold_missed(path: str, root: str) -> tuple[str, ...]:
    """Return the files that were to be read and are not there, relative to ``root``."""
    paths = {access.path for access in _accesses(path) if access.mode == "read"}
    return tuple(sorted(os.path.relpath(path, root) for path in paths if not os.path.lexists(path)))


def _accesses(path: str) -> Iterator[Access]:
    for _, line in _lines(path):
        with contextlib.suppress(ValueError, RecursionError):  # cut by the end of its process
            yield _decode_access(line)


class _Fold:
    """What the lines so far amount to."""

    def __init__(self) -> None:
        self.reads: set[Read] = set()
        self.modules: set[str] = set()
        self.decisive: dict[str, set[str]] = {}
        self.started: set[str] = set()
        self.commands: set[_Command] = set()
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}
        self._artifacts: dict[str, tuple[str, str]] = {}
        self._points: dict[str, list[_Timed]] = {}

    def add(self, line: _Line, artifacts: str) -> None:
        match line:
            case _Metric(key=key, value=value, step=step, time=time):
                self._points.setdefault(key, []).append((step, value, time))
            case _Metrics(points=points):
                for key, value, step, time in points:
                    self._points.setdefault(key, []).append((step, value, time))
            case _Tag(key=key, value=text):
                self._tags[key] = text
            case _Param(key=key, value=param):
                self._params[key] = param
            case _Artifact(name=name, path=path, media_type=media_type):
                file = _below(artifacts, path)
                self._artifacts[check_artifact_name(name)] = (file, media_type or guess_media_type(name))
            case _Read(task=task, of=kind, name=name):
                self.reads.add(Read(task=task, kind=kind, name=name))
            case _Modules(paths=paths, decisive=decisive, started=started, commands=commands):
                self.modules.update(paths)
                self.started.update(started)
                self.commands.update(commands)
                for module, places in decisive.items():
                    self.decisive.setdefault(module, set()).update(places)

    def withhold(self, redactor: Redactor) -> Iterator[str]:
        """Leave out the artifacts and metrics that hold a secret; yield each with the secret's name."""
        for name, (file, _) in tuple(self._artifacts.items()) if redactor else ():
            if found := redactor.name_in(file, name):
                del self._artifacts[name]
                yield f"artifact {redactor.text(name)} holds the value of {found}"
        for key, points in tuple(self._points.items()) if redactor else ():
            numbers = (redactor.name_of_number(value) for _, value, _ in points)
            if found := next(filter(None, numbers), None):
                del self._points[key]
                yield f"metric {redactor.text(key)} holds the value of {found}"

    def logged(self, blobs: BlobStore, redactor: Redactor) -> Logged:
        artifacts: dict[str, Artifact] = {}
        for name, (file, media_type) in self._artifacts.items():
            stored = blobs.put_file(file)
            artifacts[name] = Artifact(
                sha256=stored.sha256, size=stored.size, media_type=redactor.text(media_type)
            )
        named = {redactor.text(key): points for key, points in self._points.items()}
        series = {key: points for key, points in named.items() if not _is_single(points)}
        encoded = msgspec.json.encode(series, order="deterministic")
        return Logged(
            params=redactor.value(self._params),
            metrics={key: points[-1][1] for key, points in named.items()},
            tags=redactor.value(self._tags),
            artifacts=artifacts,
            series=blobs.put_bytes(encoded).sha256 if series else None,
        )


def _is_single(points: list[_Timed]) -> bool:
    """Return whether the last value is all there is to know."""
    return len(points) == 1 and points[0][0] is None


def _below(artifacts: str, path: str) -> str:
    """Return the file that a command names; it may not lead out of the folder, by symlinks either."""
    folder = os.path.realpath(artifacts)
    file = os.path.realpath(os.path.join(folder, path))
    if not file.startswith(f"{folder}/") or not os.path.isfile(file):
        raise ValueError(f"{path!r} is not a file below $NBDAG_ARTIFACTS")
    return file


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    try:
        with open(path, "rb") as file:
            yield from enumerate(file, 1)
    except FileNotFoundError:
        return


def _complaint(bad: list[str]) -> Failure | None:
    if not bad:
        return None
    more = f"\n(and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return Failure(type="BadLog", message=bad[0] + more)
