"""The values that must not leave this machine: declared secrets, and variables whose names say that they are."""

from __future__ import annotations

import os

from nbmake_dag.core.model import Pipeline
from nbmake_dag.errors import NbdagError
from nbmake_dag_reporting.secrets_scan import SecretFoundError, suspects

HINT = "secrets are the tasks' `secrets`, and variables named *_TOKEN, *_KEY, *_SECRET or *_PASSWORD"


def secrets_of(pipeline: Pipeline | None) -> dict[str, str]:
    """Return values by the names of their variables; without a pipeline, as for a bundle, none are declared."""
    tasks = pipeline.tasks.values() if pipeline else ()
    names = sorted({name for task in tasks for name in task.secrets} & os.environ.keys())
    return {**suspects(os.environ), **{name: os.environ[name] for name in names}}


def refused(what: str, error: SecretFoundError) -> NbdagError:
    """Say that something holds a secret, and so was not written."""
    return NbdagError(f"{what}: {error}", (), HINT)
