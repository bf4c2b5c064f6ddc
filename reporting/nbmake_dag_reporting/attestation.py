"""Statements of in-toto about the outputs of a run, with SLSA's provenance: what made these bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from nbmake_dag_reporting.bundle import Recorded, RecordedIngredient, ingredients_of
from nbmake_dag_reporting.run import Run, TaskRun, Vcs

_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
_PREDICATE: Literal["https://slsa.dev/provenance/v1"] = "https://slsa.dev/provenance/v1"
_BUILD: Literal["urn:nbdag:task:v1"] = "urn:nbdag:task:v1"
_CODE = frozenset({"cell", "parameters cell", "code", "module", "function", "command"})
_SOFTWARE = frozenset({"lockfile", "package", "locked", "kernel", "variable", "env"})


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A part of a statement: nothing in it is passed over."""


class Subject(_Struct, frozen=True):
    """A file, and its SHA-256."""

    name: str
    digest: dict[Literal["sha256"], str]


class Work(_Struct, frozen=True):
    """What was executed."""

    pipeline: str
    task: str
    type: str
    path: str | None
    parameters: dict[str, Any]


class Used(_Struct, frozen=True):
    """All that decided the result: kind, name and value of each ingredient, and where it came from."""

    key: str
    code: tuple[tuple[str, str, str], ...]
    inputs: tuple[tuple[str, str, str], ...]
    software: tuple[tuple[str, str, str], ...]
    others: tuple[tuple[str, str, str], ...]


class _Annotations(_Struct, frozen=True):
    uncommitted: bool | None


class Dependency(_Struct, frozen=True):
    """The commit of the repository, and whether git saw changes that were in none."""

    uri: str
    digest: dict[Literal["gitCommit"], str]
    annotations: _Annotations = _Annotations(uncommitted=None)


class _Definition(_Struct, frozen=True):
    build_type: Literal["urn:nbdag:task:v1"]
    external_parameters: Work
    internal_parameters: Used
    resolved_dependencies: tuple[Dependency, ...]


class _Builder(_Struct, frozen=True):
    id: Literal["urn:nbdag"]


class _Metadata(_Struct, frozen=True):
    invocation_id: str
    started_on: str


class _Details(_Struct, frozen=True):
    builder: _Builder
    metadata: _Metadata


class _Predicate(_Struct, frozen=True):
    build_definition: _Definition
    run_details: _Details


class _Statement(_Struct, frozen=True):
    type_: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: tuple[Subject]
    predicate_type: Literal["https://slsa.dev/provenance/v1"]
    predicate: _Predicate


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement says."""

    file: str
    sha256: str
    run: str
    started: str
    commit: str | None
    uncommitted: bool | None
    repository: str | None
    work: Work
    used: Used


class StatementError(ValueError):
    """Bytes are not a statement that this version reads."""


def statements_about(recorded: Recorded, vcs_of: Callable[[str], Vcs]) -> Iterator[tuple[str, bytes]]:
    """Yield path and statement of each file that is an output of the run; tasks without a record have none.

    ``vcs_of`` returns what the run with an id saw of the repository.
    """
    for task in recorded.run.tasks.values():
        record = recorded.record(task.record.own_key, task.record.key) if task.record else None
        for output in record["outputs"] if record is not None else ():
            for file in output["files"]:
                statement = _statement(recorded.run, task, record or {}, file, vcs_of)
                yield file["path"], msgspec.json.encode(statement)


def read_statement(data: bytes) -> Statement:
    """Read what was signed; raises `StatementError`."""
    try:
        found = msgspec.json.decode(data, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StatementError(f"it is not a statement about an output: {error}") from error
    (subject,), definition = found.subject, found.predicate.build_definition
    source = next(iter(definition.resolved_dependencies), None)
    return Statement(
        file=subject.name,
        sha256=subject.digest.get("sha256", ""),
        run=found.predicate.run_details.metadata.invocation_id,
        started=found.predicate.run_details.metadata.started_on,
        commit=source.digest.get("gitCommit") if source else None,
        uncommitted=source.annotations.uncommitted if source else None,
        repository=source.uri.removeprefix("git+") if source else None,
        work=definition.external_parameters,
        used=definition.internal_parameters,
    )


def _statement(
    run: Run,
    task: TaskRun,
    record: Mapping[str, Any],
    file: Mapping[str, Any],
    vcs_of: Callable[[str], Vcs],
) -> _Statement:
    origin, ingredients = record["origin"], ingredients_of(record)
    vcs = run.vcs if origin["run_id"] == run.id else vcs_of(origin["run_id"])
    commit = origin.get("commit") or vcs.head_revision
    repository = f"git+{run.vcs.repository_url or 'unknown:'}"
    known = _Annotations(uncommitted=vcs.dirty)
    source = (Dependency(uri=repository, digest={"gitCommit": commit}, annotations=known),) if commit else ()
    named = {item.kind: _rows(ingredients, frozenset({item.kind})) for item in ingredients}
    parameters = {name: _value(value) for _, name, value in named.get("parameter", ())}
    started = datetime.fromtimestamp(origin["started"] / 1e9, UTC)
    others = frozenset(named) - _CODE - _SOFTWARE - {"input", "gathered", "read", "parameter", "format"}
    return _Statement(
        type_=_TYPE,
        subject=(Subject(name=file["path"], digest={"sha256": file["sha256"]}),),
        predicate_type=_PREDICATE,
        predicate=_Predicate(
            build_definition=_Definition(
                build_type=_BUILD,
                external_parameters=Work(
                    pipeline=run.pipeline, task=task.name, type=task.type, path=task.path, parameters=parameters
                ),
                internal_parameters=Used(
                    key=record["key"],
                    code=_rows(ingredients, _CODE),
                    inputs=_rows(ingredients, frozenset({"input", "gathered", "read"})),
                    software=_rows(ingredients, _SOFTWARE),
                    others=_rows(ingredients, others),
                ),
                resolved_dependencies=source,
            ),
            run_details=_Details(
                builder=_Builder(id="urn:nbdag"),
                metadata=_Metadata(
                    invocation_id=origin["run_id"], started_on=started.strftime("%Y-%m-%dT%H:%M:%SZ")
                ),
            ),
        ),
    )


def _rows(ingredients: list[RecordedIngredient], kinds: frozenset[str]) -> tuple[tuple[str, str, str], ...]:
    return tuple((item.kind, item.path or item.name, item.value) for item in ingredients if item.kind in kinds)


def _value(literal: str) -> Any:
    """Read a parameter as its ingredient has it; what JSON has no form for stays text."""
    try:
        return msgspec.json.decode(literal)
    except msgspec.DecodeError:
        return literal
