"""What a terminal shows while a build runs: a block that is redrawn below lines that stay."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

import pytest

from nbmake_dag.record.run_events import (
    Tick,
)
from tests.progress.stories import NAMES, Story
from tests.progress.test_display import TEXTS


@dataclass
class Terminal:
    """The far end of a pseudo-terminal, and what a screen of its size would show.

    Understands what the display uses, and refuses anything else.
    """

    master: int
    stream: TextIO
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


def test_a_block_says_for_which_pools_tasks_wait(terminal):
    """Until they begin; the others wait for room."""
    story = story_on(terminal, NO_COLOR="1")
    story.queue("train[n=1]", "train[n=2]")
    story.await_pool("database", "eda", "train[n=1]")
    story.await_pool("api", "train[n=2]")
    story.wait(0.2)
    assert terminal.shown() == "\n0/5 tasks  0 running  4 waiting, 2 for database, 1 for api  eta 9 s"
    story.start("train[n=2]", "eda")
    story.wait(0.2)
    assert terminal.shown().splitlines()[1] == "0/5 tasks  2 running  2 waiting, 1 for database  eta 9 s"


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
    story.display.notify(Tick())
    assert terminal.shown() == "\n0/5 tasks  0 runnin…"


def test_more_tasks_than_rows_are_counted(terminal):
    """The block leaves room for what it is there to leave room for."""
    terminal.resize(80, 6)
    story = story_on(terminal)
    story.start(*NAMES)
    story.wait(1.0)
    assert terminal.shown().splitlines()[-2:] == ["  eda     1 s", "  and 3 more"]


def test_finished_lines_are_whole(terminal):
    """They are folded instead of being cut: they are there to be read."""
    story = story_on(terminal)
    reason = "module: " + "x" * 100
    story.stop("ingest", 1.0)
    story.end("ingest", "ran", reason)
    story.finish()
    assert reason.replace(" ", "") in "".join(terminal.shown().split())


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
