"""`python -m tests.benchmarks`: nbdag and its peers on the same work, in turns, on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from tests.benchmarks.contest import LINES
from tests.benchmarks.environments import Environment, cache_folder, ours, peer
from tests.benchmarks.families import one_row_more
from tests.benchmarks.measure import adopt_orphans
from tests.benchmarks.opening import added_to_an_open
from tests.benchmarks.resuming import edited_to_shown
from tests.benchmarks.sizes import BAR_MB, BAR_S, SIZES, dry_runs
from tests.benchmarks.table import HEAD, bounded, document, machine, rows
from tests.benchmarks.timing import Race
from tests.benchmarks.watching import saved_to_done

WATCH = "watch"
RESUME = "resume"
OPENS = "opens"
FAMILIES = "families"
SIZES_LINE = "sizes"
NAMES = (*(line.name for line in LINES), WATCH, RESUME, OPENS, FAMILIES, SIZES_LINE)
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


@click.command
@click.option("--quick", is_flag=True, help="Small workloads, to see that everything works.")
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
    tools = {"nbdag": ours(cache)}
    for tool in sorted({contestant.tool for line in lines for contestant in line.peers}):
        tools[tool] = peer(tool, cache)
    found: dict[str, Any] = {"machine": machine(), "versions": _versions(tools), "lines": []}
    _say(f"{name}: {value}" for name, value in {**found["machine"], **found["versions"]}.items())
    _say(["", HEAD])
    for line in lines:
        result = Race(line, line.small if quick else line.workload, tools, work).run(runs)
        found["lines"].append(document(result))
        _say(rows(result))
        shutil.rmtree(work / line.name)
    if WATCH in wanted:
        seconds = saved_to_done(tools["nbdag"], work / WATCH, runs)
        found["lines"].append({"name": WATCH, "saved_to_done_s": seconds})
        _say([f"{WATCH}: one trivial notebook", bounded("saved to done", seconds, bar=0.25, aim=0.15)])
    if RESUME in wanted:
        sleep_s = 2.0 if quick else 20.0
        shown, whole = edited_to_shown(tools["nbdag"], work / RESUME, runs, sleep_s)
        found["lines"].append({"name": RESUME, "edited_to_shown_s": shown, "whole_run_s": whole})
        _say([f"{RESUME}: cell 7 of 12 edited, the sixth takes {sleep_s:g} s; a whole run took {whole:.1f} s"])
        _say([bounded("edited to shown", shown, bar=1.0, aim=0.5)])
    if OPENS in wanted:
        micros = added_to_an_open(tools["nbdag"], work / OPENS, runs)
        found["lines"].append({"name": OPENS, "added_us": micros})
        _say([f"{OPENS}: a file of the repository, in microseconds"])
        _say([bounded("added by noting it", micros, bar=1.0, aim=1.0)])
    if FAMILIES in wanted:
        growth = one_row_more(tools["nbdag"], work / FAMILIES, runs, 300 if quick else 10_000)
        found["lines"].append({"name": FAMILIES, **asdict(growth)})
        _say(growth.lines())
    if SIZES_LINE in wanted:
        sized = dry_runs(tools["nbdag"], work / SIZES_LINE, SIZES[:1] if quick else SIZES)
        found["lines"].append({"name": SIZES_LINE, "sizes": [asdict(each) for each in sized]})
        _say(
            [f"{SIZES_LINE}: dry runs; the bar of the largest is {BAR_S:g} s and {BAR_MB:g} MB", *map(str, sized)]
        )
    if file:
        file.write_text(json.dumps(found, indent=1))


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
