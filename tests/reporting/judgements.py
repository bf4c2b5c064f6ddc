"""A verdict and a blame about the runs of `browser/digits.py`."""

from __future__ import annotations

from nbmake_dag_reporting.documents import BlamedChange, BlamedMix, BlameDocument
from nbmake_dag_reporting.verdict import ConditionVerdict, Difference, TaskVerdict, VerdictDocument

VERDICT = VerdictDocument(
    id="20270115-080000-000-aaaaaa",
    run="run-00005",
    pipeline="digits",
    commit="0123456789" * 4,
    started=1_800_000_000_000_000_000,
    duration_s=12.5,
    version="1.0",
    from_scratch=False,
    verdict="differs",
    tasks=(
        TaskVerdict(
            name="train",
            verdict="differs",
            why="cell 3: its stdout: 0.9 → 0.8",
            differences=(
                Difference(kind="cell", name="train.py", where="cell 3: its stdout: 0.9 → 0.8"),
                Difference(kind="metric", name="auc", where="0.9 → 0.8"),
            ),
            notes=("other software: package numpy",),
            times=3,
            same=1,
            conditions=(
                ConditionVerdict(name="threads", matters=True, why="with 1 thread it is the same each time"),
                ConditionVerdict(name="time", matters=False, why=""),
            ),
            duration_s=3.0,
        ),
        TaskVerdict(name="ingest", verdict="identical", why="", times=3, same=3, duration_s=2.0),
        TaskVerdict(name="summary", verdict="equal", why="s.csv: by 0.001 at most, row 2", times=1, same=1),
        TaskVerdict(name="publish", verdict="could_not_run", why="data/<x>.csv is not stored as it was"),
    ),
)
BLAME = BlameDocument(
    id="20270115-080140-000-bbbbbb",
    pipeline="digits",
    started=1_800_000_100_000_000_000,
    duration_s=60.0,
    task="train",
    metric="train:auc",
    before="run-00005",
    after="run-00006",
    value_before=0.957,
    value_after=0.912,
    finding="found",
    explained=-0.044,
    others=0.0,
    noise=0.001,
    changes=(
        BlamedChange(what="cell 3 of train.py (C = 1.0 → 0.01)", is_culprit=True, alone=-0.044),
        BlamedChange(what="module scores.py", is_culprit=False, alone=None),
    ),
    machine=("package numpy",),
    mixes=(
        BlamedMix(changes=(), values=(0.957,), run_ids=("a",), problem=""),
        BlamedMix(changes=(0, 1), values=(0.912,), run_ids=("b",), problem=""),
        BlamedMix(changes=(1,), values=(), run_ids=(), problem="task `train`: NameError: scale"),
    ),
    executed=3,
    seconds=90.0,
)
