"""The messages between the driver and an executor."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from nbmake_dag.core.vocabulary import KernelStart, ReadKind
from nbmake_dag_cache.record import Access, Logged, Output
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.vocabulary import AttemptOutcome


class NotebookWork(msgspec.Struct, frozen=True, kw_only=True, tag="notebook"):
    """Execute the notebook at ``path``, relative to the root."""

    path: str
    form: str = ""
    """Its Jupytext format, where it is not to be guessed."""
    kernel: str
    interpreter: str | None = None
    """The Python whose ipykernel this is, where the driver is; ``None`` for other kernels."""
    options: tuple[str, ...] = ()
    """Those that this Python is started with."""
    python: str = ""
    """Implementation and minor version that the key has for this kernel; empty where it has none."""
    start: KernelStart = "warm"
    preload: tuple[str, ...] = ()
    shutdown_timeout: float = 30.0
    """Seconds from the last cell to the end of the kernel."""
    allow_errors: bool = False
    """A cell that raises does not make the attempt fail."""
    inject_inputs: bool = False
    inject_outputs: bool = False
    counted: frozenset[int] = frozenset()
    """Indices of the cells of the source that count."""


class FunctionWork(msgspec.Struct, frozen=True, kw_only=True, tag="function"):
    """Call ``module:qualname`` with the parameters, in a process of the driver's Python."""

    module: str
    qualname: str
    inject_inputs: bool = False
    inject_outputs: bool = False


