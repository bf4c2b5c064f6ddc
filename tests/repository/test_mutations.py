"""Each fault that `tests/mutations` applies, and each survivor that it explains, fits the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.faults import FAULTS, Fault
from tests.mutations.mutants import EXPLAINED, MUTATED

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_an_edit_of_one_place_and_names_tests(fault: Fault) -> None:
    """The text that it replaces is there once, another takes its place, and its tests exist."""
    assert (ROOT / fault.path).read_text().count(fault.old) == 1
    assert fault.old != fault.new
    assert [path for path in fault.tests if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize(("module", "mutant"), EXPLAINED)
def test_an_explained_mutant_changes_a_line_that_is_there(module: str, mutant: str) -> None:
    """An explanation of a line that was edited since explains nothing."""
    line, _, _ = mutant.partition("  =>  ")
    assert line in map(str.strip, (ROOT / module).read_text().splitlines())


def test_tests_of_mutants_exist() -> None:
    """Each module that is mutated names test files of the core."""
    names = {name for suites in MUTATED.values() for name in suites}
    assert [name for name in sorted(names) if not (ROOT / f"tests/core/test_{name}.py").is_file()] == []
