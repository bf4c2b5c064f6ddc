"""The verdict of a replay: whether tasks make the same again. The types are the JSON Schema of what is written."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Struct

from nbmake_dag_reporting.documents import Format, described

TaskJudgement: TypeAlias = Literal[
    "identical",  # every byte, metric and cell is what it was
    "equal",  # what differs does so within the declared tolerances
    "differs",  # something else differs
    "could_not_run",  # it could not be executed again, or not as it was
]


class Difference(Struct, frozen=True, kw_only=True):
    """The first place in which one thing differs."""

    kind: Annotated[Literal["output", "metric", "artifact", "cell"], described("what differs")]
    name: Annotated[str, described("a path, the name of a metric or of an artifact, or a notebook's path")]
    where: Annotated[str, described("the first place that differs, with both values where they are short")]


class ConditionVerdict(Struct, frozen=True, kw_only=True):
    """What one condition of `--vary` does to a task."""

    name: Annotated[str, described("`order`, `time`, `locale`, `hashseed`, `threads`, `tmpdir` or `machine`")]
    matters: Annotated[bool, described("whether the result depends on it")]
    why: Annotated[str, described("how that was seen, or why it could not be tried")]


class TaskVerdict(Struct, frozen=True, kw_only=True):
    """The verdict about one task."""

    name: Annotated[str, described("the task")]
    verdict: Annotated[TaskJudgement, described("the judgement")]
    why: Annotated[str, described("in words: what differs first, or why it could not run")]
    key: Annotated[str | None, described("that of the recorded result")] = None
    differences: Annotated[tuple[Difference, ...], described("the first difference of each thing")] = ()
    notes: Annotated[tuple[str, ...], described("what else a reader should know")] = ()
    times: Annotated[int, described("how often it was executed again")] = 0
    same: Annotated[int, described("how often that was identical, or equal within tolerance")] = 0
    conditions: Annotated[tuple[ConditionVerdict, ...], described("what `--vary` found")] = ()
    duration_s: Annotated[float, described("how long its first execution took")] = 0.0


class VerdictDocument(Struct, frozen=True, kw_only=True):
    """The verdict about a run."""

    format: Format = 1
    id: Annotated[str, described("the run of the replay")]
    run: Annotated[str, described("the run that was replayed")]
    pipeline: Annotated[str, described("`[pipeline] name`")]
    commit: Annotated[str | None, described("the commit of the run that was replayed")]
    started: Annotated[int, described("when the replay began")]
    duration_s: Annotated[float, described("how long it took")]
    version: Annotated[str, described("the version of nbdag that judged")]
    from_scratch: Annotated[bool, described("whether tasks got replayed inputs in place of recorded ones")]
    verdict: Annotated[TaskJudgement, described("the worst of all tasks")]
    tasks: Annotated[tuple[TaskVerdict, ...], described("in the order of the pipeline")]
    public_key: Annotated[str | None, described("whose signature it has")] = None
    signature: Annotated[
        str | None, described("Ed25519 in base64, over this document without this member, as compact JSON")
    ] = None
