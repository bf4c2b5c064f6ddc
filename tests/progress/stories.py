"""A run that is told to a display, event by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.model import Notebook, Pipeline, ProjectPath, Task, TaskName, Value
from nbmake_dag.execute.protocol import AttemptResult, CellStarted, Ended, Failure, Printed, Started
from nbmake_dag.observe.project import Project
from nbmake_dag.progress.display import Display, Output, make_display
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome
from nbmake_dag.record.run_events import (
    ExecutorReported,
    Notice,
    RetryScheduled,
    RunEnded,
    RunStarted,
    TaskEnded,
    TaskQueued,
    TaskWaits,
    Tick,
)
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Logged, Origin, Record
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.vocabulary import AttemptOutcome, TaskStatus

NAMES = ["ingest", "eda", "train[n=1]", "train[n=2]", "summary"]
AFTER = {"train[n=1]": ["ingest"], "train[n=2]": ["ingest"], "summary": ["train[n=1]", "train[n=2]"]}
BROKEN = Failure(type="ValueError", message="no digits", cell=CellRef(1), cell_source="x = 1\nfit(x)", line=2)


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
        key=Key("k"),
        static_key=Key("k"),
        own_key=Key("k"),
        task="t",
        ingredients=(),
        outputs=(),
        logged=Logged(),
        origin=origin,
    )


@dataclass
class Story:
    """A run that is told to a display; ``now`` is the display's clock."""

    output: Output
    stream: TextIO
    environ: dict[str, str]
    now: float = 100.0
    profiles: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict[str, Value])
    outcome: RunOutcome = field(default_factory=lambda: RunOutcome(run_id="r", duration_s=14.23))

    def __post_init__(self):
        self.display: Display = make_display(
            self.output, self.stream, environ=self.environ, clock=lambda: self.now
        )
        self.results: dict[str, list[AttemptResult]] = {name: [] for name in NAMES}

    def reported(self, event):
        self.display.notify(ExecutorReported(event=event))

    def begin(self, **durations: float):
        project = Project(config="/p/pipeline.toml", root="/p", repository="/p", profiles=self.profiles)
        whole = pipeline()
        self.display.notify(
            RunStarted(
                run_id="r",
                started=0,
                project=project,
                pipeline=whole,
                graph=build_graph(whole),
                durations=durations,
                jobs=2,
                parameters=self.parameters,
            )
        )

    def queue(self, *names: str):
        for name in names:
            self.display.notify(TaskQueued(task=TaskName(name), reasons=("code: a, cell 1",), codes=("cell",)))

    def await_pool(self, pool: str, *names: str):
        for name in names:
            self.display.notify(TaskWaits(task=TaskName(name), pool=pool))

    def start(self, *names: str):
        for name in names:
            self.reported(Started(task=name, attempt=len(self.results[name]) + 1, time=0))

    def cell(self, name: str, position: int, first_line: str):
        self.reported(
            CellStarted(
                task=name, attempt=1, time=0, cell=CellRef(9), position=position, total=12, first_line=first_line
            )
        )

    def prints(self, name: str, text: str, stream: str = "stdout"):
        self.reported(Printed(task=name, attempt=1, time=0, stream=stream, text=text))

    def stop(
        self,
        name: str,
        seconds: float,
        outcome: AttemptOutcome = "succeeded",
        failure: Failure | None = None,
        notebook: str | None = None,
    ):
        result = AttemptResult(
            outcome=outcome, started=0, ended=int(seconds * 1e9), failure=failure, notebook=notebook
        )
        self.results[name].append(result)
        self.reported(Ended(task=name, attempt=len(self.results[name]), result=result))

    def end(self, name: str, status: TaskStatus, *reasons: str, **fields):
        outcome = TaskOutcome(
            task=TaskName(name), status=status, reasons=reasons, attempts=tuple(self.results[name]), **fields
        )
        self.outcome.tasks[outcome.task] = outcome
        self.display.notify(TaskEnded(outcome=outcome))

    def wait(self, seconds: float):
        self.now += seconds
        self.display.notify(Tick())

    def finish(self):
        self.display.notify(RunEnded(outcome=self.outcome))

    def of_everything(self):
        """Tell a run in which all that can become of a task does."""
        self.begin()
        self.end("eda", "up_to_date", record=record(31.0))
        self.queue("ingest")
        self.start("ingest")
        self.prints("ingest", "asking\nno ans")
        self.stop("ingest", 10.0, "timeout", Failure(type="timeout", message="took longer than 10 s"))
        self.display.notify(RetryScheduled(task=TaskName("ingest"), attempt=2, delay_s=5.0))
        self.start("ingest")
        self.prints("ingest", "10%\r50%\r100%\n")
        self.prints("ingest", "\x1b[31mfound\x1b[2J\n", "stderr")
        self.stop("ingest", 2.0)
        self.end("ingest", "ran", "its max_age is over", "code: notebooks/ingest.py, cell 4")
        self.display.notify(Notice(text="warning: ingest: it used files\nthat it does not declare"))
        self.end("train[n=1]", "restored", "missing: models/1", record=record(8.0))
        self.queue("train[n=2]")
        self.start("train[n=2]")
        self.prints("train[n=2]", "loss 1.0\n")
        self.stop("train[n=2]", 0.5, "failed", BROKEN)
        self.end("train[n=2]", "failed", "never ran", failed_folder=".nbdag/failed/r/train[n=2]")
        self.end("summary", "skipped", because=TaskName("train[n=2]"))
        self.finish()
