"""Random notebooks, edited at random: a draft shows what a run from the start shows, or the difference is seen."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmake_dag.engine.state.drafts import differences
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Origin, Record
from nbmake_dag_reporting.cell_ref import CellRef
from tests.support.resumable import Ran, Resumable

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
PURE = st.one_of(
    st.builds("{} = [{}]".format, names, st.integers(0, 9)),
    st.builds("{}.append(len({}))".format, names, names),
    st.builds("{} = list({})".format, names, names),
    st.builds("{} = {}".format, names, names),
    st.builds("def f(x={}):\n    return x + {}".format, names, names),
    st.builds("{} = f()[-4:]".format, names),
    st.builds("{}.append(random.randrange({}))".format, names, st.integers(2, 99)),
    st.builds("random.seed({})".format, st.integers(0, 3)),
    st.builds("iterator = iter({}); next(iterator)".format, names),
    st.builds("print(next(iterator, None), {}, {})".format, names, names),
    st.builds("print(f({}), sorted({}))".format, names, names),
    st.builds("{}".format, names),
)
HIDDEN = "with open('count', 'a') as file:\n    file.write('.')\na.append(os.path.getsize('count'))\nprint(a)"
"""Shows something else each time that it is executed."""
START = "import os, random\nrandom.seed(1)\na, b, c = [1], [2], [3]\niterator = iter(a)\ndef f(x=a):\n    return x"
cells = st.lists(PURE, min_size=2, max_size=8)
edits = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["replace", "insert", "remove"]), PURE), min_size=1)


def edited(cells: list[str], changes: list[tuple[int, str, str]]) -> list[str]:
    cells = list(cells)
    for place, how, text in changes:
        position = place % (len(cells) + 1)
        if how == "insert":
            cells.insert(position, text)
        elif how == "remove" and len(cells) > 1:
            del cells[position % len(cells)]
        else:
            cells[position % len(cells)] = text
    return cells


def record(ran: Ran) -> Record:
    origin = Origin(run_id="r", trace_id="t", span_id="s", started=0, duration_s=0)
    return Record(
        key=Key("k"),
        static_key=Key("k"),
        own_key=Key("k"),
        task="t",
        ingredients=(),
        outputs=ran.result.outputs,
        logged=ran.result.logged,
        origin=origin,
        cells=ran.result.cell_outputs,
    )


@pytest.fixture(scope="module")
def notebook():
    with tempfile.TemporaryDirectory() as folder:
        notebook = Resumable(Path(folder))
        yield notebook
        notebook.close()


def check_pure(notebook, before, changes):
    notebook.run([START, *before])
    cells = [START, *edited(before, changes)]
    draft = notebook.run(cells)
    assert draft.result.resumed
    start = notebook.run(cells, resumes=False)
    assert (draft.result.outcome, draft.shown) == (start.result.outcome, start.shown)
    assert differences(record(draft), record(start), notebook.blobs, [CellRef(index) for index in range(99)]) == ()
    notebook.forget()


def check_hidden(notebook, before, changes, place):
    before = [*before[:place], HIDDEN, *before[place:]]
    notebook.run([START, *before])
    cells = [START, *edited(before, changes)]
    draft, start = notebook.run(cells), notebook.run(cells, resumes=False)
    found = differences(record(draft), record(start), notebook.blobs, [CellRef(index) for index in range(99)])
    first = next(
        (n for n, pair in enumerate(zip(draft.shown, start.shown, strict=True)) if len(set(pair)) > 1), None
    )
    assert found == (() if first is None else (f"what cell {first + 1} shows",))
    notebook.forget()


@settings(max_examples=3)
@given(cells, edits)
def test_a_draft_of_pure_cells_is_what_a_run_from_the_start_is(notebook, before, changes):
    """Every run after an edit is resumed, and shows, cell by cell, what a run from the start shows."""
    check_pure(notebook, before, changes)


@settings(max_examples=3)
@given(cells, edits, st.integers(0, 8))
def test_a_draft_that_hidden_state_makes_differ_is_seen(notebook, before, changes, place):
    """A comparison names the first cell that shows something else, if and only if there is one."""
    check_hidden(notebook, before, changes, place)


@pytest.mark.slow
@pytest.mark.manual
@pytest.mark.timeout(3600)
@settings(max_examples=60)
@given(cells, edits)
def test_many_drafts_of_pure_cells_are_what_runs_from_the_start_are(notebook, before, changes):
    """The same for many more notebooks."""
    check_pure(notebook, before, changes)


@pytest.mark.slow
@pytest.mark.manual
@pytest.mark.timeout(3600)
@settings(max_examples=40)
@given(cells, edits, st.integers(0, 8))
def test_many_drafts_that_hidden_state_makes_differ_are_seen(notebook, before, changes, place):
    """The same for many more notebooks."""
    check_hidden(notebook, before, changes, place)
