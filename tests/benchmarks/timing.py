"""Runs one line of the table: each tool in a folder of its own, in turns, as often as asked."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.benchmarks.contest import NBDAG, Contestant, Line
from tests.benchmarks.environments import Environment
from tests.benchmarks.measure import Sample, measured
from tests.benchmarks.notebooks import Notebooks
from tests.benchmarks.proofs import NotProvenError, newest_run, prove, record_kb

REST_S = 3.0
"""After this long, no tool doubts a file because it was written a moment ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a line's runs took, by the label of who ran."""

    line: Line
    samples: Mapping[str, list[Sample]]
    first: Mapping[str, Sample] = field(default_factory=dict[str, Sample])
    """The first build, where it is not what is timed."""
    second: Mapping[str, Sample] = field(default_factory=dict[str, Sample])
    """The build right after it."""
    added_s: tuple[float, ...] = ()
    """What nbdag added to each notebook of its first builds."""
    record_kb: tuple[float, ...] = ()
    """What each record of a build with nothing to do takes."""


class Race:
    """The contestants of one line, and where they run."""

    def __init__(self, line: Line, tools: Mapping[str, Environment], folder: Path) -> None:
        self._line = line
        self._workload = line.workload
        self._tools = tools
        self._folder = folder / line.name
        self._contestants = (NBDAG, *line.peers)
        self._samples: dict[str, list[Sample]] = defaultdict(list)
        self._first: dict[str, Sample] = {}
        self._second: dict[str, Sample] = {}
        self._added: list[float] = []
        self._recorded: list[float] = []

    def prepare(self) -> None:
        """Build everything, unless that is what is timed. Before `run` the files have to come to rest."""
        if self._line.state != "cold":
            for contestant in self._contestants:
                self._build_once(contestant)

    def run(self, rounds: int) -> Result:
        """Run every contestant once in each round; raises `NotProvenError` or `CommandError`."""
        if self._line.state != "cold":
            for contestant in self._contestants:
                self._timed(contestant)
        for number in range(rounds):
            for contestant in self._contestants:
                self._samples[contestant.label].append(self._take_turn(contestant, number))
        if self._line.state == "built":
            self._prove_that_a_deleted_output_is_noticed()
        return Result(
            line=self._line,
            samples=self._samples,
            first=self._first,
            second=self._second,
            added_s=tuple(self._added),
            record_kb=tuple(self._recorded),
        )

    def _build_once(self, contestant: Contestant) -> None:
        self._write_anew(contestant)
        self._first[contestant.label] = self._timed(contestant)
        self._second[contestant.label] = self._timed(contestant)

    def _take_turn(self, contestant: Contestant, number: int) -> Sample:
        match self._line.state:
            case "cold":
                self._write_anew(contestant)
                ran = self._workload.count
            case "edited":
                self._workload.edit(self._place(contestant), number)
                ran = 1
            case "looked":
                shutil.rmtree(self._place(contestant) / ".nbdag" / "state", ignore_errors=True)
                ran = 0
            case "built":
                ran = 0
        sample = self._timed(contestant)
        if contestant is NBDAG:
            if sample.left:
                raise NotProvenError(f"nbdag left processes: {', '.join(sample.left)}")
            hits = self._workload.count - ran
            prove(self._place(NBDAG), **({"ran": ran} if ran else {}), **({"up_to_date": hits} if hits else {}))
            if self._line.state == "built":
                self._recorded.append(record_kb(self._place(NBDAG)))
            if self._line.state == "cold" and isinstance(self._workload, Notebooks):
                self._added += newest_run(self._place(NBDAG)).added_s
        return sample

    def _prove_that_a_deleted_output_is_noticed(self) -> None:
        place = self._place(NBDAG)
        output = place / self._workload.output(self._workload.count // 2)
        before = output.read_bytes()
        output.unlink()
        self._timed(NBDAG)
        prove(place, restored=1, up_to_date=self._workload.count - 1)
        if output.read_bytes() != before:
            raise NotProvenError(f"{output} was not restored")

    def _timed(self, contestant: Contestant) -> Sample:
        environment = self._tools[contestant.tool]
        click.echo(f"{self._line.name}: {contestant.label}", err=True)
        program, *arguments = contestant.argv
        inside = environment.folder / "bin" / program
        command = [str(inside) if inside.exists() else program, *arguments]
        return measured(command, self._place(contestant), environment.variables())

    def _write_anew(self, contestant: Contestant) -> None:
        place = self._place(contestant)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self._workload.write(place, contestant.tool)

    def _place(self, contestant: Contestant) -> Path:
        return self._folder / contestant.tool
