"""The values that a pipeline is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NewType, TypeAlias, assert_never

import msgspec

from nbmake_dag.core.vocabulary import CompareKind, KernelStart, RemoteMode
from nbmake_dag_reporting.vocabulary import Direction, TaskType

TaskName = NewType("TaskName", str)
"""The name of an instance: ``eda``, or ``train[nr_train_images=600]``."""

ProjectPath = NewType("ProjectPath", str)
"""A normalised POSIX path relative to the folder of ``pipeline.toml``; a directory ends with ``/``."""

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
"""What a parameter can be: TOML without dates. ``None`` cannot be written in TOML but may come from Python."""

_NOTHING: Mapping[str, Any] = {}


def nothing() -> Mapping[Any, Any]:
    """Return the empty mapping that all share who have nothing: of a million tasks most have several."""
    return _NOTHING


class Notebook(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook, ``.ipynb`` or any text format that Jupytext reads."""

    path: ProjectPath
    form: str = ""
    """The format in Jupytext's spelling, such as ``py:sphinx``, where it is not to be guessed."""
    paired: ProjectPath | None = None
    """The ``.ipynb`` that ``pipeline.toml`` names, if Jupytext pairs it with the text at ``path``."""
    kernel: str | None = None
    """The kernelspec that ``pipeline.toml`` asks for; ``None`` takes the notebook's own, else ``python3``."""
    allow_errors: bool | None = None
    """Whether a cell that raises does not make the task fail; ``None`` uses the notebook's metadata."""
    inject_inputs: bool = False
    """Its parameters cell assigns ``inputs``, and gets the declared ones there."""
    inject_outputs: bool = False


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A Python function, ``module:callable``."""

    module: str
    qualname: str
    inject_inputs: bool = False
    """Its signature names ``inputs``, and gets the declared ones there."""
    inject_outputs: bool = False


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What the parameters cell of a notebook assigns, or what a function's signature names.

    ``names`` is ``None`` where that is not known, as for kernels of other languages: everything declared
    reaches it. ``takes_any``: the function has ``**kwargs``, so that all of its task's own parameters reach it.
    ``paired_with``: the text that Jupytext pairs an ``.ipynb`` with, whose cells count.
    """

    names: frozenset[str] | None = None
    paired_with: ProjectPath | None = None
    takes_any: bool = False
    assigns_inputs: bool = False
    assigns_outputs: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A program with its arguments, or one string for ``sh -ec``; ``{name}``s are already replaced."""

    arguments: tuple[str, ...] | str


Work: TypeAlias = Notebook | Function | Command


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file elsewhere. ``recheck`` in seconds, ``max_size`` in bytes."""

    url: str
    """As it is asked for, without a fragment."""
    sha256: str | None = None
    """What its content must be."""
    is_version: bool = False
    """The URL names a version of an object, which never changes."""
    recheck: float = 86_400.0
    """How old an answer may be before the server is asked again."""
    max_size: int = 1_000_000_000
    fetch: bool = True
    """``False``: the task gets the URL, and no copy."""

    @property
    def key(self) -> str:
        """The URL, with the hash if there is one: what is known of the file is kept under this."""
        return f"{self.url}#sha256={self.sha256}" if self.sha256 else self.url

    @property
    def is_pinned(self) -> bool:
        """Whether its content cannot change: nobody is asked again."""
        return self.sha256 is not None or self.is_version


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A declared input: a path, or a glob. ``name`` is ``None`` in a list; ``optional``: it may be absent.

    That of a ``remote`` file has the path of its local copy.
    """

    path: ProjectPath
    name: str | None = None
    is_glob: bool = False
    optional: bool = False
    remote: RemoteFile | None = None


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """One of the outputs that an input gathers, with the values of the instance that makes it."""

    path: ProjectPath
    params: Mapping[str, Value]


class CompareRule(msgspec.Struct, frozen=True, kw_only=True):
    """How an output is compared with the same output of another execution.

    Numbers are equal within ``atol + rtol * |recorded|``; the pixels of pictures within ``atol``, of 255.
    """

    how: CompareKind = "bytes"
    rtol: float = 0.0
    atol: float = 0.0
    ignored: tuple[str, ...] = ()
    """Columns that may differ."""


class _Comparable(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is equal to another where all is equal that can decide a result."""

    not_compared: ClassVar[frozenset[str]]
    """The fields that cannot, such as places in files."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._compared() == other._compared()

    def __ne__(self, other: object) -> bool:
        # that of a struct compares identities here
        return not self == other

    def __hash__(self) -> int:
        return hash(self._compared())

    def _compared(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name not in self.not_compared)


class Output(_Comparable, frozen=True, kw_only=True):
    """A declared output; ``path`` ends with ``/`` for a directory."""

    not_compared = frozenset({"rule"})

    path: ProjectPath
    name: str | None = None
    rule: CompareRule = msgspec.field(default_factory=CompareRule)
    """It decides no result."""


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What a running task occupies. ``memory`` in bytes; ``labels`` choose nodes of a cluster."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    custom: Mapping[str, float] = {}
    labels: Mapping[str, str] = {}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a task is run and kept; nothing here decides its result, so nothing here is in its key.

    Durations in seconds; ``None`` means no limit.
    """

    timeout: float | None = None
    retries: int = 0
    retry_delay: float = 0.0
    resources: Resources = msgspec.field(default_factory=Resources)
    pools: Mapping[str, int] = {}
    """How many places of each pool it takes while it runs."""
    priority: int = 0
    check: bool = False
    """Whether it tests what it reads: its failure fails the build, and stops and skips nothing."""
    cache: bool = True
    """``False``: always executed, nothing stored."""
    store: bool = True
    """``False``: the digests of outputs are kept, not their bytes."""
    max_age: float | None = None
    strict: bool = False
    sandbox: bool = False
    notebook_output: ProjectPath | None = None


