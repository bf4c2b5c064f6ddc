"""A build as it is shown: whole texts where lines stay, and what a terminal holds where they do not."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from nbmake_dag.build.listener import RunStart
from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.model import Notebook, Pipeline, ProjectPath, Task, TaskName
from nbmake_dag.execute.protocol import AttemptResult, CellStarted, Ended, Failure, Printed, Started
from nbmake_dag.observe.project import Project
from nbmake_dag.progress.display import Display, make_display
from nbmake_dag_cache.record import Logged, Origin, Record

NAMES = ["ingest", "eda", "train[n=1]", "train[n=2]", "summary"]
AFTER = {"train[n=1]": ["ingest"], "train[n=2]": ["ingest"], "summary": ["train[n=1]", "train[n=2]"]}
BROKEN = Failure(type="ValueError", message="no digits", cell=1, cell_source="x = 1\nfit(x)", line=2)


def pipeline() -> Pipeline:
    tasks = {
        TaskName(name): Task(
            name=TaskName(name),
            family=name.partition("[")[0],
            work=Notebook(path=ProjectPath(f"notebooks/{name.partition('[')[0]}.py")),
            after=tuple(map(TaskName, AFTER.get(name, ()))),
        )
        for name in NAMES
    }
    return Pipeline(name="p", tasks=tasks)


def record(duration_s: float) -> Record:
    origin = Origin(run_id="r", trace_id="", span_id="", started=0, duration_s=duration_s)
    return Record(
        key="k", static_key="k", own_key="k", task="t", ingredients=(), outputs=(), logged=Logged(), origin=origin
    )


@dataclass
class Story:
    """A run that is told to a display; ``now`` is the display's clock."""

    output: str
    stream: io.TextIOBase
    environ: dict[str, str]
    now: float = 100.0
    outcome: RunOutcome = field(default_factory=lambda: RunOutcome(run_id="r", duration_s=14.23))

    def __post_init__(self):
        self.display: Display = make_display(
            self.output, self.stream, environ=self.environ, clock=lambda: self.now
        )
        self.results = {name: [] for name in NAMES}

    def begin(self, **durations: float):
        project = Project(config="/p/pipeline.toml", root="/p", repository="/p")
        whole = pipeline()
        self.display.begun(
            RunStart(
                run_id="r",
                started=0,
                project=project,
                pipeline=whole,
                graph=build_graph(whole),
                durations=durations,
                jobs=2,
            )
        )

    def queue(self, *names: str):
        for name in names:
            self.display.queued(TaskName(name), ("code: a, cell 1",))

    def start(self, *names: str):
        for name in names:
            self.display.happened(Started(task=name, attempt=len(self.results[name]) + 1, time=0))

    def cell(self, name: str, position: int, first_line: str):
        self.display.happened(
            CellStarted(task=name, attempt=1, time=0, index=9, position=position, total=12, first_line=first_line)
        )

    def prints(self, name: str, text: str, stream: str = "stdout"):
        self.display.happened(Printed(task=name, attempt=1, time=0, stream=stream, text=text))

    def stop(self, name: str, seconds: float, outcome: str = "succeeded", failure: Failure | None = None):
        result = AttemptResult(outcome=outcome, started=0, ended=int(seconds * 1e9), failure=failure)
        self.results[name].append(result)
        self.display.happened(Ended(task=name, attempt=len(self.results[name]), result=result))

    def end(self, name: str, status: str, *reasons: str, **fields):
        outcome = TaskOutcome(
            task=TaskName(name), status=status, reasons=reasons, attempts=tuple(self.results[name]), **fields
        )
        self.outcome.tasks[outcome.task] = outcome
        self.display.ended(outcome)

    def wait(self, seconds: float):
        self.now += seconds
        self.display.tick()

    def finish(self):
        self.display.finished(self.outcome)

    def of_everything(self):
        """Tell a run in which all that can become of a task does."""
        self.begin()
        self.end("eda", "up_to_date", record=record(31.0))
        self.queue("ingest")
        self.start("ingest")
        self.prints("ingest", "asking\nno ans")
        self.stop("ingest", 10.0, "timeout", Failure(type="timeout", message="took longer than 10 s"))
        self.display.retrying(TaskName("ingest"), 2, 5.0)
        self.start("ingest")
        self.prints("ingest", "10%\r50%\r100%\n")
        self.prints("ingest", "\x1b[31mfound\x1b[2J\n", "stderr")
        self.stop("ingest", 2.0)
        self.end("ingest", "ran", "its max_age is over", "code: notebooks/ingest.py, cell 4")
        self.display.said("warning: ingest: it used files\nthat it does not declare")
        self.end("train[n=1]", "restored", "missing: models/1", record=record(8.0))
        self.queue("train[n=2]")
        self.start("train[n=2]")
        self.prints("train[n=2]", "loss 1.0\n")
        self.stop("train[n=2]", 0.5, "failed", BROKEN)
        self.end("train[n=2]", "failed", "never ran", failed_folder=".nbdag/failed/r/train[n=2]")
        self.end("summary", "skipped", because=TaskName("train[n=2]"))
        self.finish()