class CommandWork(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """Run a program with its arguments, or one string with ``sh -ec``."""

    arguments: tuple[str, ...] | str


Work: TypeAlias = NotebookWork | FunctionWork | CommandWork

Declared: TypeAlias = "str | list[str | dict[str, Any]] | None"
"""A path, the files that a glob matches, or what is gathered: a list of ``{"path": ..., "params": ...}``.

``None`` for an optional input that is absent.
"""

Paths: TypeAlias = "dict[str, Declared] | list[Declared]"
"""Declared paths as the work sees them, relative to its working directory: named, or a list."""


class SeenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a task may see."""

    path: str
    """Relative to ``root``; a folder that may be empty ends with a slash."""
    blob: str | None = None
    """Its content, for a machine without the workspace."""
    size: int = 0
    """Bytes of the blob."""
    executable: bool = False


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tasks above left what `upstream()` gives, if there are any: in lines of JSON, a `Left` each.

    The build appends lines, and changes none. ``size`` are the bytes that there were; ``above`` are the offsets of
    the lines of the tasks right above, which name those above them.
    """

    file: str = ""
    size: int = 0
    above: tuple[int, ...] = ()


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What a task left for `upstream()`."""

    task: str
    position: int
    """Among the tasks of the pipeline."""
    above: tuple[int, ...]
    """The offsets of the lines of the tasks right above."""
    params: dict[str, Any]
    metrics: dict[str, float | str]
    tags: dict[str, str]
    artifacts: dict[str, tuple[str, int]]
    """The SHA-256 and the size of each blob."""


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Go on from the snapshot in ``folder``, in which the first ``cells`` cells that count have been executed."""

    folder: str
    cells: int


class EnvironmentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A Python environment that the machine makes which runs an attempt, unless it has it."""

    name: str
    python: str
    """The version: ``3.12``."""
    requirements: tuple[str, ...]
    """One line for each package, with its hashes, and nothing else."""
    build: bool = False
    """Packages without a wheel are built."""


class AttemptSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one task: everything a worker needs, and nothing it must look up."""

    run_id: str
    task: str
    attempt: int
    """1-based."""
    root: str
    """Absolute: the folder of ``pipeline.toml``, or a copy of it that holds what the task may see."""
    repository: str
    """Absolute: the git root, or ``root`` outside git. Files below it are local."""
    workdir: str
    """Relative to ``root``."""
    work: Work
    parameters: dict[str, Any]
    inputs: Paths
    outputs: Paths
    declared_outputs: tuple[str, ...]
    """Relative to ``root``; a directory ends with ``/``."""
    env: dict[str, str]
    """The whole environment of the work."""
    blobs: str
    """The folder of the cache that holds the blob store."""
    scratch: str
    """A private folder of this attempt, made by the driver."""
    runtime: str
    """A short private folder of this build: sockets, zygotes."""
    environment: EnvironmentSpec | None = None
    """What it runs in, where nbdag makes that."""
    python: str = ""
    """The interpreter of that, once it was made."""
    upstream: Upstream = Upstream()
    secrets: tuple[str, ...] = ()
    """Variables of ``env`` whose values nothing that is captured may hold."""
    timeout: float | None = None
    """Seconds, from the work being ready to run."""
    store: bool = True
    sees: tuple[SeenFile, ...] = ()
    """All that the task is known to use; empty where it is not needed."""
    sandbox: str = ""
    """A folder in which a private copy of the repository is made to run in, with what ``sees`` has; else empty."""
    apart: bool = False
    """Whether this machine has no workspace: the files of the copy are blobs, and outputs stay blobs."""
    snapshot_after: float | None = None
    """Take a snapshot of the kernel after cells that took at least so many seconds, after each with 0."""
    resume: Resume | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    custom: dict[str, float] = {}
    labels: dict[str, str] = {}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed, as it is shown to a person."""

    type: str
    """The exception's class, ``timeout``, ``exit`` or ``_OTHER``: ``error.type`` of its span."""
    message: str
    traceback: str = ""
    """Plain text; may hold ANSI colours."""
    cell: CellRef | None = None
    """The failing cell."""
    cell_source: str = ""
    line: int | None = None
    """1-based, within the cell or the file."""
    hint: str = ""
    """What a person can do about it."""


class CellRun(msgspec.Struct, frozen=True, kw_only=True):
    """One executed cell. Times in nanoseconds since the epoch. ``error`` and ``allowed`` are as in `CellEnded`."""

    cell: CellRef
    first_line: str
    started: int
    ended: int
    error: str | None = None
    allowed: str | None = None


class Read(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that `upstream()` was asked for.

    ``name`` is ``None`` where the set of names was read; ``task`` is empty where the set of tasks was read.
    """

    task: str
    kind: ReadKind
    name: str | None = None


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """The overhead of running an attempt on a node of a cluster."""

    placement_s: float = 0.0
    """From being submitted to being begun by a node."""
    seconds: float = 0.0
    """For blobs to travel, to the node and back."""
    fetched: int = 0
    """Bytes that travelled to the node."""
    shared: int = 0
    """Of those, bytes that came from the shared cache."""
    sent: int = 0
    """Bytes that travelled back."""


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt left, successful or not. Times in nanoseconds since the epoch."""

    outcome: AttemptOutcome
    started: int
    ended: int
    ready: int | None = None
    failure: Failure | None = None
    cells: tuple[CellRun, ...] = ()
    notebook: str | None = None
    """Blob: the executed notebook, with the injected cell."""
    cell_outputs: str | None = None
    """Blob: JSON list, one entry for each counted cell: ``{"outputs": [...], "execution_count": n}``."""
    injected: str | None = None
    """The code of the injected cell, of a notebook that has one."""
    log: str | None = None
    """Blob: what a function or command printed."""
    outputs: tuple[Output, ...] = ()
    logged: Logged = Logged()
    reads: tuple[Read, ...] = ()
    modules: tuple[str, ...] = ()
    """Local modules that were loaded, relative to ``root``, POSIX."""
    scripts: tuple[str, ...] = ()
    """Those of them that were started as processes."""
    commands: tuple[tuple[str, tuple[str, ...], str], ...] = ()
    """What was started: the folder, absolute or relative to ``root``, the words, and ``PYTHONPATH``."""
    decisive: dict[str, tuple[str, ...]] = {}
    """The files that would have been loaded instead of a module, and the folders, with a slash, whose modules
    decided that it was; without a module for those that count whatever was loaded."""
    accesses: tuple[Access, ...] = ()
    """Files below the repository that were opened, relative to ``root``; imports are left out."""
    sandboxed: bool = False
    """It ran in a private copy of the repository."""
    apart: bool = False
    """It ran on a machine without the workspace: its outputs are blobs that are not in place yet."""
    missed: tuple[str, ...] = ()
    """Files below the repository that were to be read, and were not in the copy; relative to ``root``."""
    cpu_s: float | None = None
    peak_rss: int | None = None
    """Bytes, the largest seen for the whole process group."""
    exit_code: int | None = None
    pid: int | None = None
    host: str | None = None
    node: str | None = None
    resumed: bool = False
    """It did not begin at the first cell, but went on from a snapshot."""
    mistaken: str = ""
    """How the kernel differs from the one in the key: there is no record."""
    withheld: tuple[str, ...] = ()
    """Outputs and artifacts that hold a secret, each with its name: they do not become blobs, and there is no
    record."""
    transfer: Transfer | None = None

    @property
    def failed_as_draft(self) -> bool:
        """Whether a run from the start may succeed where this attempt failed."""
        return self.resumed and self.outcome == "failed"


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """An attempt left the queue."""

    task: str
    attempt: int
    time: int
    pid: int | None = None
    node: str | None = None


class CellStarted(msgspec.Struct, frozen=True, kw_only=True, tag="cell_started"):
    """A cell began; ``total`` cells will be executed, this is number ``position``, 1-based."""

    task: str
    attempt: int
    time: int
    cell: CellRef
    position: int
    total: int
    first_line: str
    cell_id: str = ""
    """Its identifier in the executed notebook: that of the file, where it has one."""


class CellEnded(msgspec.Struct, frozen=True, kw_only=True, tag="cell_ended"):
    """A cell ended; ``error`` is the class of the exception that made it fail, ``allowed`` of one that did not."""

    task: str
    attempt: int
    time: int
    cell: CellRef
    error: str | None = None
    allowed: str | None = None


class Printed(msgspec.Struct, frozen=True, kw_only=True, tag="printed"):
    """Text that the work wrote, in pieces of at most 64 KiB."""

    task: str
    attempt: int
    time: int
    stream: str
    text: str
    cell: CellRef | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """An attempt is over; nothing of it runs any more."""

    task: str
    attempt: int
    result: AttemptResult


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag="returned"):
    """An attempt was not begun, and will not be: it waited behind another one."""

    task: str
    attempt: int


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of a cluster: what it has for tasks to occupy, and its labels."""

    name: str
    resources: dict[str, float]
    labels: dict[str, str]


class ExecutorReady(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """An executor can take tasks. ``resources`` is all that it has: ``CPU``, ``GPU``, ``memory``, custom names."""

    executor: str
    resources: dict[str, float]
    nodes: tuple[Node, ...] = ()
    """Of a cluster, its machines."""


class ExecutorLost(msgspec.Struct, frozen=True, kw_only=True, tag="lost"):
    """An executor is gone, and with it what it ran."""

    executor: str
    reason: str
    misused: bool = False
    """Whether what was asked of it is impossible."""


class ExecutorSays(msgspec.Struct, frozen=True, kw_only=True, tag="says"):
    """Something that a person who waits for an executor should read."""

    executor: str
    text: str


class Snapshotted(msgspec.Struct, frozen=True, kw_only=True, tag="snapshotted"):
    """A snapshot of a notebook waits in ``folder``, after the first ``cells`` cells that count.

    The injected cell is one of them. ``modules``, ``reads`` and ``opened`` are what the notebook had used so far,
    relative to the root.
    """

    task: str
    attempt: int
    time: int
    folder: str
    pid: int
    cells: int
    elapsed_s: float
    modules: tuple[str, ...]
    reads: tuple[Read, ...]
    opened: tuple[str, ...]


class Unresumable(msgspec.Struct, frozen=True, kw_only=True, tag="unresumable"):
    """A notebook cannot be resumed after ``cell``; ``None``: nowhere."""

    task: str
    attempt: int
    time: int
    cell: CellRef | None
    reason: str


class MakingEnvironment(msgspec.Struct, frozen=True, kw_only=True, tag="making_environment"):
    """An attempt makes the environment that it runs in."""

    task: str
    attempt: int
    time: int
    environment: str
    packages: int
    """How many it will have."""


class EnvironmentMade(msgspec.Struct, frozen=True, kw_only=True, tag="environment_made"):
    """The making has ended; ``error`` says why it failed, if it did."""

    task: str
    attempt: int
    time: int
    started: int
    environment: str
    packages: int
    error: str = ""


Event: TypeAlias = (
    Started
    | CellStarted
    | CellEnded
    | Printed
    | Ended
    | Returned
    | ExecutorReady
    | ExecutorLost
    | ExecutorSays
    | Snapshotted
    | Unresumable
    | MakingEnvironment
    | EnvironmentMade
)


class Submit(msgspec.Struct, frozen=True, kw_only=True, tag="submit"):
    """Run this attempt, after those that were submitted before."""

    spec: AttemptSpec
    known_failures: int | None = None
    """The attempts of this executor that did not succeed, as far as the driver knew.

    Where there were more, this one is returned: it may be that nothing is to begin any more. ``None`` for one that
    waits behind no other.
    """


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Interrupt this task, then kill it; answered by `Ended` with outcome ``cancelled``."""

    task: str
    grace: float
    """Seconds between the interrupt and the kill."""


class Recall(msgspec.Struct, frozen=True, kw_only=True, tag="recall"):
    """Return this attempt, if it has not begun."""

    task: str


class Close(msgspec.Struct, frozen=True, kw_only=True, tag="close"):
    """End yourself."""


Order: TypeAlias = Submit | Cancel | Recall | Close
