"""Resolve a RUN of the command line: the name of a recorded run, or the path of a bundle."""

from __future__ import annotations

import os

import click

from nbmake_dag.commands.options import project_of
from nbmake_dag.errors import UnknownRunError, UsageError
from nbmake_dag.runs.find import recorded_in
from nbmake_dag_reporting.bundle import BundleError, Recorded, read_bundle

_SUFFIXES = (".json", ".json.gz")
"""The endings of paths that can only be bundles."""


def recorded_of(directory: str | None, file: str | None, ref: str, *, good: bool = False) -> Recorded:
    """Read the run that is meant, with the cache that it names; a bundle needs no project.

    A name of a run or a branch is taken as such even if a file that is not a bundle has the same name. With
    ``good`` a git ref means a run that went well.
    """
    recorded = _recorded(directory, file, ref, good=good)
    if recorded.run.lost:
        what = "a table of their spans is gone or damaged"
        click.echo(f"warning: run {recorded.run.id} lacks tasks that were up to date: {what}", err=True)
    return recorded


def _recorded(directory: str | None, file: str | None, ref: str, *, good: bool) -> Recorded:
    before = click.get_current_context().obj[0]
    path = os.path.join(directory or before or "", ref)
    if not os.path.isfile(path):
        return recorded_in(project_of(directory, file), ref, good=good)
    try:
        return read_bundle(path)
    except BundleError as error:
        if ref.endswith(_SUFFIXES) or os.path.isabs(ref):
            raise UsageError(str(error)) from error
        try:
            return recorded_in(project_of(directory, file), ref, good=good)
        except UnknownRunError as unknown:
            raise UnknownRunError(unknown.what, (("file", str(error)),), unknown.hint) from error
