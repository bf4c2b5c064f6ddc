"""The types of ``pipeline.toml``: they validate it, and their descriptions are its JSON Schema.

A key that the file does not have is ``UNSET``; what that means is written in `nbmake_dag.core.model`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from nbmake_dag.config import units
from nbmake_dag.core.vocabulary import CompareKind, KernelStart, RemoteMode, ValueType
from nbmake_dag_reporting.vocabulary import A_VIEW, ALERT, AN_ALERT, VIEW, Direction


class Duration(float):
    """Seconds; read by `nbmake_dag.config.units.seconds`."""


class PositiveDuration(float):
    """Seconds, more than zero."""


class Size(int):
    """Bytes; read by `nbmake_dag.config.units.size`."""


def decode(kind: type, value: object) -> object:
    """Read the values that have units: msgspec's ``dec_hook``."""
    if kind is Size:
        return Size(units.size(value))
    seconds = units.seconds(value)
    if kind is PositiveDuration and seconds == 0:
        raise ValueError("must be more than zero")
    return kind(seconds)


def describe_unit(kind: type) -> dict[str, Any]:
    """Describe the values that have units: msgspec's ``schema_hook``.

    Editors show a text in the place of the pattern that a value does not match.
    """
    if kind is Size:
        text, examples = units.A_SIZE, ["500MB", "10GB"]
        return {"type": ["string", "integer"], "pattern": units.SIZE_PATTERN, "minimum": 0} | _said(text, examples)
    bound: dict[str, Any] = {"minimum": 0, "maximum": units.MAX_SECONDS}
    if kind is PositiveDuration:
        bound = {
            "exclusiveMinimum": 0,
            "maximum": units.MAX_SECONDS,
            "not": {"type": "string", "pattern": "^[0.dhms]+$"},
        }
    text, examples = units.A_DURATION, ["10s", "1h30m"]
    return {"type": ["string", "number"], "pattern": units.DURATION_PATTERN} | bound | _said(text, examples)


def _said(expected: str, examples: list[str]) -> dict[str, Any]:
    text = f"must be {expected}"
    return {"examples": examples, "errorMessage": text, "patternErrorMessage": text}


def _doc(description: str, expected: str = "") -> Meta:
    """Describe a key for editors, and what it expects for complaints."""
    return Meta(description=description, extra={"expected": expected})


