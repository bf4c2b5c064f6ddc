"""The output of a build in the terminal as it happens, for each ``--output`` mode.

What only a build that executes something shows is imported then: most builds have nothing to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias, assert_never

from msgspec.structs import replace

from nbmake_dag.execute.protocol import AttemptResult, Ended, Event, Printed
from nbmake_dag.observe.ci import in_ci, on_github_actions
from nbmake_dag.present.summary import is_pointless, summary_lines
from nbmake_dag.present.text import plain
from nbmake_dag.present.undeclared_text import undeclared_line, undeclared_lines
from nbmake_dag.present.workflow_commands import command
from nbmake_dag.progress.lines import cancelled_line, failed_line, ran_line, restored_line, retry_line
from nbmake_dag.progress.screen import Screen, Verbatim
from nbmake_dag.progress.task_output import Lines, OutputTail
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome, UndeclaredFile
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

if TYPE_CHECKING:
    from nbmake_dag.core.model import TaskName
    from nbmake_dag.progress.tracker import Tracker

Output: TypeAlias = Literal["auto", "stream", "group", "errors", "none"]

_FRAME_S = 0.1
_WARNING = "warning: "
_MOST_REMINDERS = 5
"""Tasks with undeclared files that a build names."""


def make_display(
    output: Output,
    stream: TextIO,
    *,
    explains: bool = False,
    repeats: bool = False,
    quiet: bool = False,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
) -> Display:
    """Choose how a build is shown; ``clock`` gives seconds.

    ``auto`` is a live block on a terminal, ``group`` in CI, else a line for each task that ended. With
    ``explains`` every reason of every task that will run is printed beforehand. With ``repeats``, builds that
    changes made pointless are not summarised: another follows. With ``quiet`` only failures are printed.
    """
    if output == "auto" and in_ci(environ):
        output = "group"
    terminal = stream.isatty() and environ.get("TERM") != "dumb"
    colour = terminal and not environ.get("NO_COLOR")
    folds = on_github_actions(environ)
    screen = Screen(stream, live=terminal and output == "auto", colour=colour, fits=terminal, obeyed=folds)
    return Display(output, screen, clock, explains=explains, folds=folds, repeats=repeats, quiet=quiet)


class Display:
    """A listener of a build. With ``folds``, grouped output is folded as GitHub Actions shows it."""

    _run: RunStarted

    def __init__(
        self,
        output: Output,
        screen: Screen,
        clock: Callable[[], float],
        *,
        explains: bool,
        folds: bool,
        repeats: bool = False,
        quiet: bool = False,
    ) -> None:
        self._output = output
        self._screen = screen
        self._palette = screen.palette
        self._clock = clock
        self._explains = explains
        self._folds = folds
        self._repeats = repeats
        self._quiet = quiet
        self._tells_tasks = output in {"auto", "stream", "group"}
        self._tracker: Tracker | None = None
        self._ended: dict[TaskName, TaskOutcome] = {}
        self._next_frame = 0.0
        self._lines: dict[str, Lines] = {}
        self._tails: dict[str, OutputTail] = {}
        self._results: dict[str, AttemptResult] = {}
        self._undeclared: dict[str, tuple[UndeclaredFile, ...]] = {}
        self._reminders = 0

    def notify(self, event: RunEvent) -> None:  # noqa: C901 - one case for each event
        match event:
            case RunStarted():
                self._run = event
            case TasksKnown(graph=graph):
                self._run = replace(self._run, graph=graph)
                if self._tracker:
                    self._tracker.take(self._run)
            case TaskQueued() | TaskWaits():
                self._queued(event)
            case ExecutorReported(event=reported):
                self._reported(reported)
            case RetryScheduled():
                self._retrying(event)
            case TaskEnded(outcome=outcome):
                self._task_ended(outcome)
            case UndeclaredFound(task=task, files=files):
                self._found_undeclared(task, files)
            case Notice(text=text):
                self.print_notice(text)
            case RunEnded(outcome=outcome):
                self._run_ended(outcome)
            case Tick():
                self._tick()
            case _:
                assert_never(event)

    def print_notice(self, text: str) -> None:
        """Print a notice for the user, unless only failures are wanted."""
        if self._quiet:
            return
        if text.startswith(_WARNING):
            text = self._palette.doubtful("warning:") + text[len(_WARNING) - 1 :]
        self._print(text.split("\n"))

    def close(self) -> None:
        """Take the live block away, however the build ends; once a run has ended, nothing is left to do."""
        self._tracker = None
        self._screen.erase()

    def _queued(self, event: TaskQueued | TaskWaits) -> None:
        if isinstance(event, TaskWaits):
            if self._tracker:
                self._tracker.waits(event.task, event.pool)
            return
        task = event.task
        if self._explains:
            self._print([f"{task} will run:", *(f"    {reason}" for reason in event.reasons)])
        if self._screen.live:
            from nbmake_dag.progress.tracker import Tracker  # noqa: PLC0415  # as this module says

            self._tracker = self._tracker or Tracker(self._run, self._ended)
            self._tracker.queued(task)
            self._tick()

    def _reported(self, event: Event) -> None:
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
        self._tick()

    def _retrying(self, retry: RetryScheduled) -> None:
        if self._tells_tasks:
            last = self._results[retry.task]
            if last.failed_as_draft:
                self._failed(TaskOutcome(task=retry.task, status="failed", draft=True, attempts=(last,)))
                return
            line = retry_line(retry.task, retry.attempt, retry.delay_s, last, self._palette)
            self._print(self._with_output(retry.task, line))

    def _task_ended(self, outcome: TaskOutcome) -> None:
        self._ended[outcome.task] = outcome
        match outcome.status:
            case "ran" if self._tells_tasks:
                self._print(self._with_output(outcome.task, ran_line(outcome, self._palette)))
            case "restored" if self._tells_tasks:
                self._print([restored_line(outcome, self._palette)])
            case "cancelled" if self._tells_tasks and outcome.attempts:
                self._print(self._with_output(outcome.task, cancelled_line(outcome)))
            case "failed":
                self._failed(outcome)
            case "ran" | "restored" | "up_to_date" | "skipped" | "cancelled":
                pass
            case _:
                assert_never(outcome.status)

    def _failed(self, outcome: TaskOutcome) -> None:
        from nbmake_dag.present.failure import failure_lines  # noqa: PLC0415  # likewise

        task = self._run.graph.tasks[outcome.task]
        details = failure_lines(outcome, task, self._run.project.root, self._palette, _options(self._run))
        line = failed_line(outcome, self._palette)
        self._print([*self._with_output(outcome.task, line), "", *details])

    def _found_undeclared(self, task: str, files: tuple[UndeclaredFile, ...]) -> None:
        """Print a line for a few of the tasks, or with ``explains`` all, and each file; in `watch` once only."""
        if self._undeclared.get(task) == files:
            return
        self._undeclared[task] = files
        self._reminders += 1
        if self._explains:
            self.print_notice("\n".join([f"{_WARNING}{undeclared_line(task, files)}", *undeclared_lines(files)]))
        elif self._reminders <= _MOST_REMINDERS:
            self.print_notice(f"{_WARNING}{undeclared_line(task, files)}")

    def _count_reminders(self) -> None:
        more = self._reminders - _MOST_REMINDERS
        self._reminders = 0
        if more > 0 and not self._explains:
            tasks = "1 more task uses" if more == 1 else f"{more} more tasks use"
            self.print_notice(f"{_WARNING}{tasks} files that no line declares; `nbdag status` lists them")

    def _run_ended(self, outcome: RunOutcome) -> None:
        self.close()
        self._count_reminders()
        if self._repeats and is_pointless(outcome):
            return
        if not self._quiet:
            self._print(summary_lines(outcome, self._palette))
        if outcome.error is not None:
            self._screen.print(f"{self._palette.bad('error:')} {outcome.error}".split("\n"))

    def _tick(self) -> None:
        if self._tracker and self._clock() >= self._next_frame:
            self._draw(self._tracker)

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
                self._print([Verbatim(f"{self._palette.faint(f'{task} |')} {line}") for line in lines])
            case "group":
                self._tails.setdefault(task, OutputTail()).add(lines)
            case _:
                pass

    def _with_output(self, task: str, line: str) -> list[str]:
        """Put what a task printed below its line, if it is grouped there."""
        output = [Verbatim(each) for each in self._tails.pop(task).lines] if task in self._tails else []
        if output and self._folds:
            return [command("group", plain(line)), *output, command("endgroup")]
        return [line, *(Verbatim(f"    {each}") for each in output)]


def _options(run: RunStarted) -> list[str]:
    """Write the options of a build that decide what its tasks are."""
    from nbmake_dag.config.values import spelling  # noqa: PLC0415  # likewise

    profiles = [word for name in run.project.profiles for word in ("--profile", name)]
    return [
        *profiles,
        *(word for name, value in run.parameters.items() for word in ("-p", f"{name}={spelling(value)}")),
    ]
