"""Runs, tasks, differences and graphs as JSON for scripts: the types are the JSON Schemas of what is written.

Times are nanoseconds since the epoch, durations seconds. `FORMAT` of a document is raised when a member is removed
or means something else; members may join.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from nbmake_dag_reporting.compare import Comparison, ResultKind, Verdict
from nbmake_dag_reporting.drawing import Drawing
from nbmake_dag_reporting.numbers import Number, spelled
from nbmake_dag_reporting.run import (
    Artifact,
    AttemptRun,
    Ci,
    Failure,
    RecordRef,
    Run,
    RunHead,
    Source,
    TaskRun,
    Vcs,
)
from nbmake_dag_reporting.vocabulary import Direction, RecordedResult, TaskStatus, TaskType, count

T = TypeVar("T")


def described(text: str) -> Meta:
    """Describe a member, in the schema and the reference."""
    return Meta(description=text)


Format = Annotated[Literal[1], described("the version of this shape")]

_STATUS = described("what happened to it")
_REASONS = described("why, in words that may change, most important first")
_CODES = described("why, a code for each reason; none in records of older versions")
_DRAFT = described("whether it was resumed from a snapshot, or is below a task that was")


class RunHeadDocument(Struct, frozen=True, kw_only=True):
    """A run without its tasks."""

    id: Annotated[str, described("its identifier; identifiers sort by time")]
    trace_id: Annotated[str, described("that of its OpenTelemetry trace")]
    kind: Annotated[str, described("`replay`, `bisect` or `blame` if it is a trial; empty for a build")]
    pipeline: Annotated[str, described("`[pipeline] name`")]
    started: Annotated[int, described("when it began")]
    ended: Annotated[int | None, described("when it ended, if it has")]
    result: Annotated[RecordedResult, described("how it ended; `interrupted` without an end, or `running`")]
    exit_code: Annotated[int | None, described("that of `nbdag build`")]
    targets: Annotated[tuple[str, ...], described("what was asked for; empty: everything")]
    profiles: Annotated[tuple[str, ...], described("the profiles that lay over the pipeline file")]
    vcs: Annotated[Vcs, described("the commit that it saw")]
    ci: Annotated[Ci | None, described("the job that it was part of")]
    parameters: Annotated[dict[str, Any], described("those given with `-p`")]
    counts: Annotated[dict[str, int], described("tasks by status, and their `total`")]
    saved_s: Annotated[float, described("how long the executions took whose results were reused")]


class RunsDocument(Struct, frozen=True, kw_only=True):
    """The recorded runs."""

    format: Format = 1
    runs: Annotated[tuple[RunHeadDocument, ...], described("the newest first")]


class TaskLineDocument(Struct, frozen=True, kw_only=True):
    """A task of a run, in short."""

    name: Annotated[str, described("`train`, or of a matrix `train[depth=3]`")]
    status: Annotated[TaskStatus, _STATUS]
    reasons: Annotated[tuple[str, ...], _REASONS]
    codes: Annotated[tuple[str, ...], _CODES]
    key: Annotated[str | None, described("the key of its result")]
    started: Annotated[int | None, described("when it began")]
    ended: Annotated[int | None, described("when it ended")]
    attempts: Annotated[int, described("how often it was executed; 0: not at all")]
    upstreams: Annotated[tuple[str, ...], described("the tasks that it needs directly")]
    metrics: Annotated[dict[str, Number], described("the last values that it logged")]
    failure: Annotated[Failure | None, described("how its last attempt failed; the cell's index counts from 0")]
    draft: Annotated[bool, _DRAFT]
    waits_for_pool: Annotated[str | None, described("the pool that it waits for, in a run under way")] = None


class RunDocument(RunHeadDocument, frozen=True, kw_only=True):
    """A run, with a line of each task."""

    format: Format = 1
    tasks: Annotated[tuple[TaskLineDocument, ...], described("in the order of a build")]


class TaskDocument(Struct, frozen=True, kw_only=True):
    """A task of a run, completely."""

    format: Format = 1
    run_id: Annotated[str, described("the run")]
    name: Annotated[str, described("`train`, or of a matrix `train[depth=3]`")]
    family: Annotated[str, described("its name in `pipeline.toml`, that all instances of a matrix share")]
    status: Annotated[TaskStatus, _STATUS]
    type: Annotated[TaskType | Literal[""], described("what it executes; empty where that is not known")]
    path: Annotated[str | None, described("the notebook, relative to the project")]
    form: Annotated[str, described("the Jupytext format of the notebook, where the pipeline gives one")]
    reasons: Annotated[tuple[str, ...], _REASONS]
    codes: Annotated[tuple[str, ...], _CODES]
    started: Annotated[int | None, described("when it began")]
    ended: Annotated[int | None, described("when it ended")]
    span_id: Annotated[str, described("that of its OpenTelemetry span")]
    key: Annotated[str | None, described("the key of its result")]
    record: Annotated[RecordRef | None, described("the record of its result in the cache")]
    source: Annotated[Source | None, described("of a hit, the execution that made the result")]
    saved_s: Annotated[float, described("of a hit, how long that execution took")]
    draft: Annotated[bool, _DRAFT]
    accepted: Annotated[bool, described("whether its result was accepted by hand, without running")]
    upstreams: Annotated[tuple[str, ...], described("the tasks that it needs directly")]
    params: Annotated[dict[str, Any], described("its parameters, declared and logged")]
    metrics: Annotated[dict[str, Number], described("the last values that it logged")]
    tags: Annotated[dict[str, str], described("the tags that it logged")]
    artifacts: Annotated[dict[str, Artifact], described("the files that it logged")]
    outputs: Annotated[dict[str, str], described("the SHA-256 of each file that it made")]
    undeclared_reads: Annotated[tuple[str, ...], described("files that it read without declaring them")]
    undeclared_writes: Annotated[tuple[str, ...], described("files that it wrote without declaring them")]
    series: Annotated[str | None, described("the blob with every point of its metrics")]
    cells: Annotated[str | None, described("the blob with the outputs of its cells")]
    notebook_source: Annotated[str | None, described("the blob of the notebook as it then was")]
    attempts: Annotated[tuple[AttemptRun, ...], described("its executions")]


class SummaryTask(Struct, frozen=True, kw_only=True):
    """A task of a run, as a summary has it."""

    name: Annotated[str, described("`train`, or of a matrix `train[depth=3]`")]
    status: Annotated[TaskStatus, _STATUS]
    reasons: Annotated[tuple[str, ...], _REASONS]
    codes: Annotated[tuple[str, ...], _CODES]
    key: Annotated[str | None, described("the key of its result")]
    duration_s: Annotated[float | None, described("how long it was executed; 0 if it was not")]
    attempts: Annotated[int, described("how often it was executed; 0: not at all")]
    draft: Annotated[bool, _DRAFT]


class SummaryDocument(Struct, frozen=True, kw_only=True):
    """What a build did."""

    format: Format = 1
    run_id: Annotated[str, described("the run")]
    result: Annotated[RecordedResult, described("how it ended")]
    duration_s: Annotated[float | None, described("how long it took")]
    saved_s: Annotated[float, described("how long the executions took whose results were reused")]
    counts: Annotated[dict[str, int], described("tasks by status, and their `total`")]
    tasks: Annotated[tuple[SummaryTask, ...], described("every task of the run, hits included")]


class ChangeDocument(Struct, frozen=True, kw_only=True):
    """One value that differs; `null` where a run has none."""

    task: Annotated[str, described("the task; empty for what concerns the whole run")]
    kind: Annotated[str, described("of an ingredient, its kind; else empty")]
    name: Annotated[str, described("what differs; empty where the task itself does")]
    before: Annotated[Any, described("the value in the baseline")]
    after: Annotated[Any, described("the value in the other run")]
    verdict: Annotated[Verdict, described("of a metric, how it went")]
    direction: Annotated[Direction | None, described("of a metric, which way is better, as declared")]


class ResultChangeDocument(Struct, frozen=True, kw_only=True):
    """Something that a task made and that differs; `null` where a run did not make it."""

    task: Annotated[str, described("the task")]
    name: Annotated[str, described("the path, or the name it was logged under")]
    kind: Annotated[ResultKind, described("an output, an artifact, or what the cells of a notebook showed")]
    before: Annotated[str | None, described("the digest in the baseline")]
    after: Annotated[str | None, described("the digest in the other run")]
    is_image: Annotated[bool, described("whether it is a picture")]


class DiffDocument(Struct, frozen=True, kw_only=True):
    """All that differs between two runs."""

    format: Format = 1
    before: Annotated[str, described("the baseline")]
    after: Annotated[str, described("the other run")]
    results: Annotated[tuple[ResultChangeDocument, ...], described("what tasks made")]
    reasons: Annotated[dict[str, tuple[str, ...]], described("why each task ran that the other run executed")]
    codes: Annotated[dict[str, tuple[str, ...]], described("the same, as codes")]
    statuses: Annotated[tuple[ChangeDocument, ...], described("statuses of tasks")]
    parameters: Annotated[tuple[ChangeDocument, ...], described("parameters of tasks")]
    metrics: Annotated[tuple[ChangeDocument, ...], described("metrics of tasks")]
    durations: Annotated[tuple[ChangeDocument, ...], described("seconds that tasks took")]
    ingredients: Annotated[tuple[ChangeDocument, ...], described("what decides the results of tasks")]
    environment: Annotated[tuple[ChangeDocument, ...], described("the machine and its software")]
    added: Annotated[tuple[str, ...], described("tasks of the other run alone")]
    removed: Annotated[tuple[str, ...], described("tasks of the baseline alone")]
    edges_added: Annotated[tuple[tuple[str, str], ...], described("dependencies of the other run alone")]
    edges_removed: Annotated[tuple[tuple[str, str], ...], described("dependencies of the baseline alone")]
    same_targets: Annotated[bool, described("whether both were asked for the same")]


class BisectedCommit(Struct, frozen=True, kw_only=True):
    """A commit, and what it says."""

    commit: Annotated[str, described("its hash")]
    subject: Annotated[str, described("the first line of its message")]
    side: Annotated[Literal["good", "bad", "skipped"], described("the end of the search that it is like, if any")]
    answer: Annotated[
        float | bool | str | None,
        described("the metric, whether the check passes, or a digest of the output; `null`: unknown"),
    ]
    run_id: Annotated[str | None, described("the run that says so, perhaps a trial")]
    is_trial: Annotated[bool, described("whether it was tried, and not known from a run")]
    executed: Annotated[int, described("how many tasks the trial executed; 0: results were there")]
    reason: Annotated[str, described("why it has no answer, or none that counts")]


class BisectDocument(Struct, frozen=True, kw_only=True):
    """The search for the commit that changed something."""

    format: Format = 1
    question: Annotated[str, described("the metric, the output or the check")]
    first: Annotated[
        tuple[str, ...],
        described("the first bad commit; with others that cannot be tried, if they may be it; none: a dry run"),
    ]
    good: Annotated[BisectedCommit, described("the end before the change")]
    bad: Annotated[BisectedCommit, described("the end after it")]
    before: Annotated[BisectedCommit | None, described("a commit just before the first bad one")]
    after: Annotated[BisectedCommit | None, described("the first bad commit")]
    commits: Annotated[tuple[BisectedCommit, ...], described("every commit of which something is known")]
    candidates: Annotated[int, described("how many commits it could have been")]
    known: Annotated[int, described("of how many of them runs said enough")]
    trials: Annotated[int, described("how many had to be tried at most, without those that are skipped")]
    seconds: Annotated[float | None, described("how long that was expected to take")]
    executed: Annotated[int, described("how many were executed")]


class BlamedChange(Struct, frozen=True, kw_only=True):
    """One change between two runs."""

    what: Annotated[
        str, described("the cell, module, input, setting or parameter, with both values if they are short")
    ]
    is_culprit: Annotated[bool, described("whether it is of those that carry the difference")]
    alone: Annotated[
        Number | None, described("of a culprit, by how much it changes the metric by itself, if measured")
    ]


class BlamedMix(Struct, frozen=True, kw_only=True):
    """A trial of some of the changes."""

    changes: Annotated[tuple[int, ...], described("which of them, counted from 0; none: the first side")]
    values: Annotated[tuple[Number, ...], described("the metric, each time; none: the mix does not run")]
    run_ids: Annotated[tuple[str, ...], described("the trials")]
    problem: Annotated[str, described("why it does not run")]


class BlameDocument(Struct, frozen=True, kw_only=True):
    """Which changes between two runs carry the difference of a metric."""

    format: Format = 1
    id: Annotated[str, described("its name, as that of a run")]
    pipeline: Annotated[str, described("`[pipeline] name`")]
    started: Annotated[int, described("when the search began")]
    duration_s: Annotated[float, described("how long it took")]
    task: Annotated[str, described("the task that logs the metric")]
    metric: Annotated[str, described("the metric, after its task where that was given")]
    before: Annotated[str, described("the run with the value before")]
    after: Annotated[str, described("the other run")]
    value_before: Annotated[Number, described("the value in the run before")]
    value_after: Annotated[Number, described("the value in the other run")]
    finding: Annotated[
        Literal["found", "noise", "elsewhere", "unclear", "planned"],
        described(
            "`found`; `noise`: the same varies as much; `elsewhere`: executed again, both sides are alike;"
            " `unclear`: other changes carry it too; `planned`: a dry run"
        ),
    ]
    explained: Annotated[Number | None, described("by how much the culprits change it, together")]
    others: Annotated[Number | None, described("by how much all other changes do, together")]
    noise: Annotated[Number, described("the standard deviation of one measurement")]
    changes: Annotated[tuple[BlamedChange, ...], described("all that decides the metric and differs")]
    machine: Annotated[tuple[str, ...], described("what differs and cannot be mixed: software of the machine")]
    mixes: Annotated[tuple[BlamedMix, ...], described("the trials, in their order")]
    executed: Annotated[int, described("how many trials executed anything")]
    seconds: Annotated[float, described("how long it was expected to take at most")]


class NodeDocument(Struct, frozen=True, kw_only=True):
    """A task of a graph."""

    name: Annotated[str, described("`train`, or of a matrix `train[depth=3]`")]
    type: Annotated[TaskType | Literal[""], described("what it executes; empty where that is not known")]
    status: Annotated[TaskStatus | None, described("with `--run`, what happened to it")]


class EdgeDocument(Struct, frozen=True, kw_only=True):
    """A dependency."""

    start: Annotated[str, described("the task that is needed")] = field(name="from")
    end: Annotated[str, described("the task that needs it")] = field(name="to")


class GraphDocument(Struct, frozen=True, kw_only=True):
    """The dependencies of tasks."""

    format: Format = 1
    pipeline: Annotated[str, described("`[pipeline] name`")]
    nodes: Annotated[tuple[NodeDocument, ...], described("in the order of a build")]
    edges: Annotated[tuple[EdgeDocument, ...], described("what each needs directly")]


def runs_document(heads: list[RunHead]) -> RunsDocument:
    """Describe runs without their tasks; their paths on this machine are left out."""
    return RunsDocument(runs=tuple(_of(head, RunHeadDocument) for head in heads))


def run_document(run: Run) -> RunDocument:
    """Describe a run with a line of each task."""
    head = msgspec.structs.asdict(_of(run, RunHeadDocument))
    tasks = tuple(
        TaskLineDocument(
            name=task.name,
            status=task.status,
            reasons=task.reasons,
            codes=task.codes,
            key=task.key,
            started=task.started,
            ended=task.ended,
            attempts=len(task.attempts),
            upstreams=task.upstreams,
            metrics={**task.metrics},
            failure=task.attempts[-1].failure if task.attempts and task.status == "failed" else None,
            draft=task.draft,
            waits_for_pool=(task.waits_for or None) if run.result == "running" else None,
        )
        for task in run.tasks.values()
    )
    return RunDocument(**head, tasks=tasks)


def task_document(run: Run, name: str) -> TaskDocument:
    """Describe one task completely."""
    return TaskDocument(run_id=run.id, **{each: getattr(run.tasks[name], each) for each in _OF_TASK})


def summary_document(run: Run) -> SummaryDocument:
    """Describe a run for ``--summarize``, with counts of every status."""
    return SummaryDocument(
        run_id=run.id,
        result=run.result,
        duration_s=_seconds(run.started, run.ended),
        saved_s=run.saved_s,
        counts=count(task.status for task in run.tasks.values()),
        tasks=tuple(map(_summary_task, run.tasks.values())),
    )


def diff_document(found: Comparison) -> DiffDocument:
    """Describe what differs between two runs."""
    return _of(found, DiffDocument)


def graph_document(drawing: Drawing) -> GraphDocument:
    """Describe a graph."""
    return GraphDocument(
        pipeline=drawing.title,
        nodes=tuple(NodeDocument(name=node.name, type=node.type, status=node.status) for node in drawing.nodes),
        edges=tuple(EdgeDocument(start=start, end=end) for start, end in drawing.edges),
    )


def encode_document(document: Struct) -> bytes:
    """Write JSON to be read by people too."""
    return msgspec.json.format(msgspec.json.encode(spelled(msgspec.to_builtins(document))), indent=2) + b"\n"


def schema_of(document: Any) -> dict[str, Any]:
    """Return the JSON Schema of a document, or of a union of lines."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(document)}


_OF_TASK = tuple(each for each in TaskDocument.__struct_fields__ if each not in {"format", "run_id"})


def _of(value: object, kind: type[T]) -> T:
    return msgspec.convert(value, kind, from_attributes=True)


def _summary_task(task: TaskRun) -> SummaryTask:
    return SummaryTask(
        name=task.name,
        status=task.status,
        reasons=task.reasons,
        codes=task.codes,
        key=task.key,
        duration_s=_seconds(task.started, task.ended) if task.attempts else 0.0,
        attempts=len(task.attempts),
        draft=task.draft,
    )


def _seconds(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else (end - start) / 1e9