Flag: TypeAlias = bool | UnsetType
Text: TypeAlias = str | UnsetType
Texts: TypeAlias = list[str] | UnsetType
AlertText: TypeAlias = Annotated[str, Meta(pattern=ALERT)] | UnsetType
ViewAddress: TypeAlias = Annotated[str, Meta(pattern=VIEW)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType
Amount: TypeAlias = Annotated[float, Meta(ge=0, le=1e12)]
Places: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
Outputs: TypeAlias = "list[str] | dict[str, str | OutputTable] | UnsetType"
Inputs: TypeAlias = "list[str] | dict[str, str | InputTable] | UnsetType"
Parameters: TypeAlias = dict[str, Any] | UnsetType

_FLAG = "`true` or `false`"
_TEXT = "a string"
_TEXTS = "a list of strings"
_PATHS = 'a list of paths or a table of named paths, such as `["data/x.csv"]` or `{ x = "data/x.csv" }`'
_TABLE = "a table"
_LISTS = "a table of lists of values"
_ROWS = "a list of tables"
_COUNT = "a whole number from 0 to 1000000"
_AMOUNT = "a number from 0"
_POOLS = "a table of whole numbers from 1 to 1000000"


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of fixed keys."""


class PipelineTable(_Table, frozen=True):
    """The pipeline as a whole."""

    name: Annotated[Text, _doc("The name of the pipeline in run records and on the site.", _TEXT)] = UNSET
    ignore: Annotated[
        Texts,
        _doc(
            "Names or paths that folder and glob inputs leave out, besides what Python, Jupyter and editors drop"
            " there; `!` takes one back.",
            _TEXTS,
        ),
    ] = UNSET
    parts: Annotated[
        Texts,
        _doc(
            "Paths or globs of the pipeline files of folders below, whose tasks belong to this pipeline, as"
            " `etl/clean`.",
            _TEXTS,
        ),
    ] = UNSET


class SoftwareTable(_Table, frozen=True):
    """What identifies the software that tasks run with; a change makes every task stale."""

    lockfiles: Annotated[Texts, _doc("Lock files whose content counts.", _TEXTS)] = UNSET
    packages: Annotated[
        Texts, _doc("Distributions whose version, as installed in the kernel's environment, counts.", _TEXTS)
    ] = UNSET
    variables: Annotated[Texts, _doc("Environment variables whose value counts; unset is not empty.", _TEXTS)] = (
        UNSET
    )


class EnvironmentTable(_Table, frozen=True):
    """A Python environment that nbdag makes from a lock file, for the tasks that name it."""

    lock: Annotated[
        Text,
        _doc(
            "Its lock file: `uv.lock`, `pylock.toml`, or a `requirements.txt` with hashes. What it selects here"
            " counts.",
            "a path",
        ),
    ] = UNSET
    python: Annotated[
        Text, _doc("Its Python; the version that nbdag runs in unless set.", 'a version such as `"3.12"`')
    ] = UNSET
    groups: Annotated[Texts, _doc("Dependency groups of the lock file that it has too.", _TEXTS)] = UNSET
    extras: Annotated[Texts, _doc("Extras of the project that it has too.", _TEXTS)] = UNSET
    env: Annotated[
        dict[str, str] | UnsetType,
        _doc("Environment variables of its tasks; those of a task's own `env` come first.", "a table of strings"),
    ] = UNSET
    build: Annotated[
        Flag, _doc("`true`: packages without a wheel are built, which executes code of theirs.", _FLAG)
    ] = UNSET


class CacheTable(_Table, frozen=True):
    """Retention of the cache, and where it is shared."""

    max_size: Annotated[Size | UnsetType, _doc("The size to which the cache is trimmed, least used first.")] = (
        UNSET
    )
    max_age: Annotated[
        PositiveDuration | UnsetType, _doc("Records that were not used for this long are dropped.")
    ] = UNSET
    epoch: Annotated[
        Text, _doc("A text that is part of every cache key; change it to invalidate all results.", _TEXT)
    ] = UNSET
    remote: Annotated[
        Text, _doc("A shared cache: a directory, or a URL of a file system that fsspec knows.", _TEXT)
    ] = UNSET
    remote_mode: Annotated[
        RemoteMode | UnsetType,
        _doc(
            "Whether the shared cache is read, written, or both; `read` unless set.",
            "`read`, `write` or `read-write`",
        ),
    ] = UNSET
    trusted_branches: Annotated[
        Texts,
        _doc("Branches whose builds in CI share what every build reads; `main` and `master` unless set.", _TEXTS),
    ] = UNSET
    public_keys: Annotated[
        Texts, _doc("Ed25519 public keys in base64: a shared record must be signed by one of them.", _TEXTS)
    ] = UNSET


class RunsTable(_Table, frozen=True):
    """The records of runs."""

    keep: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType,
        _doc("How many of the last runs stay complete.", "a whole number from 1 to 1000000"),
    ] = UNSET
    keep_inputs: Annotated[
        Flag,
        _doc(
            "`true`: the inputs that no task makes are stored as well, so that `nbdag replay` finds them when they"
            " have changed.",
            _FLAG,
        ),
    ] = UNSET


class KernelTable(_Table, frozen=True):
    """How kernels start."""

    start: Annotated[
        KernelStart | UnsetType,
        _doc(
            "`warm` forks Python kernels from a prepared process, `fresh` starts each anew.", "`warm` or `fresh`"
        ),
    ] = UNSET
    preload: Annotated[Texts, _doc("Modules that the prepared process imports.", _TEXTS)] = UNSET
    snapshots: Annotated[
        Size | UnsetType,
        _doc("The memory for snapshots of kernels, from which `nbdag watch` resumes notebooks; `0` for none."),
    ] = UNSET
    shutdown_timeout: Annotated[
        PositiveDuration | UnsetType,
        _doc("How long a kernel may take to end after its last cell; one that takes longer fails its task."),
    ] = UNSET


class WatchTable(_Table, frozen=True):
    """How `nbdag watch` builds."""

    quiet: Annotated[
        Duration | UnsetType,
        _doc(
            "How long files must be unchanged before a build begins: 50 ms by default, up to two seconds while"
            " changes interrupt builds."
        ),
    ] = UNSET


class SlurmTable(_Table, frozen=True):
    """The allocation that a build on SLURM asks `sbatch` for."""

    nodes: Annotated[
        Places | UnsetType, _doc("How many nodes; 1 unless set.", "a whole number from 1 to 1000000")
    ] = UNSET
    partition: Annotated[Text, _doc("The partition.", _TEXT)] = UNSET
    account: Annotated[Text, _doc("The account that is charged.", _TEXT)] = UNSET
    time: Annotated[
        PositiveDuration | UnsetType,
        _doc("How long the nodes are kept at most; the partition's limit by default."),
    ] = UNSET
    gres: Annotated[Text, _doc("What each node has to give, such as `gpu:2`.", _TEXT)] = UNSET
    constraint: Annotated[Text, _doc("Features that the nodes must have.", _TEXT)] = UNSET
    options: Annotated[
        Texts, _doc("Further options of `sbatch`, such as `--cpus-per-task=16`.", "a list of strings")
    ] = UNSET


class RayTable(_Table, frozen=True):
    """The Ray cluster, when tasks do not run on this machine."""

    address: Annotated[
        Text, _doc("The address of a cluster; `auto`; or `slurm`, to have nodes allocated.", _TEXT)
    ] = UNSET
    runtime_env: Annotated[dict[str, Any] | UnsetType, _doc("Ray's runtime environment of tasks.", _TABLE)] = UNSET
    slurm: Annotated[SlurmTable | UnsetType, _doc("The nodes of an allocation of SLURM.", _TABLE)] = UNSET


class ResourcesTable(_Table, frozen=True):
    """The resources that a running task occupies."""

    cpus: Annotated[Amount | UnsetType, _doc("CPUs; 1 unless set.", _AMOUNT)] = UNSET
    gpus: Annotated[Amount | UnsetType, _doc("GPUs.", _AMOUNT)] = UNSET
    memory: Annotated[Size | UnsetType, _doc("Memory.")] = UNSET
    custom: Annotated[
        dict[str, Amount] | UnsetType, _doc("Custom resources of a Ray cluster.", "a table of numbers")
    ] = UNSET
    node: Annotated[
        dict[str, str] | UnsetType, _doc("Labels that a node of the cluster must have.", "a table of strings")
    ] = UNSET


class InputTable(_Table, frozen=True):
    """An input that is more than a path: optional, elsewhere, or the outputs of all instances of a task."""

    path: Annotated[Text, _doc("The path or glob, as it would be written alone.", "a path")] = UNSET
    optional: Annotated[
        Flag,
        _doc(
            "`true`: it may be absent. The task then gets `None` (`null`) for it, and an empty list for a glob; it"
            " runs again when the file appears or goes.",
            _FLAG,
        ),
    ] = UNSET
    task: Annotated[Text, _doc("The task whose outputs are gathered, or one instance.", "the name of a task")] = (
        UNSET
    )
    output: Annotated[Text, _doc("Which of its outputs, where it has several.", "the name of an output")] = UNSET
    url: Annotated[
        Text,
        _doc(
            "Where the file is: `https`, `s3` or another that fsspec knows, with `#sha256=...` if it is fixed.",
            "a URL",
        ),
    ] = UNSET
    recheck: Annotated[
        Duration | UnsetType,
        _doc("How old the last answer of the server may be, by default a day; `0s`: each build asks."),
    ] = UNSET
    max_size: Annotated[Size | UnsetType, _doc("The largest size that is fetched, by default 1 GB.")] = UNSET
    fetch: Annotated[
        Flag, _doc("`false`: the task gets the URL, which must have a hash or a version, and no copy.", _FLAG)
    ] = UNSET


class OutputTable(_Table, frozen=True):
    """An output that is more than a path: how `nbdag replay` compares it. None of it is in the task's key."""

    path: Annotated[str, _doc("The path, as it would be written alone.", "a path")]
    compare: Annotated[
        CompareKind | UnsetType,
        _doc(
            "`bytes`, unless set; `text` compares lines, `numeric` the values of CSV, JSON, Parquet and NumPy"
            " files and the numbers in other texts, `image` pixels.",
            "`bytes`, `text`, `numeric` or `image`",
        ),
    ] = UNSET
    rtol: Annotated[
        Amount | UnsetType, _doc("How much numbers may differ, relative to the recorded one.", _AMOUNT)
    ] = UNSET
    atol: Annotated[
        Amount | UnsetType, _doc("How much numbers, or pixels from 0 to 255, may differ.", _AMOUNT)
    ] = UNSET
    ignore_columns: Annotated[
        Texts, _doc("Columns of a table, or members of JSON objects, that may differ.", _TEXTS)
    ] = UNSET


class InstancesTable(_Table, frozen=True):
    """Where the instances of a task come from: one of `product`, `rows`, `files` and `set`."""

    product: Annotated[
        dict[str, list[Any]] | UnsetType,
        _doc("Parameters with lists of values: one instance for each combination, as `matrix`.", _LISTS),
    ] = UNSET
    exclude: Annotated[
        list[dict[str, Any]] | UnsetType,
        _doc("Combinations of `product` that are left out: those with all the values of one table.", _ROWS),
    ] = UNSET
    include: Annotated[
        list[dict[str, Any]] | UnsetType,
        _doc(
            "Instances besides those of `product`; a table that contradicts no value of a combination adds its"
            " other values to it, as on GitHub Actions.",
            _ROWS,
        ),
    ] = UNSET
    rows: Annotated[
        list[dict[str, Any]] | str | UnsetType,
        _doc(
            "One instance for each table of a list, or for each row of a file: `.csv`, `.json`, `.jsonl`, or"
            " `.toml`. Columns are parameters. Another task may make the file.",
            "a list of tables, or the path of a file",
        ),
    ] = UNSET
    files: Annotated[
        Text,
        _doc(
            "One instance for each file that matches, as `data/{city}-{year}.csv`; what the braces match are"
            " parameters. Another task may make the files.",
            "a path with `{name}` for each parameter",
        ),
    ] = UNSET
    set: Annotated[Text, _doc("The name of a table in `[sets]`, whose instances this task has too.", _TEXT)] = (
        UNSET
    )
    types: Annotated[
        dict[str, ValueType] | UnsetType,
        _doc(
            "How the text of a CSV column, or of what braces match, is read: `text`, `int`, `float` or `bool`.",
            "a table of `text`, `int`, `float` or `bool`",
        ),
    ] = UNSET


class TaskKeys(_Table, frozen=True):
    """The keys of a task that a profile may set."""

    notebook: Annotated[
        Text, _doc("The notebook to run: `.ipynb`, or a text format that Jupytext reads.", "a path")
    ] = UNSET
    function: Annotated[
        Text,
        _doc(
            "The Python function to call: `module:callable`. Its arguments are the task's parameters, and `inputs`"
            " and `outputs`, as declared, if it has parameters of these names.",
            "`module:callable`",
        ),
    ] = UNSET
    command: Annotated[
        list[str] | str | UnsetType,
        _doc(
            "The command to run: a list of arguments, or a string for `sh -ec`. `{name}` is a parameter.",
            "a list of arguments, or a string for `sh -ec`",
        ),
    ] = UNSET
    inputs: Annotated[
        Inputs,
        _doc(
            "Paths or globs of the files that the task reads. `{name}` is a parameter. With a name, it may be"
            " `{ path = PATH, optional = true }`, which may be absent; `{ task = NAME }` gathers the outputs of"
            " all instances of a task.",
            _PATHS,
        ),
    ] = UNSET
    outputs: Annotated[
        Outputs,
        _doc(
            "Paths of what the task writes; a folder ends with `/`. `{name}` is a parameter. With a name, it may"
            ' be `{ path = PATH, compare = "numeric", rtol = 1e-6 }`: how `nbdag replay` compares it.',
            _PATHS,
        ),
    ] = UNSET
    matrix: Annotated[
        dict[str, list[Any]] | UnsetType,
        _doc(
            "Parameters with lists of values: one instance of the task for each combination.",
            _LISTS,
        ),
    ] = UNSET
    instances: Annotated[
        InstancesTable | UnsetType,
        _doc("Where the instances of the task come from, if not from `matrix`.", _TABLE),
    ] = UNSET
    parameters: Annotated[Parameters, _doc("Parameters of this task.", _TABLE)] = UNSET
    after: Annotated[
        Texts, _doc("Tasks that must be done before, without a file between them.", "a list of names of tasks")
    ] = UNSET
    format: Annotated[
        Text,
        _doc("The Jupytext format of a text notebook, if not to be guessed, such as `py:sphinx`.", "a format"),
    ] = UNSET
    kernel: Annotated[Text, _doc("The kernelspec, if not the notebook's own.", _TEXT)] = UNSET
    environment: Annotated[
        Text, _doc("The environment of `[environments]` that it runs in, instead of a kernel's.", _TEXT)
    ] = UNSET
    allow_errors: Annotated[
        Flag,
        _doc(
            "`true`: a cell of the notebook that raises does not make the task fail. This key"
            " overrules `allow_errors` in the metadata of the notebook.",
            _FLAG,
        ),
    ] = UNSET
    workdir: Annotated[Text, _doc("The working directory, if not the folder of pipeline.toml.", "a path")] = UNSET
    env: Annotated[
        dict[str, str] | UnsetType,
        _doc("Environment variables that are set for the task; they count for staleness.", "a table of strings"),
    ] = UNSET
    timeout: Annotated[PositiveDuration | UnsetType, _doc("How long one attempt may take.")] = UNSET
    retries: Annotated[Count, _doc("How often a failed attempt is repeated.", _COUNT)] = UNSET
    retry_delay: Annotated[Duration | UnsetType, _doc("How long to wait before repeating.")] = UNSET
    resources: Annotated[ResourcesTable | UnsetType, _doc("What the running task occupies.", _TABLE)] = UNSET
    pools: Annotated[
        list[str] | dict[str, Places] | UnsetType,
        _doc(
            "The pools of `[pools]` that the running task takes from: one place of each, or a table of how many.",
            "a list of names of pools, or a table of whole numbers from 1 to 1000000",
        ),
    ] = UNSET
    priority: Annotated[
        Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | UnsetType,
        _doc(
            "Of tasks that could begin, those with the highest number do; `0` unless set. Among equals it is the"
            " one with the longest chain of tasks below it, by how long they took before.",
            "a whole number from -1000000 to 1000000",
        ),
    ] = UNSET
    tags: Annotated[Texts, _doc("Names for choosing tasks with `--tag`.", _TEXTS)] = UNSET
    description: Annotated[Text, _doc("What the task is for.", _TEXT)] = UNSET
    check: Annotated[
        Flag,
        _doc(
            "`true`: tests what it reads. It has no outputs, is built with what it reads, and its failure fails"
            " the build, but stops and skips nothing.",
            _FLAG,
        ),
    ] = UNSET
    cache: Annotated[Flag, _doc("`false`: always run, and store nothing.", _FLAG)] = UNSET
    store: Annotated[Flag, _doc("`false`: keep the digests of outputs, not their bytes.", _FLAG)] = UNSET
    max_age: Annotated[
        PositiveDuration | UnsetType, _doc("Run again when the last result is older, for data from outside.")
    ] = UNSET
    strict: Annotated[
        Flag, _doc("`true`: reading or writing undeclared files of the repository fails.", _FLAG)
    ] = UNSET
    sandbox: Annotated[
        Flag, _doc("`true`: run in a private copy of the repository that has only what is declared.", _FLAG)
    ] = UNSET
    notebook_output: Annotated[
        Text,
        _doc(
            "Where to put a copy of the executed notebook, `.ipynb` or `.html`. `{name}` is a parameter.", "a path"
        ),
    ] = UNSET


class TaskTable(TaskKeys, frozen=True):
    """A task: exactly one of `notebook`, `function` and `command`."""

    secrets: Annotated[
        Texts, _doc("Names of environment variables whose values must never be recorded or shown.", _TEXTS)
    ] = UNSET


class ProfileTable(_Table, frozen=True):
    """What the file says instead, for commands with `--profile`; tables are merged by key."""

    parameters: Annotated[Parameters, _doc("Other values of `[parameters]`, or more of them.", _TABLE)] = UNSET
    defaults: Annotated[TaskKeys | UnsetType, _doc("Other values of `[defaults]`, or more of them.", _TABLE)] = (
        UNSET
    )
    tasks: Annotated[
        dict[str, TaskKeys] | UnsetType,
        _doc("Other keys of tasks, by name; all but `secrets`.", "a table of tables"),
    ] = UNSET


class MetricTable(_Table, frozen=True):
    """How a metric is compared between runs."""

    direction: Annotated[Direction | UnsetType, _doc("Which way is better.", "`higher` or `lower`")] = UNSET
    tolerance: Annotated[Amount | UnsetType, _doc("Differences up to this are ignored.", _AMOUNT)] = UNSET
    alert: Annotated[
        AlertText,
        _doc(
            "What makes `nbdag report --check` fail, for the newest run: `worse` than the runs of its branch"
            " before it, which needs `direction`, or a limit.",
            AN_ALERT,
        ),
    ] = UNSET


class ReportTable(_Table, frozen=True):
    """The static site."""

    publish_host: Annotated[Flag, _doc("`true`: publish host, user, process and absolute paths too.", _FLAG)] = (
        UNSET
    )
    previews: Annotated[
        Flag,
        _doc(
            "`true`: publish the first rows, and figures of each column, of declared outputs that hold data.",
            _FLAG,
        ),
    ] = UNSET
    max_size: Annotated[
        Size | UnsetType, _doc("The size to which the site is kept, oldest details dropped first.")
    ] = UNSET
    allow: Annotated[
        Texts,
        _doc(
            "Variables named like a secret, such as `POSTGRES_PASSWORD`, whose values may be published. In CI,"
            " those of the default branch count, or of the branch that a request aims at.",
            _TEXTS,
        ),
    ] = UNSET
    metrics: Annotated[
        dict[str, MetricTable] | UnsetType, _doc("Metrics that are compared, by name.", "a table of tables")
    ] = UNSET
    views: Annotated[
        dict[str, ViewAddress] | UnsetType,
        _doc("Pages of the site as they were set, by name: `Views` of the site copies such a line.", A_VIEW),
    ] = UNSET


class Document(_Table, frozen=True):
    """pipeline.toml: the tasks of a pipeline, built by `nbdag build`."""

    pipeline: Annotated[PipelineTable | UnsetType, _doc("The pipeline as a whole.", _TABLE)] = UNSET
    parameters: Annotated[Parameters, _doc("Parameters for every task that has one of that name.", _TABLE)] = UNSET
    defaults: Annotated[
        TaskTable | UnsetType,
        _doc(
            "Any key of a task, for those that do not set it; `parameters`, `env`, `resources` are merged by key.",
            _TABLE,
        ),
    ] = UNSET
    software: Annotated[SoftwareTable | UnsetType, _doc("What identifies the software.", _TABLE)] = UNSET
    environments: Annotated[
        dict[str, EnvironmentTable] | UnsetType,
        _doc("Python environments that nbdag makes from lock files, by name.", "a table of tables"),
    ] = UNSET
    cache: Annotated[CacheTable | UnsetType, _doc("The cache.", _TABLE)] = UNSET
    runs: Annotated[RunsTable | UnsetType, _doc("The records of runs.", _TABLE)] = UNSET
    kernel: Annotated[KernelTable | UnsetType, _doc("How kernels start.", _TABLE)] = UNSET
    watch: Annotated[WatchTable | UnsetType, _doc("How `nbdag watch` builds.", _TABLE)] = UNSET
    ray: Annotated[RayTable | UnsetType, _doc("The Ray cluster.", _TABLE)] = UNSET
    sets: Annotated[
        dict[str, InstancesTable] | UnsetType,
        _doc(
            "Instances that several tasks have: tables as `instances` of a task, by the name that `set` uses.",
            "a table of tables",
        ),
    ] = UNSET
    pools: Annotated[
        dict[str, Places] | UnsetType,
        _doc(
            "What running tasks share, by name, and how many places there are: `database = 1` lets one task of"
            ' those with `pools = ["database"]` run at a time.',
            _POOLS,
        ),
    ] = UNSET
    tasks: Annotated[dict[str, TaskTable] | UnsetType, _doc("The tasks, by name.", "a table of tables")] = UNSET
    profiles: Annotated[
        dict[str, ProfileTable] | UnsetType,
        _doc(
            "What commands with `--profile NAME` read instead: `parameters`, `defaults`, and any key of"
            " `tasks.TASK` but `secrets`. Tables are merged as those of `[defaults]`; a later profile lies over"
            " earlier ones.",
            "a table of tables",
        ),
    ] = UNSET
    report: Annotated[ReportTable | UnsetType, _doc("The static site.", _TABLE)] = UNSET


def given(table: Struct | UnsetType) -> dict[str, Any]:
    """Return the keys that a table of the file has, as plain values."""
    if isinstance(table, UnsetType):
        return {}
    return {name: _plain(value) for name, value in msgspec.structs.asdict(table).items() if value is not UNSET}


def _plain(value: Any) -> Any:
    match value:
        case Duration() | PositiveDuration():
            return float(value)
        case Size():
            return int(value)
        case Struct():
            return given(value)
        case dict():
            table = cast("dict[str, Any]", value)
            return {
                name: given(item) if isinstance(item, (InputTable, OutputTable)) else item
                for name, item in table.items()
            }
        case _:
            return value
