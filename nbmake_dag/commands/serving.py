"""The live view of ``--serve``: the project's report on loopback, with the current run."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import assert_never

import click

from nbmake_dag.commands.settings import options_of, site_options
from nbmake_dag.engine.results.executed_notebook import executed_notebooks
from nbmake_dag.errors import NbdagError, UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag.record.run_events import (
    ExecutorReported,
    Notice,
    RetryScheduled,
    RunEnded,
    RunEvent,
    RunStarted,
    TaskEnded,
    TaskQueued,
    TasksKnown,
    TaskWaits,
    Tick,
    UndeclaredFound,
)
from nbmake_dag.runs.find import reach
from nbmake_dag_reporting.secrets_scan import SecretFoundError
from nbmake_dag_reporting.serve import LiveServer, new_token
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_PATIENCE_S = 10.0
"""Seconds to wait at the end for a report that is being written."""


@contextmanager
def live_view(project: Project, port: int) -> Generator[tuple[LiveView]]:
    """Serve the project, and print the address; raises `UsageError` where the port is taken."""
    view = LiveView(project, port)
    try:
        click.echo(f"live view: {view.url}", err=True)
        yield (view,)
    finally:
        view.close()


class LiveView:
    """A listener of builds. The report is written by a thread of its own, when a run has ended."""

    def __init__(self, project: Project, port: int) -> None:
        self._project = project
        self._site = os.path.join(project.root, ".nbdag", "site")
        self._under_way = ""
        self._options = _options(project)
        if not os.path.exists(os.path.join(self._site, "index.html")):
            write_site(self._site, (), self._options)
        try:
            self._server = LiveServer(self._site, project.runs, port, _token_of(project, port))
        except OSError as error:
            hint = "`--serve` without a number takes a port that is free"
            raise UsageError(f"port {port} cannot be used: {error.strerror}", (), hint) from error
        self.url = self._server.url
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="report", daemon=True)
        self._writer.start()
        self._wanted.put(True)

    def notify(self, event: RunEvent) -> None:
        match event:
            case RunStarted(run_id=run_id, pipeline=pipeline):
                self._under_way = run_id
                self._options = options_of(pipeline, self._project)
                self._server.show(run_id)
            case RunEnded(outcome=outcome):
                self._under_way = ""
                self._server.show(outcome.run_id)
                self._wanted.put(True)
            case TasksKnown() | TaskQueued() | TaskWaits() | ExecutorReported() | RetryScheduled() | TaskEnded():
                # the server reads the record
                pass
            case UndeclaredFound() | Notice() | Tick():
                # for the terminal
                pass
            case _:
                assert_never(event)

    def complain(self, complaint: str) -> None:
        """Show the reason that nothing can be built; an empty text when it is resolved."""
        self._server.complain(complaint)

    def until_interrupted(self) -> None:
        """Continue to serve after a build, if a terminal can end it."""
        if sys.stdin.isatty() and sys.stderr.isatty():
            with suppress(KeyboardInterrupt):
                click.echo(f"serving {self.url} until Ctrl-C", err=True)
                threading.Event().wait()

    def close(self) -> None:
        """End, once the report is written."""
        self._wanted.put(False)
        self._writer.join(_PATIENCE_S)
        self._server.close()

    def _write(self) -> None:
        while self._wanted.get():
            # what keeps a report from being written, `nbdag report` says
            with suppress(SecretFoundError, OSError):
                found = found_in(self._project.runs, *reach(self._project))
                ended = [run for run in found if run.name != self._under_way]
                self._server.refreshed(write_site(self._site, ended, self._options).version)


def _token_of(project: Project, port: int) -> str:
    """Return the token of a port that was asked for, the same each time: pages and bookmarks outlive a restart."""
    if not port:
        return ""
    file = StateFile(os.path.join(project.state, "served.json"), "nbdag-served 1", dict[int, str], private=True)
    tokens = file.read(lambda text: click.echo(f"warning: {text}", err=True)) or {}
    if not _TOKEN.fullmatch(tokens.get(port, "")):
        tokens[port] = new_token()
        project.make_state()
        file.write(tokens)
    return tokens[port]


def _options(project: Project) -> SiteOptions:
    """Read the options of reports from `pipeline.toml`; the defaults, while it is invalid."""
    try:
        return site_options(project)
    except NbdagError:
        return SiteOptions(executed=executed_notebooks)
