"""Tables of runs and tasks as wide as the terminal."""

from __future__ import annotations

import pytest

from nbmake_dag.present.run_text import run_lines, run_table, table
from nbmake_dag_reporting.run import Run, RunHead, Vcs

HEAD = RunHead(
    id="20261129-072600-324-fdd9d2",
    directory="",
    exit_code=1,
    trace_id="ab" * 16,
    pipeline="prices",
    started=1_795_937_160_000_000_000,
    ended=1_795_937_172_000_000_000,
    result="failure",
    counts={"ran": 4, "restored": 12, "up_to_date": 103, "failed": 1, "total": 120},
    saved_s=340.0,
    vcs=Vcs(head_revision="0123456789abcdef", head_name="feature/a-long-branch"),
)


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (None, ["run", "started", "result", "duration", "saved", "commit", "branch", "tasks"]),
        (140, ["run", "result", "duration", "saved", "commit", "branch", "tasks"]),
        (110, ["run", "result", "branch", "tasks"]),
    ],
)
def test_what_matters_least_is_left_out_of_a_narrow_table(columns: int | None, shown: list[str]) -> None:
    """The run's identifier has its time already; what was run and how it ended stay."""
    heading, row = run_table([HEAD], columns)
    assert heading.split() == shown
    assert row.startswith(HEAD.id)
    assert columns is None or len(row) <= columns


def test_at_80_columns_no_line_is_longer_and_no_word_is_cut() -> None:
    """The branch is shortened first, then the last column is folded below itself."""
    lines = list(run_table([HEAD], 80))
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()).endswith("featu…anch 4 ran, 12 restored, 103 up to date, 1 failed")
    rows = [{"task": "train", "why": "input: data/a.csv changed, and 3 more; module: helper.py changed"}]
    assert list(table(rows, 40)) == [
        "train  input: data/a.csv changed, and 3",
        "       more; module: helper.py changed",
    ]


@pytest.mark.parametrize(
    ("dirty", "said"), [(True, ", with changes"), (False, ""), (None, ", changes not looked at")]
)
def test_a_run_says_whether_files_differed_from_its_commit(*, dirty: bool | None, said: str) -> None:
    """Where nothing was executed git was not asked, which is not the same as no changes."""
    vcs = Vcs(head_revision="0123456789abcdef", dirty=dirty)
    known = {name: getattr(HEAD, name) for name in HEAD.__struct_fields__}
    assert f"  commit   0123456789abcdef{said}" in list(run_lines(Run(**{**known, "vcs": vcs})))