FAILURE = """\
✗ train[n=2]  failed after 0.5 s

  notebooks/train.py, cell 2, line 2

      1 | x = 1
    > 2 | fit(x)

  ValueError: no digits

  partial outputs: FAILED/

""".replace("FAILED", os.path.relpath("/p/.nbdag/failed/r/train[n=2]"))

GROUPED_FAILURE = FAILURE.replace("0.5 s", "0.5 s\n    loss 1.0")
FOLDED_FAILURE = FAILURE.replace("0.5 s", "0.5 s\nloss 1.0\n::endgroup::").replace("✗", "::group::✗")

SUMMARY = """\
skipped: summary, because train[n=2] failed
5 tasks: 1 ran, 1 restored, 1 up to date, 1 failed, 1 skipped in 14.2 s, saved 39 s
"""

WARNING = """\
warning: ingest: it used files
that it does not declare
"""

TEXTS = {
    ("auto", ""): f"""\
! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
{FAILURE}{SUMMARY}""",
    ("stream", ""): f"""\
ingest | asking
ingest | no ans
! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
ingest | 100%
ingest | found
✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
train[n=2] | loss 1.0
{FAILURE}{SUMMARY}""",
    ("group", ""): f"""\
! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
    asking
    no ans
✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
    100%
    found
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
{GROUPED_FAILURE}{SUMMARY}""",
    ("auto", "GITHUB_ACTIONS"): f"""\
::group::! ingest  attempt 1 timed out: took longer than 10 s; attempt 2 in 5 s
asking
no ans
::endgroup::
::group::✓ ingest  ran in 12.0 s, 2 attempts  (its max_age is over, and 1 more)
100%
found
::endgroup::
{WARNING}\
↺ train[n=1]  restored  (missing: models/1)
{FOLDED_FAILURE}{SUMMARY}""",
    ("errors", ""): f"{WARNING}{FAILURE}{SUMMARY}",
    ("none", ""): "",
}


@pytest.mark.parametrize(("output", "where"), TEXTS)
def test_a_build_is_told_in_lines(output, where):
    """Each ``--output`` tells what it is for, and not more; in CI ``auto`` groups, as the CI folds it."""
    stream = io.StringIO()
    Story(output, stream, {"CI": "true", where: "true"} if where else {}).of_everything()
    assert TEXTS[output, where] == stream.getvalue()


@pytest.mark.parametrize("output", ["auto", "errors"])
def test_a_build_with_nothing_to_do_says_so_in_one_line(output):
    """Tasks that are up to date are counted, not listed."""
    stream = io.StringIO()
    story = Story(output, stream, {})
    story.begin()
    for name in NAMES:
        story.end(name, "up_to_date", record=record(31.0))
    story.outcome.duration_s = 0.2
    story.finish()
    assert stream.getvalue() == "5 tasks: 0 ran, 0 restored, 5 up to date in 0.2 s\n"


def test_an_interrupted_build_says_so_first():
    """What was running is named, what never started is counted."""
    stream = io.StringIO()
    story = Story("auto", stream, {})
    story.begin()
    story.queue("ingest")
    story.start("ingest")
    story.stop("ingest", 3.2, "cancelled")
    story.end("ingest", "cancelled")
    story.end("eda", "cancelled")
    story.outcome.signal = 2
    story.finish()
    assert stream.getvalue() == (
        "- ingest  cancelled after 3.2 s\n"
        "interrupted: 2 tasks: 0 ran, 0 restored, 0 up to date, 2 cancelled in 14.2 s\n"
    )


