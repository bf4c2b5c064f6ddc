"""What ``--serve`` adds to a command: the project's report on loopback, with the run that is under way."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

import click

from nbmake_dag.build.executed import executed_notebooks
from nbmake_dag.build.listener import RunStart
from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.commands.recorded import reach
from nbmake_dag.commands.report import options_of, site_options
from nbmake_dag.core.model import TaskName
from nbmake_dag.errors import NbdagError, UsageError
from nbmake_dag.execute.protocol import Event
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.secrets_scan import SecretFoundError
from nbmake_dag_reporting.serve import LiveServer
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site

_PATIENCE_S = 10.0
"""For a report that is being written when all else has ended."""


@contextmanager
def live_view(project: Project, port: int) -> Generator[tuple[LiveView]]:
    """Serve the project, and say where; raises `UsageError` where the port is taken."""
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
            self._server = LiveServer(self._site, project.runs, port)
        except OSError as error:
            hint = "`--serve` without a number takes a port that is free"
            raise UsageError(f"port {port} cannot be used: {error.strerror}", (), hint) from error
        self.url = self._server.url
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="report", daemon=True)
        self._writer.start()
        self._wanted.put(True)

    def begun(self, run: RunStart) -> None:
        self._under_way = run.run_id
        self._options = options_of(run.pipeline)
        self._server.show(run.run_id)

    def finished(self, outcome: RunOutcome) -> None:
        self._under_way = ""
        self._server.show(outcome.run_id)
        self._wanted.put(True)

    def complain(self, complaint: str) -> None:
        """Show what keeps anything from being built; nothing when that is over."""
        self._server.complain(complaint)

    def until_interrupted(self) -> None:
        """Go on serving after a build, if there is somebody at a terminal to end it."""
        if sys.stdin.isatty() and sys.stderr.isatty():
            with suppress(KeyboardInterrupt):
                click.echo(f"serving {self.url} until Ctrl-C", err=True)
                threading.Event().wait()

    def close(self) -> None:
        """End, once the report is written."""
        self._wanted.put(False)
        self._writer.join(_PATIENCE_S)
        self._server.close()

    def queued(self, task: TaskName, reasons: tuple[str, ...]) -> None:
        """Leave it to the record, which the server reads."""

    def happened(self, event: Event) -> None:
        """Likewise."""

    def retrying(self, task: TaskName, attempt: int, delay_s: float) -> None:
        """Likewise."""

    def ended(self, outcome: TaskOutcome) -> None:
        """Likewise."""

    def said(self, message: str) -> None:
        """Leave it to the terminal."""

    def tick(self) -> None:
        """Draw nothing."""

    def _write(self) -> None:
        while self._wanted.get():
            # what keeps a report from being written, `nbdag report` says
            with suppress(SecretFoundError, OSError):
                found = found_in(self._project.runs, *reach(self._project))
                ended = [run for run in found if run.name != self._under_way]
                self._server.refreshed(write_site(self._site, ended, self._options).version)


def _options(project: Project) -> SiteOptions:
    """Read what `pipeline.toml` says of reports; nothing, while that is wrong."""
    try:
        return site_options(project)
    except NbdagError:
        return SiteOptions(executed=executed_notebooks)
