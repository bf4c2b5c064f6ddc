"""The values that a pipeline is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType, TypeAlias

TaskName = NewType("TaskName", str)
"""The name of an instance: ``eda``, or ``train[nr_train_images=600]``."""

ProjectPath = NewType("ProjectPath", str)
"""A normalised POSIX path relative to the folder of ``pipeline.toml``; a directory ends with ``/``."""

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
"""What a parameter can be: TOML without dates. ``None`` cannot be written in TOML but may come from Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A notebook, ``.ipynb`` or any text format that Jupytext reads."""

    path: ProjectPath
    kernel: str | None = None
    """The kernelspec that ``pipeline.toml`` asks for; ``None`` takes the notebook's own, else ``python3``."""
    inject_inputs: bool = False
    """Its parameters cell assigns ``inputs``, and gets the declared ones there."""
    inject_outputs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A Python function, ``module:callable``."""

    module: str
    qualname: str
    inject_inputs: bool = False
    """Its signature names ``inputs``, and gets the declared ones there."""
    inject_outputs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments, or one string for ``sh -ec``; ``{name}``s are already replaced."""

    arguments: tuple[str, ...] | str


Work: TypeAlias = Notebook | Function | Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A declared input: a path, or a glob. ``name`` is ``None`` in a list."""

    path: ProjectPath
    name: str | None = None
    is_glob: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A declared output; ``path`` ends with ``/`` for a directory."""

    path: ProjectPath
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a running task occupies. ``memory`` in bytes; ``labels`` choose nodes of a cluster."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    custom: Mapping[str, float] = field(default_factory=dict[str, float])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a task is run and kept; nothing here decides its result, so nothing here is in its key.

    Durations in seconds; ``None`` means no limit.
    """

    timeout: float | None = None
    retries: int = 0
    retry_delay: float = 0.0
    resources: Resources = field(default_factory=Resources)
    cache: bool = True
    """``False``: always executed, nothing stored."""
    store: bool = True
    """``False``: the digests of outputs are kept, not their bytes."""
    max_age: float | None = None
    strict: bool = False
    sandbox: bool = False
    notebook_output: ProjectPath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One node of the graph: a task, or one instance of a matrix."""

    name: TaskName
    family: str
    """The name in ``pipeline.toml``: ``train`` for ``train[nr_train_images=600]``."""
    work: Work
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Those that reach the work, resolved by precedence."""
    after: tuple[TaskName, ...] = ()
    workdir: ProjectPath = ProjectPath("./")
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    description: str = ""
    policy: Policy = field(default_factory=Policy)
    line: int = 0
    """Where it stands in ``pipeline.toml``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the pipeline declares to identify its software, in every task's key."""

    lockfiles: tuple[ProjectPath, ...] = ()
    packages: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """``[cache]``. Sizes in bytes, ages in seconds."""

    max_size: int = 10_000_000_000
    max_age: float | None = None
    epoch: str = ""
    """Part of every key: changing it disowns all that was cached."""
    remote: str | None = None
    remote_mode: str = "read"
    trusted_branches: tuple[str, ...] = ("main", "master")
    """Those whose builds in CI write what every build reads."""
    public_keys: tuple[str, ...] = ()
    """If there are any, a shared record counts only if one of them signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSettings:
    """``[kernel]``.

    ``start`` is ``warm`` (forked) or ``fresh``; ``preload`` are modules imported
    before forking; ``snapshots`` in bytes.
    """

    start: str = "warm"
    preload: tuple[str, ...] = ()
    snapshots: int = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """``[ray]``."""

    address: str | None = None
    runtime_env: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSettings:
    """``[report.metrics.NAME]``: which way is better (``higher`` or ``lower``), and by how much it must differ."""

    direction: str | None = None
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """``[report]``. Sizes in bytes."""

    publish_host: bool = False
    max_size: int = 900_000_000
    metrics: Mapping[str, MetricSettings] = field(default_factory=dict[str, MetricSettings])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The content of one ``pipeline.toml``, matrix expanded, parameters resolved."""

    name: str
    tasks: Mapping[TaskName, Task]
    """In the order of the file; instances in the order of their matrix."""
    environment: Environment = field(default_factory=Environment)
    cache: CacheSettings = field(default_factory=CacheSettings)
    kernel: KernelSettings = field(default_factory=KernelSettings)
    ray: RaySettings = field(default_factory=RaySettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    keep_runs: int = 200
