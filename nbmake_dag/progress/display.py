"""What a build says in the terminal, as it happens: who is told what with which ``--output``.

What only a build that executes something shows is imported then: most builds have nothing to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

from nbmake_dag.build.listener import RunStart
from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.execute.protocol import AttemptResult, Ended, Event, Printed
from nbmake_dag.progress.lines import cancelled_line, failed_line, ran_line, restored_line, retry_line
from nbmake_dag.progress.screen import Screen
from nbmake_dag.progress.summary import summary_lines
from nbmake_dag.progress.task_output import Kept, Lines
from nbmake_dag.progress.text import plain
from nbmake_dag.progress.workflow_commands import command
from nbmake_dag.record.ci import on_github_actions

if TYPE_CHECKING:
    from nbmake_dag.core.model import TaskName
    from nbmake_dag.progress.tracker import Tracker

Output: TypeAlias = Literal["auto", "stream", "group", "errors", "none"]

_FRAME_S = 0.1
_WARNING = "warning: "


def make_display(
    output: Output,
    stream: TextIO,
    *,
    explains: bool = False,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
) -> Display:
    """Choose how a build is shown; ``clock`` gives seconds.

    ``auto`` is a live block on a terminal, ``group`` in CI, else a line for each task that ended. With
    ``explains`` every reason of every task that will run is said beforehand.
    """
    if output == "auto" and environ.get("CI", "").lower() not in {"", "0", "false"}:
        output = "group"
    terminal = stream.isatty() and environ.get("TERM") != "dumb"
    colour = terminal and not environ.get("NO_COLOR")
    folds = on_github_actions(environ)
    screen = Screen(stream, live=terminal and output == "auto", colour=colour, obeyed=folds)
    return Display(output, screen, clock, explains=explains, folds=folds)


class Display:
    """A listener of a build. With ``folds``, grouped output is folded as GitHub Actions shows it."""

    _run: RunStart

    def __init__(
        self, output: Output, screen: Screen, clock: Callable[[], float], *, explains: bool, folds: bool
    ) -> None:
        self._output = output
        self._screen = screen
        self._palette = screen.palette
        self._clock = clock
        self._explains = explains
        self._folds = folds
        self._tells_tasks = output in {"auto", "stream", "group"}
        self._tracker: Tracker | None = None
        self._ended: dict[TaskName, TaskOutcome] = {}
        self._next_frame = 0.0
        self._lines: dict[str, Lines] = {}
        self._kept: dict[str, Kept] = {}
        self._results: dict[str, AttemptResult] = {}

    def begun(self, run: RunStart) -> None:
        self._run = run

    def queued(self, task: TaskName, reasons: tuple[str, ...]) -> None:
        if self._explains:
            self._print([f"{task} will run:", *(f"    {reason}" for reason in reasons)])
        if self._screen.live:
            from nbmake_dag.progress.tracker import Tracker  # noqa: PLC0415  # as this module says

            self._tracker = self._tracker or Tracker(self._run, self._ended)
            self._tracker.queued(task)
            self.tick()

    def happened(self, event: Event) -> None:
        if self._tracker:
            self._tracker.happened(event, self._clock())
        match event:
            case Printed(task=task, stream=stream, text=text):
                self._printed(task, self._lines.setdefault(task, Lines()).feed(stream, text))
            case Ended(task=task, result=result):
                self._results[task] = result
                if task in self._lines:
                    self._printed(task, self._lines.pop(task).end())
            case _:
                pass
        self.tick()

    def retrying(self, task: TaskName, attempt: int, delay_s: float) -> None:
        if self._tells_tasks:
            line = retry_line(task, attempt, delay_s, self._results[task], self._palette)
            self._print(self._with_output(task, line))

    def ended(self, outcome: TaskOutcome) -> None:
        self._ended[outcome.task] = outcome
        match outcome.status:
            case "ran" if self._tells_tasks:
                self._print(self._with_output(outcome.task, ran_line(outcome, self._palette)))
            case "restored" if self._tells_tasks:
                self._print([restored_line(outcome, self._palette)])
            case "cancelled" if self._tells_tasks and outcome.attempts:
                self._print(self._with_output(outcome.task, cancelled_line(outcome)))
            case "failed":
                from nbmake_dag.progress.failure import failure_lines  # noqa: PLC0415  # likewise

                task = self._run.graph.tasks[outcome.task]
                details = failure_lines(outcome, task, self._run.project.root, self._palette)
                line = failed_line(outcome, self._palette)
                self._print([*self._with_output(outcome.task, line), "", *details])
            case _:
                pass

    def said(self, message: str) -> None:
        if message.startswith(_WARNING):
            message = self._palette.doubtful("warning:") + message[len(_WARNING) - 1 :]
        self._print(message.split("\n"))

    def finished(self, outcome: RunOutcome) -> None:
        self.close()
        self._print(summary_lines(outcome, self._palette))
        if outcome.error is not None:
            self._screen.print(f"{self._palette.bad('error:')} {outcome.error}".split("\n"))

    def tick(self) -> None:
        if self._tracker and self._clock() >= self._next_frame:
            self._draw(self._tracker)

    def close(self) -> None:
        """Take the live block away, however the build ends; for a build that `finished`, nothing is left to do."""
        self._tracker = None
        self._screen.erase()

    def _draw(self, tracker: Tracker) -> None:
        from nbmake_dag.progress.live import block  # noqa: PLC0415  # likewise

        now = self._clock()
        columns, rows = self._screen.size()
        progress = tracker.progress(now)
        self._screen.draw(block(progress, now=now, columns=columns, rows=rows, palette=self._palette))
        self._next_frame = now + _FRAME_S

    def _print(self, lines: Sequence[str]) -> None:
        if self._output != "none":
            self._screen.print(lines)
            if self._tracker:
                self._draw(self._tracker)

    def _printed(self, task: str, lines: list[str]) -> None:
        match self._output:
            case "stream":
                self._print([f"{self._palette.faint(f'{task} |')} {line}" for line in lines])
            case "group":
                self._kept.setdefault(task, Kept()).add(lines)
            case _:
                pass

    def _with_output(self, task: str, line: str) -> list[str]:
        """Put what a task printed below its line, if it is grouped there."""
        output = self._kept.pop(task).lines if task in self._kept else []
        if output and self._folds:
            return [command("group", plain(line)), *output, command("endgroup")]
        return [line, *(f"    {each}" for each in output)]
