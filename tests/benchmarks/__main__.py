"""`python -m tests.benchmarks`: nbdag and its peers on the same work, in turns, on this machine."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import click

from tests.benchmarks.contest import LINES
from tests.benchmarks.copies import Copies
from tests.benchmarks.environments import Environment, at_hand, cache_folder, ours, peer
from tests.benchmarks.families import one_row_more
from tests.benchmarks.measure import adopt_orphans
from tests.benchmarks.notebooks import Notebooks
from tests.benchmarks.opening import added_to_an_open
from tests.benchmarks.restoring import restored
from tests.benchmarks.resuming import edited_to_shown
from tests.benchmarks.sizes import BAR_MB, BAR_S, SIZES, SMALL, dry_runs
from tests.benchmarks.table import HEAD, bounded, document, machine, rows
from tests.benchmarks.timing import REST_S, Race, Result
from tests.benchmarks.watching import saved_to_done

_WATCHED = (("notebook", Notebooks(count=1), 0.25, 0.15), ("command", Copies(count=1), 0.15, 0.08))
"""Each with the bar and the aim of the seconds from saved to done."""
_REPORTED = (
    "nbmake-dag",
    "doit",
    "joblib",
    "ninja",
    "snakemake",
    "pytask",
    "ploomber",
    "papermill",
    "dvc",
    "nbmake",
    "ipykernel",
)


_Results: TypeAlias = Iterator[tuple[dict[str, Any], list[str]]]
"""Values for the file, and what is printed."""


def _watch(nbdag: Environment, work: Path, runs: int, *, quick: bool) -> _Results:
    for what, workload, bar, aim in _WATCHED:
        seconds = saved_to_done(nbdag, work / what, runs, workload)
        text = [f"watch: one trivial {what}", bounded("saved to done", seconds, bar=bar, aim=aim)]
        yield {"name": f"watch-{what}", "saved_to_done_s": seconds}, text


def _resume(nbdag: Environment, work: Path, runs: int, *, quick: bool) -> _Results:
    sleep_s = 2.0 if quick else 20.0
    shown, whole = edited_to_shown(nbdag, work, runs, sleep_s)
    text = f"resume: cell 7 of 12 edited, the sixth takes {sleep_s:g} s; a whole run took {whole:.1f} s"
    values = {"name": "resume", "edited_to_shown_s": shown, "whole_run_s": whole}
    yield values, [text, bounded("edited to shown", shown, bar=1.0, aim=0.5)]


def _restore(nbdag: Environment, work: Path, runs: int, *, quick: bool) -> _Results:
    back = restored(nbdag, work, runs, *((20, 1000) if quick else (1000, 1_000_000)))
    yield {"name": "restore", **asdict(back)}, back.lines()


def _opens(nbdag: Environment, work: Path, runs: int, *, quick: bool) -> _Results:
    micros = added_to_an_open(nbdag, work, runs)
    text = ["opens: a file of the repository, in microseconds"]
    yield {"name": "opens", "added_us": micros}, [*text, bounded("added by noting it", micros, bar=1.0, aim=1.0)]


def _families(nbdag: Environment, work: Path, runs: int, *, quick: bool) -> _Results:
    growth = one_row_more(nbdag, work, runs, 20 if quick else 10_000)
    yield {"name": "families", **asdict(growth)}, growth.lines()


def _sizes(nbdag: Environment, work: Path, runs: int, *, quick: bool) -> _Results:
    sized = dry_runs(nbdag, work, SMALL if quick else SIZES)
    text = f"sizes: dry runs; the bar of the largest is {BAR_S:g} s and {BAR_MB:g} MB"
    yield {"name": "sizes", "sizes": [asdict(each) for each in sized]}, [text, *map(str, sized)]


ALONE = {
    "watch": _watch,
    "resume": _resume,
    "restore": _restore,
    "opens": _opens,
    "families": _families,
    "sizes": _sizes,
}
"""The lines in which no peer takes part."""
NAMES = (*(line.name for line in LINES), *ALONE)


@click.command
@click.option("--quick", is_flag=True, help="Tiny workloads and the cheap peers, to see that everything works.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), metavar="NAME", help=f"Of {', '.join(NAMES)}.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Turns of each tool.")
@click.option("--json", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write every sample there.")
def main(only: tuple[str, ...], runs: int, file: Path | None, *, quick: bool) -> None:
    """Time nbdag and its peers on the same work, in turns."""
    adopt_orphans()
    wanted = only or NAMES
    lines = [line for line in LINES if line.name in wanted]
    cache = cache_folder()
    work = cache / "work"
    shutil.rmtree(work, ignore_errors=True)
    if quick:
        tools = at_hand(cache)
        lines = [line.quick(tools) for line in lines]
    else:
        names = sorted({contestant.tool for line in lines for contestant in line.peers} - {"nbdag"})
        tools = {"nbdag": ours(cache), **{tool: peer(tool, cache) for tool in names}}
    found: dict[str, Any] = {"machine": machine(), "versions": _versions(tools), "lines": []}
    _say(f"{name}: {value}" for name, value in {**found["machine"], **found["versions"]}.items())
    _say(["", HEAD])
    for together in [lines] if quick else [[line] for line in lines]:
        for result in _raced([Race(line, tools, work) for line in together], runs):
            found["lines"].append(document(result))
            _say(rows(result))
            shutil.rmtree(work / result.line.name)
    for name in (name for name in wanted if name in ALONE):
        for more, text in ALONE[name](tools["nbdag"], work / name, runs, quick=quick):
            found["lines"].append(more)
            _say(text)
    if file:
        file.write_text(json.dumps(found, indent=1))


def _raced(races: list[Race], runs: int) -> Iterator[Result]:
    """Run races whose files come to rest at the same time."""
    for race in races:
        race.prepare()
    time.sleep(REST_S)
    for race in races:
        yield race.run(runs)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _versions(tools: dict[str, Environment]) -> dict[str, str]:
    """Say which versions of what matters each environment holds."""
    said: dict[str, str] = {}
    for tool, environment in tools.items():
        versions = {name.lower(): version for name, version in environment.versions().items()}
        said[tool] = ", ".join(f"{name} {versions[name]}" for name in _REPORTED if name in versions)
    return said


if __name__ == "__main__":
    main()
