"""What a row more costs in a file that a task makes, of which each row is an instance, and how expansion grows."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.environments import Environment
from tests.benchmarks.measure import Sample, measured

_PIPELINE = """
[tasks.list]
command = "cp source.csv rows.csv"
inputs = ["source.csv"]
outputs = ["rows.csv"]

[tasks.copy]
instances = { rows = "rows.csv" }
command = "cp in.txt out/{number}.txt"
inputs = ["in.txt"]
outputs = ["out/{number}.txt"]
"""
_EXPAND = """
import sys, time
from nbmake_dag.config.pipeline_file import Found, expand, parse
from nbmake_dag.core.graph import build_graph

text = '[tasks.copy]\\ninstances = { rows = "r.csv" }\\ncommand = "cp in.txt out/{n}"\\noutputs = ["out/{n}"]\\n'
file = parse(text.encode())
rows = "\\n".join(("n", *map(str, range(int(sys.argv[1])))))
begun = time.process_time()
build_graph(expand(file, {}, {}, Found(rows={"r.csv": rows.encode()})))
print(time.process_time() - begun)
"""
_REST_S = 3.0
"""In which files come to rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Samples of builds: nothing to do, nothing to do but look at everything, one row more, and its task alone."""

    count: int
    nothing: list[Sample]
    look: list[Sample]
    more: list[Sample]
    alone: list[Sample]
    expansion: dict[int, float]
    """Seconds of processor, by number of instances."""

    @property
    def ratio(self) -> float:
        """Of one row more to a look at everything plus the tasks that run, built alone; by processor time."""
        return _cpu(self.more) / (_cpu(self.look) + _cpu(self.alone))

    def lines(self) -> list[str]:
        builds = {
            "nothing to do": self.nothing,
            "look at everything": self.look,
            "one row more": self.more,
            "its two tasks alone": self.alone,
        }
        said = [
            f"  {what:32} wall {median(sample.wall_s for sample in samples):.2f}, processors {_cpu(samples):.2f}"
            for what, samples in builds.items()
        ]
        each = ", ".join(f"{count}: {seconds / count * 1e6:.0f}" for count, seconds in self.expansion.items())
        return [
            f"families: {self.count} instances from a file that a task makes",
            *said,
            f"  one row more / (look at everything + its tasks alone): {self.ratio:.2f}, bar 1.5",
            f"  expansion, microseconds for each instance: {each}",
        ]


def one_row_more(environment: Environment, place: Path, rounds: int, count: int) -> Growth:
    """Build a family, and then again and again with nothing new, without what says so at once, and with a row."""
    project = _project(place / "many", range(count))
    argv = [environment.program("nbdag"), "build", "--output=none", "--executor=inline"]
    variables = environment.variables()
    measured(argv, project, variables)
    time.sleep(_REST_S)
    measured(argv, project, variables)
    samples: dict[str, list[Sample]] = {"nothing": [], "look": [], "more": [], "alone": []}
    for number in range(rounds):
        time.sleep(_REST_S)
        measured(argv, project, variables)
        samples["nothing"].append(measured(argv, project, variables))
        shutil.rmtree(project / ".nbdag/state/unchanged")
        samples["look"].append(measured(argv, project, variables))
        with (project / "source.csv").open("a") as file:
            file.write(f"{count + number}\n")
        samples["more"].append(measured(argv, project, variables))
        if not (project / f"out/{count + number}.txt").exists():
            raise RuntimeError("the row that joined was not built")
        alone = _project(place / f"alone-{number}", (1,))
        samples["alone"].append(measured(argv, alone, variables))
    expansion = {size: _expanded(environment, size) for size in (count // 4, count // 2, count, count * 2)}
    return Growth(count=count, expansion=expansion, **samples)


def _project(folder: Path, numbers: range | tuple[int, ...]) -> Path:
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(_PIPELINE)
    (folder / "source.csv").write_text("\n".join(("number", *map(str, numbers), "")))
    (folder / "in.txt").write_text("in")
    return folder


def _expanded(environment: Environment, count: int) -> float:
    argv = [environment.program("python"), "-c", _EXPAND, str(count)]
    done = subprocess.run(argv, env=environment.variables(), check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def _cpu(samples: list[Sample]) -> float:
    return median(sample.cpu_s for sample in samples)
