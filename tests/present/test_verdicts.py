"""A plan in words."""

from __future__ import annotations

from nbmake_dag.core.decide import Restorable, Stale
from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag.present.verdicts import codes_of, describe_plan, reasons_of
from tests.record.written import RECORD


def test_one_task_is_one() -> None:
    """The last line counts."""
    lines = list(describe_plan({TaskName("a"): Stale(reasons=("forced",), keys=None)}))
    assert lines[-1] == "1 task: 1 will run, 0 may run, 0 to restore, 0 up to date"


def test_an_output_that_is_there_was_changed() -> None:
    """One that is not is only not in place."""
    there, gone = ProjectPath("there"), ProjectPath("gone")
    verdict = Restorable(record=RECORD, missing=(there, gone), changed=frozenset({there}))
    assert reasons_of(verdict) == ("output: there was changed", "output: gone is not in place")


def test_an_earlier_result_is_restored_because_of_what_led_back_to_it() -> None:
    """Outputs of the last result need no word; one that is nobody's does."""
    ours, theirs = ProjectPath("ours"), ProjectPath("theirs")
    verdict = Restorable(
        record=RECORD,
        missing=(ours, theirs),
        changed=frozenset({theirs}),
        reasons=("parameter: n 80 -> 50",),
        codes=("parameter",),
    )
    assert reasons_of(verdict) == ("parameter: n 80 -> 50", "output: theirs was changed")
    assert codes_of(verdict) == ("parameter", "output_changed")
