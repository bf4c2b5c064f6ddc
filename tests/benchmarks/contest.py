"""What is compared: the lines of the table, and how each tool is called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from tests.benchmarks.copies import Copies
from tests.benchmarks.digits import DIGITS, TWO_OF_DIGITS, Digits
from tests.benchmarks.functions import Functions
from tests.benchmarks.inputs import Inputs
from tests.benchmarks.notebooks import Notebooks

Workload = Copies | Digits | Functions | Inputs | Notebooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A tool, and the command that brings a workload up to date with it."""

    label: str
    tool: str
    argv: tuple[str, ...]


NBDAG = Contestant(label="nbdag", tool="nbdag", argv=("nbdag", "build"))
INLINE = Contestant(label="nbdag, inline", tool="nbdag", argv=("nbdag", "build", "--executor=inline"))
DOIT = Contestant(label="doit", tool="doit", argv=("doit", "-v", "0"))
DOIT_2 = Contestant(label="doit, 2 processes", tool="doit", argv=("doit", "-v", "0", "-n", "2"))
MAKE = Contestant(label="make, 2 jobs", tool="make", argv=("make", "--silent", "-j2"))
JOBLIB = Contestant(label="joblib, 2 jobs", tool="joblib", argv=("python", "run.py"))
NINJA = Contestant(label="ninja", tool="ninja", argv=("ninja", "--quiet"))
PYTASK = Contestant(label="pytask", tool="pytask", argv=("pytask", "--verbose", "0"))
SNAKEMAKE = Contestant(label="Snakemake, 2 jobs", tool="snakemake", argv=("snakemake", "--quiet", "--cores", "2"))
PLOOMBER = Contestant(label="Ploomber, parallel", tool="ploomber", argv=("ploomber", "build"))
PAPERMILL_LOOP = Contestant(label="papermill in a loop", tool="papermill", argv=("sh", "run.sh"))
PAPERMILL = Contestant(
    label="papermill",
    tool="papermill",
    argv=("papermill", "--no-progress-bar", "notebooks/0.ipynb", "out/0.ipynb"),
)
DVC = Contestant(label="DVC", tool="dvc", argv=("dvc", "repro", "--quiet"))
NBMAKE = Contestant(
    label="nbmake, 2 workers", tool="nbmake", argv=("pytest", "--quiet", "--nbmake", "-n", "2", "notebooks")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How many times as long as a peer nbdag may take, and what it should aim at, without ``beside_s`` seconds."""

    peer: Contestant
    bar: float
    aim: float | None = None
    beside_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A comparison. ``small`` is the workload of a quick look.

    ``state`` is what is timed: the first build, a build when all is up to date, the same without `.nbdag/state`,
    or one after an edit. ``cpu_s`` are bar and aim of nbdag's processor time.
    """

    name: str
    workload: Workload
    small: Workload
    state: Literal["cold", "built", "looked", "edited"]
    peers: tuple[Contestant, ...]
    bars: tuple[Bar, ...] = ()
    cpu_s: tuple[float, float] | None = None

    def quick(self, tools: Collection[str]) -> Line:
        """Return the small workload, for those who have one of these tools."""
        return replace(
            self,
            workload=self.small,
            peers=tuple(peer for peer in self.peers if peer.tool in tools),
            bars=tuple(bar for bar in self.bars if bar.peer.tool in tools),
        )


LINES = (
    Line(
        name="noop-100",
        workload=Copies(count=100),
        small=Copies(count=20),
        state="built",
        peers=(DOIT, NINJA, SNAKEMAKE, PYTASK),
    ),
    Line(
        name="noop-1000",
        workload=Copies(count=1000),
        small=Copies(count=20),
        state="built",
        peers=(DOIT, NINJA, SNAKEMAKE, PYTASK),
        bars=(Bar(peer=DOIT, bar=0.6, aim=0.4),),
    ),
    Line(
        name="noop-1000-deep",
        workload=Copies(count=1000, deep=True),
        small=Copies(count=20, deep=True, chain=10),
        state="built",
        peers=(DOIT, NINJA, PYTASK),
        bars=(Bar(peer=DOIT, bar=0.6, aim=0.4),),
    ),
    Line(
        name="noop-10000",
        workload=Copies(count=10_000),
        small=Copies(count=20),
        state="built",
        peers=(DOIT, NINJA),
        bars=(Bar(peer=DOIT, bar=0.25, aim=0.15),),
    ),
    Line(
        name="noop-10000-deep",
        workload=Copies(count=10_000, deep=True),
        small=Copies(count=20, deep=True, chain=10),
        state="built",
        peers=(DOIT, NINJA),
        bars=(Bar(peer=DOIT, bar=0.25, aim=0.15),),
    ),
    Line(
        name="look-1000",
        workload=Copies(count=1000),
        small=Copies(count=20),
        state="looked",
        peers=(DOIT,),
        bars=(Bar(peer=DOIT, bar=1.5, aim=0.8),),
    ),
    Line(
        name="look-10000",
        workload=Copies(count=10_000),
        small=Copies(count=20),
        state="looked",
        peers=(),
        cpu_s=(3.0, 1.5),
    ),
    Line(
        name="look-2000-chain",
        workload=Copies(count=2000, deep=True, chain=2000),
        small=Copies(count=20, deep=True, chain=20),
        state="looked",
        peers=(DOIT,),
    ),
    Line(
        name="copies-1000",
        workload=Copies(count=1000),
        small=Copies(count=20),
        state="cold",
        peers=(DOIT_2, MAKE),
        bars=(Bar(peer=DOIT_2, bar=1.0), Bar(peer=MAKE, bar=float("inf"), aim=2.0)),
    ),
    Line(
        name="functions-1000",
        workload=Functions(count=1000),
        small=Functions(count=10),
        state="cold",
        peers=(JOBLIB,),
        bars=(Bar(peer=JOBLIB, bar=1.0, beside_s=2.0),),
    ),
    Line(
        name="auto-short",
        workload=Copies(count=300),
        small=Copies(count=20),
        state="cold",
        peers=(INLINE,),
        bars=(Bar(peer=INLINE, bar=1.1),),
    ),
    Line(
        name="auto-long",
        workload=Functions(count=30, seconds=1.0),
        small=Functions(count=4),
        state="cold",
        peers=(INLINE,),
        bars=(Bar(peer=INLINE, bar=0.9, aim=0.7),),
    ),
    Line(
        name="notebooks-24",
        workload=Notebooks(count=24),
        small=Notebooks(count=2),
        state="cold",
        peers=(PLOOMBER, PAPERMILL_LOOP, SNAKEMAKE, DVC, NBMAKE),
        bars=(Bar(peer=PLOOMBER, bar=0.23, aim=0.15),),
    ),
    Line(
        name="notebooks-100",
        workload=Notebooks(count=100),
        small=Notebooks(count=2),
        state="cold",
        peers=(PAPERMILL_LOOP,),
        bars=(Bar(peer=PAPERMILL_LOOP, bar=0.1, aim=0.05),),
    ),
    Line(
        name="noop-notebooks-24",
        workload=Notebooks(count=24),
        small=Notebooks(count=2),
        state="built",
        peers=(SNAKEMAKE, PLOOMBER),
        bars=(Bar(peer=SNAKEMAKE, bar=0.4, aim=0.2), Bar(peer=PLOOMBER, bar=0.12)),
    ),
    Line(
        name="look-notebooks-24",
        workload=Notebooks(count=24),
        small=Notebooks(count=2),
        state="looked",
        peers=(SNAKEMAKE,),
        bars=(Bar(peer=SNAKEMAKE, bar=0.5, aim=0.25),),
    ),
    Line(
        name="one-stale",
        workload=Notebooks(count=24),
        small=Notebooks(count=2),
        state="edited",
        peers=(PAPERMILL,),
        bars=(Bar(peer=PAPERMILL, bar=0.6, aim=0.4),),
    ),
    Line(
        name="noop-inputs",
        workload=Inputs(size=20 * 10**9, files=50_000),
        small=Inputs(size=10**8, files=100),
        state="built",
        peers=(),
    ),
    Line(name="digits", workload=DIGITS, small=TWO_OF_DIGITS, state="cold", peers=()),
    Line(name="noop-digits", workload=DIGITS, small=TWO_OF_DIGITS, state="built", peers=()),
    Line(name="digits-one-stale", workload=DIGITS, small=TWO_OF_DIGITS, state="edited", peers=()),
)