@pytest.mark.parametrize("output", ["auto", "none"])
def test_an_error_that_ends_the_build_is_always_told(output):
    """Even to someone who wants to hear nothing."""
    stream = io.StringIO()
    story = Story(output, stream, {})
    story.begin()
    story.outcome.error = "the disk is full"
    story.finish()
    assert stream.getvalue().splitlines()[-1] == "error: the disk is full"


def test_many_failures_are_listed_at_the_end():
    """Their descriptions may have scrolled away long ago."""
    stream = io.StringIO()
    story = Story("errors", stream, {})
    story.begin()
    for name in NAMES:
        story.stop(name, 1.0, "failed", Failure(type="exit", message="exit status 3"))
        story.end(name, "failed")
    story.finish()
    assert stream.getvalue().splitlines()[-2] == "failed: ingest, eda, train[n=1] and 2 more"


def test_a_stream_that_is_gone_does_not_end_a_build():
    """A closed pipe is nobody's fault."""
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w")
    Story("auto", stream, {}).of_everything()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_signs_that_a_stream_cannot_write_are_replaced():
    """In a C locale, a mark is one character of ASCII, and other text is escaped."""
    raw = io.BytesIO()
    story = Story("auto", io.TextIOWrapper(raw, "ascii"), {})
    story.begin()
    story.stop("eda", 1.0)
    story.end("eda", "ran", "parameter: größe")
    assert raw.getvalue().decode() == "+ eda  ran in 1.0 s  (parameter: gr\\xf6\\xdfe)\n"


