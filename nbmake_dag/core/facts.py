"""The facts observed about a task before the run: everything a plan needs besides the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from nbmake_dag.core.model import ProjectPath, Value
from nbmake_dag.core.vocabulary import LoggedKind
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Ingredient, Key
from nbmake_dag_cache.record import Logged, Output, Record
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.schema import FIGURE_SCRIPT

ABSENT = ""
"""The digest of a file that does not exist."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was observed of one task.

    ``own`` are its ingredients known before anything runs, hashed to ``own_key``. ``records`` are those whose own
    key is the same, newest first, without those that are too old or may not be used. ``present`` has the digest
    of every output that is in place, files and folders. ``modules`` has the digest of every module that a trace
    names. ``cells`` are those that count. ``previous`` is the record that
    this task's last finished execution or hit left, whatever its key.
    """

    own: tuple[Ingredient, ...]
    own_key: Key
    records: tuple[Record, ...] = ()
    present: Mapping[ProjectPath, Digest] = {}
    modules: Mapping[str, str] = {}
    cells: tuple[CellRef, ...] = ()
    previous: Record | None = None
    lost: str = ""
    """Why there is no ``previous``, though the task ended well before."""
    unusable: str = ""
    """Why a record that is there may not be used."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a task gives to those below it, from its record or from its execution in this run."""

    outputs: Mapping[ProjectPath, Output]
    logged: Logged
    parameters: Mapping[str, Value]


def result_of(record: Record, parameters: Mapping[str, Value]) -> Result:
    return Result(
        outputs={ProjectPath(output.path): output for output in record.outputs},
        logged=record.logged,
        parameters=parameters,
    )


def logged_values(result: Result, of: LoggedKind) -> Mapping[str, Any]:
    """Return the values of one kind, as `upstream()` does."""
    match of:
        case "params":
            return {**result.parameters, **result.logged.params}
        case "metrics":
            return result.logged.metrics
        case "tags":
            return result.logged.tags
        case "artifacts":
            artifacts = result.logged.artifacts.items()
            return {name: one.sha256 for name, one in artifacts if one.media_type != FIGURE_SCRIPT}
        case _:
            assert_never(of)