class Task(_Comparable, frozen=True, kw_only=True):
    """One node of the graph: a task, or one of its instances."""

    not_compared = frozenset({"lines"})

    name: TaskName
    family: str
    """The name in ``pipeline.toml``: ``train`` for ``train[nr_train_images=600]``."""
    work: Work
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    parameters: Mapping[str, Value] = {}
    """Those that reach the work, resolved by precedence."""
    values: Mapping[str, Value] = {}
    """The values that tell this instance from others, also those that only paths use."""
    gathers: Mapping[str, tuple[Gathered, ...]] = msgspec.field(default_factory=nothing)
    """The inputs that are outputs of all instances of a task, by name, in the order of the pipeline.

    Each of the files is among ``inputs`` too, under that name.
    """
    after: tuple[TaskName, ...] = ()
    source: Input | None = None
    """What its instances come from, where that is made by other tasks: it comes after those."""
    is_unknown: bool = False
    """It stands for all instances of a family that are known only when other tasks have ended.

    Its outputs are globs of what they may make.
    """
    workdir: ProjectPath = ProjectPath("./")
    environment: EnvironmentSettings | None = None
    """What it runs in, where nbdag makes that."""
    env: Mapping[str, str] = {}
    """Its own variables, over those of its environment."""
    secrets: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    description: str = ""
    policy: Policy = msgspec.field(default_factory=Policy)
    file: str = "pipeline.toml"
    """The file that declares it, relative to the root: ``pipeline.toml``, or a part of it."""
    line: int = 0
    """Its line there."""
    lines: Mapping[str, int] = {}
    """Those of its keys, which may be in ``[defaults]``."""

    def line_of(self, key: str) -> int:
        """Return the line of a key, or of the task where it has none."""
        return self.lines.get(key, self.line)

    def place_of(self, key: str = "") -> str:
        """Return where a key, or the task, stands: ``pipeline.toml:12``."""
        return f"{self.file}:{self.line_of(key)}"

    @property
    def type(self) -> TaskType:
        match self.work:
            case Notebook():
                return "notebook"
            case Function():
                return "function"
            case Command():
                return "command"
            case _:
                assert_never(self.work)


class SoftwareSettings(_Comparable, frozen=True, kw_only=True):
    """``[software]``: what identifies software that somebody else installed, in every task's key."""

    not_compared = frozenset({"place"})

    lockfiles: tuple[ProjectPath, ...] = ()
    packages: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    place: str = ""
    """Where the lock files are declared."""


