"""One run as readers see it, whether it ended, failed or was killed. Times in nanoseconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.spans import Attributes, Resource
from nbmake_dag_reporting.vocabulary import RecordedOutcome, RecordedResult, TaskStatus, TaskType


class Vcs(msgspec.Struct, frozen=True, kw_only=True):
    """The commit that a run saw. ``dirty`` is ``None`` where it is unknown."""

    repository_url: str | None = None
    repository_name: str | None = None
    owner: str | None = None
    provider: str | None = None
    head_name: str | None = None
    head_type: str | None = None
    head_revision: str | None = None
    base_name: str | None = None
    base_revision: str | None = None
    merge_revision: str | None = None
    """The trial merge of a pull request, which CI checked out in place of ``head_revision``."""
    change_id: str | None = None
    change_title: str | None = None
    dirty: bool | None = None


class Ci(msgspec.Struct, frozen=True, kw_only=True):
    """The job of a CI system that a run was part of."""

    provider: str
    url: str | None = None
    run_id: str | None = None
    run_attempt: str | None = None
    workflow: str | None = None
    job: str | None = None
    event: str | None = None
    actor: str | None = None


class RecordRef(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a record in the cache."""

    own_key: str
    key: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The task span that produced what a hit reuses."""

    run_id: str
    trace_id: str
    span_id: str


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A logged file; ``sha256`` names its blob."""

    sha256: str
    size: int
    media_type: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed, as it is shown to a person."""

    type: str
    message: str
    traceback: str = ""
    cell: CellRef | None = None
    cell_source: str = ""
    line: int | None = None


class CellRun(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one cell; ``ended`` is ``None`` where the run was cut off within it.

    ``error`` is the class of the exception that made it fail, ``allowed`` of one that did not.
    """

    cell: CellRef
    first_line: str
    started: int
    ended: int | None
    error: str | None = None
    allowed: str | None = None


class AttemptRun(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. ``outcome`` is that of its span, or ``interrupted`` where the run was cut off within it."""

    number: int
    outcome: RecordedOutcome
    started: int
    ended: int | None
    failure: Failure | None = None
    cells: tuple[CellRun, ...] = ()
    cpu_s: float | None = None
    peak_rss: int | None = None
    wait_s: float | None = None
    pool: str | None = None
    """The pool that it waited for, before it began, and for how long."""
    pool_wait_s: float | None = None
    exit_code: int | None = None
    host: str | None = None
    node: str | None = None
    log: str | None = None
    notebook: str | None = None
    span_id: str = ""


class TaskRun(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one task. ``log``, ``notebook``, ``cells`` and ``series`` name blobs.

    ``source`` and ``saved_s`` are of hits; ``notebook_source`` is the digest of the notebook as it then was.
    """

    name: str
    family: str
    status: TaskStatus
    type: TaskType | Literal[""] = ""
    path: str | None = None
    form: str = ""
    """The format of a text notebook, where the pipeline gives one."""
    reasons: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """A code for each reason; none in the records of older versions."""
    started: int | None = None
    ended: int | None = None
    span_id: str = ""
    key: str | None = None
    record: RecordRef | None = None
    source: Source | None = None
    saved_s: float = 0.0
    draft: bool = False
    accepted: bool = False
    upstreams: tuple[str, ...] = ()
    params: Attributes = {}
    metrics: Mapping[str, float] = {}
    tags: Mapping[str, str] = {}
    artifacts: Mapping[str, Artifact] = {}
    scripts: Mapping[str, Artifact] = {}
    """Of the libraries that draw its interactive figures."""
    outputs: Mapping[str, str] = {}
    undeclared_reads: tuple[str, ...] = ()
    undeclared_writes: tuple[str, ...] = ()
    series: str | None = None
    cells: str | None = None
    notebook_source: str | None = None
    attempts: tuple[AttemptRun, ...] = ()
    waits_for: str = ""
    """The pool that it waited for when the last event of a run without an end was written."""


class RunHead(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a list shows it. ``result`` is ``interrupted``, and ``ended`` ``None``, where there is no end."""

    id: str
    directory: str
    trace_id: str
    pipeline: str
    started: int
    ended: int | None
    result: RecordedResult
    exit_code: int | None
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    vcs: Vcs = msgspec.field(default_factory=Vcs)
    ci: Ci | None = None
    parameters: Attributes = {}
    counts: Mapping[str, int] = {}
    """Tasks by status, and ``total``."""
    saved_s: float = 0.0
    kind: str = ""
    """What it was for, if it was no build: ``replay``, ``bisect`` or ``blame``."""


class Run(RunHead, frozen=True, kw_only=True):
    """A whole run: `RunHead`, and all its tasks, in the order of the pipeline."""

    tasks: Mapping[str, TaskRun] = {}
    resource: Resource = msgspec.field(default_factory=Resource)
    lost: tuple[str, ...] = ()
    """Tables of its hits that are gone or damaged: the tasks in them are missing."""
