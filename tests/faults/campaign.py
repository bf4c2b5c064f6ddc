"""Faults that are tried one by one, by rows: seeded, bounded, and gone on with where the last campaign ended."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from nbmake_dag.observe.state_file import replace_file
from tests.support.project import MARK

Trial = Callable[[int, random.Random, Path], None]
"""Try the fault with a number, in a folder of its own; raises whatever for a promise that did not hold."""


class NotInjectedError(Exception):
    """The fault did not happen, as its moment did not come: the trial counts as not tried."""


def _nothing() -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """All that a row can try: numbers below ``count``, each of which stands for ``each`` faults."""

    count: int
    run: Trial
    each: int = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of fault. ``prepare`` makes what its trials share in a folder that stays as long as they do."""

    name: str
    what: str
    prepare: Callable[[Path], Trials]
    missing: Callable[[], str] = field(default=_nothing)
    """Return what the machine lacks for it, or nothing."""


class Tried(msgspec.Struct):
    """What was tried of a row."""

    of: int
    each: int = 1
    numbers: list[int] = msgspec.field(default_factory=list[int])
    failed: dict[int, str] = msgspec.field(default_factory=dict[int, str])


class State(msgspec.Struct):
    """A campaign so far."""

    seed: int
    rows: dict[str, Tried] = msgspec.field(default_factory=dict[str, Tried])


class Campaign:
    """A campaign whose state is in a file, written after each trial."""

    def __init__(self, path: Path, seed: int) -> None:
        """Go on with the campaign of the file, whose seed then counts."""
        self._path = path
        self.state = msgspec.json.decode(path.read_bytes(), type=State) if path.exists() else State(seed=seed)

    def run(
        self,
        row: Row,
        *,
        most: int | None = None,
        until: float = float("inf"),
        only: Iterable[int] | None = None,
        say: Callable[[str], None] = print,
    ) -> Tried:
        """Try what was not tried yet: at most so many, and none after a moment of the monotonic clock.

        ``only`` are numbers to try again. Numbers come in an order that the seed decides, so that those tried are
        spread over the row.
        """
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as base:
            try:
                trials = row.prepare(Path(base) / "shared")
                tried = self.state.rows.setdefault(row.name, Tried(of=trials.count))
                tried.of, tried.each = trials.count, trials.each
                for number in self._order(row, tried, only, most):
                    if time.monotonic() >= until:
                        break
                    try:
                        why = self._try(row, trials.run, number, Path(base) / f"trial-{number}")
                    except NotInjectedError as error:
                        say(f"{row.name}:{number} counts as not tried: {error}")
                        continue
                    if number not in tried.numbers:
                        tried.numbers.append(number)
                    tried.failed.pop(number, None)
                    if why:
                        tried.failed[number] = why
                        say(f"FAILED {row.name}:{number}, seed {self.state.seed}\n{why}")
                    replace_file(str(self._path), msgspec.json.encode(self.state))
            finally:
                _end_all(base)
        return tried

    def _order(self, row: Row, tried: Tried, only: Iterable[int] | None, most: int | None) -> list[int]:
        if only is not None:
            return [number for number in only if number < tried.of]
        order = list(range(tried.of))
        random.Random(f"{self.state.seed} {row.name}").shuffle(order)
        done = set(tried.numbers)
        return [number for number in order if number not in done][:most]

    def _try(self, row: Row, trial: Trial, number: int, folder: Path) -> str:
        """Return why a trial failed, or nothing."""
        folder.mkdir()
        try:
            trial(number, random.Random(f"{self.state.seed} {row.name} {number}"), folder)
        except NotInjectedError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            return f"{traceback.format_exc(limit=-4)}"[-4000:] or str(error)
        finally:
            _end_all(str(folder))
            shutil.rmtree(folder, ignore_errors=True)
        return ""


def table(rows: Iterable[Row], state: State) -> str:
    """Return what was tried, and how much of it failed; nothing counts that was not run."""
    lines = ["| row | tried | of | failed | |", "|---|---|---|---|---|"]
    for row in rows:
        tried = state.rows.get(row.name)
        missing = row.missing()
        if tried is None or not tried.numbers:
            why = f"not tried: {missing}" if missing else "not tried"
            lines.append(f"| `{row.name}` {row.what} | 0 | | | {why} |")
        else:
            failed = ", ".join(map(str, sorted(tried.failed)))
            counts = f"{len(tried.numbers) * tried.each} | {tried.of * tried.each} | {len(tried.failed)}"
            lines.append(f"| `{row.name}` {row.what} | {counts} | {failed} |")
    return "\n".join(lines)


def _end_all(base: str) -> None:
    """Kill what trials below a folder left, so that it cannot disturb the next one."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(base):
                process.kill()
        except psutil.Error:
            continue  # of somebody else, or ended meanwhile