class EnvironmentSettings(_Comparable, frozen=True, kw_only=True):
    """``[environments.NAME]``: a Python environment that nbdag makes from a lock file."""

    not_compared = frozenset({"place"})

    name: str
    lock: ProjectPath
    python: tuple[int, int] | None = None
    """``None``: the version that nbdag runs in."""
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    build: bool = False
    """Whether packages without a wheel are built."""
    place: str = ""
    """Where its lock file is named: ``pipeline.toml:12``."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[cache]``. Sizes in bytes, ages in seconds."""

    max_size: int = 10_000_000_000
    max_age: float | None = None
    epoch: str = ""
    """Part of every key: changing it invalidates everything cached."""
    remote: str | None = None
    remote_mode: RemoteMode = "read"
    trusted_branches: tuple[str, ...] = ("main", "master")
    """Those whose builds in CI write what every build reads."""
    public_keys: tuple[str, ...] = ()
    """If there are any, a shared record counts only if one of them signed it."""

    @property
    def reads_remote(self) -> bool:
        return self.remote is not None and self.remote_mode != "write"

    @property
    def writes_remote(self) -> bool:
        return self.remote is not None and self.remote_mode != "read"


class KernelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[kernel]``. ``preload`` are modules imported before forking; ``snapshots`` in bytes.

    ``shutdown_timeout`` in seconds, from the last cell to the end of the kernel.
    """

    start: KernelStart = "warm"
    preload: tuple[str, ...] = ()
    snapshots: int = 1_000_000_000
    shutdown_timeout: float = 30.0


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[watch]``. ``quiet`` in seconds: the time without a change before a build."""

    quiet: float = 0.05


class SlurmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[ray.slurm]``: the allocation that ``sbatch`` is asked for. ``time`` in seconds."""

    nodes: int = 1
    partition: str | None = None
    account: str | None = None
    time: float | None = None
    gres: str | None = None
    constraint: str | None = None
    options: tuple[str, ...] = ()
    """Further options of ``sbatch``."""


class RaySettings(_Comparable, frozen=True, kw_only=True):
    """``[ray]``."""

    not_compared = frozenset({"address_place"})

    address: str | None = None
    address_place: str = ""
    runtime_env: Mapping[str, object] = {}
    slurm: SlurmSettings = msgspec.field(default_factory=SlurmSettings)


class MetricSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[report.metrics.NAME]``: which way is better, and by how much it must differ."""

    direction: Direction | None = None
    tolerance: float = 0.0
    alert: str = ""
    """What raises an alert: ``worse``, or a limit such as ``< 0.9``."""


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[report]``. Sizes in bytes."""

    publish_host: bool = False
    previews: bool = False
    """Whether the site has the first rows and figures of declared outputs."""
    max_size: int = 900_000_000
    allow: tuple[str, ...] = ()
    """Variables that are named like secrets, and are none."""
    metrics: Mapping[str, MetricSettings] = {}
    views: Mapping[str, str] = {}
    """Names of the site's pages as somebody set them, each with its address."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one ``pipeline.toml`` says of all its tasks: it is known where their instances are not."""

    name: str
    software: SoftwareSettings = msgspec.field(default_factory=SoftwareSettings)
    cache: CacheSettings = msgspec.field(default_factory=CacheSettings)
    kernel: KernelSettings = msgspec.field(default_factory=KernelSettings)
    watch: WatchSettings = msgspec.field(default_factory=WatchSettings)
    ray: RaySettings = msgspec.field(default_factory=RaySettings)
    report: ReportSettings = msgspec.field(default_factory=ReportSettings)
    pools: Mapping[str, int] = {}
    """The places of each pool that tasks take from."""
    keep_runs: int = 200
    keep_inputs: bool = False
    """Whether the inputs that no task makes are kept as blobs, so that their tasks can be replayed."""
    ignore: tuple[str, ...] = ()
    """Patterns of files that folder and glob inputs leave out, in addition to `nbmake_dag.core.ignore.DEFAULT`."""
    secrets: tuple[str, ...] = ()
    """The variables that any task declares as secrets, also one that has no instances."""
    urls: tuple[str, ...] = ()
    """Those of remote inputs, as far as they are known: of all instances, or what these have in common."""


class Pipeline(Settings, frozen=True, kw_only=True):
    """The content of one ``pipeline.toml``, tasks expanded to instances, parameters resolved."""

    tasks: Mapping[TaskName, Task]
    """In the order of the file; instances in the order of their lists, rows or paths."""
    data: tuple[ProjectPath, ...] = ()
    """The files whose rows or names are instances."""
    empty: Mapping[str, str] = {}
    """The tasks that have no instances, each with the reason."""