@dataclass
class Terminal:
    """The far end of a pseudo-terminal, and what a screen of its size would show.

    Understands what the display uses, and refuses anything else.
    """

    master: int
    stream: io.TextIOBase
    lines: list[list[str]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0
    wraps: bool = True
    raw: str = ""

    def resize(self, columns: int, rows: int):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.columns = columns

    def shown(self) -> str:
        """Read what was written, and return all lines."""
        while chunk := self._read():
            self.raw += chunk
            for control, number, letter, character in re.findall(r"(\x1b\[([?0-9;]*)([A-Za-z]))|([^\x1b])", chunk):
                if control:
                    self._obey(number, letter)
                else:
                    self._put(character)
        return "\n".join("".join(line).rstrip() for line in self.lines)

    def _read(self) -> str:
        os.set_blocking(self.master, False)
        try:
            return os.read(self.master, 1 << 16).decode()
        except BlockingIOError:
            return ""

    def _obey(self, number: str, letter: str):
        match number, letter:
            case "", "K":
                del self.lines[self.row][self.column :]
            case "", "J":
                del self.lines[self.row][self.column :]
                del self.lines[self.row + 1 :]
            case "?7", "l" | "h":
                self.wraps = letter == "h"
            case _, "A":
                assert self.row - int(number) >= 0
                self.row -= int(number)
            case _, "m":
                pass
            case _:
                raise AssertionError(f"unknown control sequence {number}{letter}")

    def _put(self, character: str):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row, self.column = self.row + 1, 0
            if self.row == len(self.lines):
                self.lines.append([])
        else:
            if self.column == self.columns:
                assert self.wraps, "a line of the block is wider than the terminal"
                self.row, self.column = self.row + 1, 0
                self.lines.insert(self.row, [])
            self.lines[self.row][self.column : self.column + 1] = [character]
            self.column += 1


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    master, slave = os.openpty()
    tty.setraw(slave)
    with os.fdopen(slave, "w") as stream:
        terminal = Terminal(master, stream)
        terminal.resize(80, 24)
        yield terminal
    os.close(master)


def story_on(terminal: Terminal, **environ: str) -> Story:
    story = Story("auto", terminal.stream, environ)
    story.begin(ingest=2.0, eda=3.0, **{"train[n=1]": 4.0})
    story.queue("ingest", "eda")
    story.wait(0.1)
    return story


def test_a_block_shows_how_far_a_build_is(terminal):
    """Progress, what runs, since when and where in it; what ended scrolls above, and the end leaves nothing."""
    story = story_on(terminal, NO_COLOR="1")
    assert terminal.shown() == "\n0/5 tasks  0 running  2 waiting  eta 9 s"
    story.start("ingest", "eda")
    story.wait(1.0)
    story.cell("eda", 3, "model = fit(images, labels)")
    story.wait(0.1)
    assert terminal.shown() == (
        "\n0/5 tasks  2 running  eta 8 s\n  ingest  1 s\n  eda     1 s  3/12  model = fit(images, labels)"
    )
    story.stop("ingest", 2.1)
    story.end("ingest", "ran", "code: notebooks/ingest.py, cell 4")
    story.wait(1.0)
    assert terminal.shown() == (
        "✓ ingest  ran in 2.1 s  (code: notebooks/ingest.py, cell 4)\n"
        "\n"
        "1/5 tasks  1 running  eta 7 s\n"
        "  eda  2 s  3/12  model = fit(images, labels)"
    )
    story.finish()
    assert terminal.shown() == (
        "✓ ingest  ran in 2.1 s  (code: notebooks/ingest.py, cell 4)\n"
        "1 task: 1 ran, 0 restored, 0 up to date in 14.2 s\n"
    )
    assert terminal.wraps


@pytest.mark.parametrize("columns", [1, 7, 20, 33, 50, 80, 200])
@pytest.mark.parametrize("rows", [1, 2, 5, 24])
def test_a_block_fits_whatever_the_terminal(terminal, columns, rows):
    """No line is wider, and all together are lower than the terminal: else drawing over them would garble it."""
    story = story_on(terminal)
    terminal.shown()
    terminal.resize(columns, rows)
    story.start(*NAMES)
    for name in NAMES:
        story.cell(name, 10, "日本 = 'a long line' * 100" * 5)
    story.wait(5000.0)
    story.wait(1.0)
    terminal.lines, terminal.row = [[]], 0
    story.wait(1.0)
    shown = terminal.shown().split("\n")
    assert len(shown) <= max(2, rows)
    assert all(len(line) <= columns for line in shown)


def test_a_resize_takes_effect_with_the_next_frame(terminal):
    """Even where nothing else has changed."""
    story = story_on(terminal)
    assert "eta 9 s" in terminal.shown()
    terminal.resize(20, 24)
    story.now += 0.2
    story.display.tick()
    assert terminal.shown() == "\n0/5 tasks  0 runnin…"


def test_more_tasks_than_rows_are_counted(terminal):
    """The block leaves room for what it is there to leave room for."""
    terminal.resize(80, 6)
    story = story_on(terminal)
    story.start(*NAMES)
    story.wait(1.0)
    assert terminal.shown().splitlines()[-2:] == ["  eda     1 s", "  and 3 more"]


def test_finished_lines_are_whole(terminal):
    """They wrap instead of being cut: they are there to be copied."""
    story = story_on(terminal)
    reason = "module: " + "x" * 100
    story.stop("ingest", 1.0)
    story.end("ingest", "ran", reason)
    story.finish()
    assert reason in terminal.shown().replace("\n", "")


def test_a_build_with_nothing_to_execute_draws_no_block(terminal):
    """Its one line is its only one."""
    story = Story("auto", terminal.stream, {})
    story.begin()
    for name in NAMES:
        story.end(name, "up_to_date")
    story.wait(1.0)
    story.finish()
    terminal.shown()
    assert terminal.raw == "\x1b[1m5 tasks: 0 ran, 0 restored, 5 up to date in 14.2 s\x1b[0m\n"


def test_a_build_that_breaks_off_leaves_no_block(terminal):
    """Closing takes the block away; what is printed next stands in its place."""
    story = story_on(terminal)
    story.display.close()
    terminal.stream.write("error\n")
    terminal.stream.flush()
    assert terminal.shown() == "error\n"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true", "NO_COLOR": "1"}])
def test_colour_is_not_forced_on_anyone(terminal, environ):
    """Neither ours nor that of what tasks print."""
    Story("auto", terminal.stream, environ).of_everything()
    terminal.shown()
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.raw)


def test_nothing_but_text_is_written_to_a_terminal_that_can_do_nothing_else(terminal):
    """With ``TERM=dumb`` there is no block."""
    Story("auto", terminal.stream, {"TERM": "dumb"}).of_everything()
    terminal.shown()
    assert terminal.raw == TEXTS["auto", ""]
