"""What `pytest --flaky` makes of tests that fail once, or again, in a project of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

REPOSITORY = Path(__file__).parents[2]
PLUGINS = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_ADDOPTS": "-p xdist.plugin -p tests.support.flaky",
    "PYTHONPATH": str(REPOSITORY),
}
FAILS_ONCE = """
    import os
    import pytest

    def fails_first(name):
        if not os.path.exists(name):
            open(name, "w").close()
            raise AssertionError("too slow " + name)
"""


@dataclass(frozen=True)
class Ran:
    """A finished run of pytest; ``listed`` is the file of flaky tests."""

    code: int
    out: str
    listed: str


@dataclass(frozen=True)
class Suite:
    """A folder with tests."""

    root: Path

    def run(self, tests: str, *options: str) -> Ran:
        (self.root / "test_it.py").write_text(dedent(FAILS_ONCE) + dedent(tests))
        listed = self.root / "flaky.txt"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, f"--flaky={listed}"],
            cwd=self.root,
            env={**os.environ, **PLUGINS},
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout, listed.read_text() if listed.exists() else "")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    timing\n    fault\n")
    return Suite(tmp_path)


@pytest.mark.parametrize("options", [("-n", "0"), pytest.param(("-n", "2"), marks=pytest.mark.slow)])
def test_a_timing_test_that_passes_alone_is_listed_with_its_first_failure(
    suite: Suite, options: tuple[str, ...]
) -> None:
    """The run passes, with and without workers, and the file has the failure that is gone."""
    ran = suite.run(
        """
        @pytest.mark.timing
        def test_slow():
            fails_first("slow")
        def test_other():
            pass
        """,
        *options,
    )
    assert (ran.code, ran.listed.splitlines()[0]) == (
        0,
        "FLAKY test_it.py::test_slow failed, and passed alone; the failure:",
    )
    assert "AssertionError: too slow slow" in ran.listed
    assert "FLAKY test_it.py::test_slow\n" in ran.out


def test_a_timing_test_that_fails_again_is_a_failure(suite: Suite) -> None:
    """Both failures are printed, nothing is listed."""
    ran = suite.run(
        """
        @pytest.mark.timing
        def test_slow():
            raise AssertionError("always")
        """
    )
    assert (ran.code, ran.listed) == (1, "")
    assert "FAILED AGAIN test_it.py::test_slow\n" in ran.out
    assert ran.out.count("E       AssertionError: always") == 2


@pytest.mark.parametrize(
    "marks", ["", "@pytest.mark.timing\n@pytest.mark.fault\n", "@pytest.mark.timing\n@given(x=just(1))\n"]
)
def test_a_fault_or_a_property_or_what_is_not_timing_never_runs_twice(suite: Suite, marks: str) -> None:
    """One such failure fails the run, and a `timing` test that failed too is not run again."""
    tests = f"from hypothesis import given\nfrom hypothesis.strategies import just\n{marks}"
    tests += "def test_once(x=1):\n    raise AssertionError\n"
    tests += "@pytest.mark.timing\ndef test_slow():\n    fails_first('slow')\n"
    ran = suite.run(tests)
    assert (ran.code, ran.listed) == (1, "")
    assert "2 failed" in ran.out
    assert "FAILED AGAIN" not in ran.out


def test_more_than_five_are_a_failure(suite: Suite) -> None:
    """Five may be flaky, with those that earlier runs listed; a sixth means that something is wrong."""
    tests = """
        @pytest.mark.timing
        @pytest.mark.parametrize("number", range({}))
        def test_slow(number):
            fails_first(f"{}{{number}}")
    """
    first = suite.run(tests.format(5, "a"))
    assert (first.code, first.listed.count("FLAKY ")) == (0, 5)
    second = suite.run(tests.format(1, "b"))
    assert (second.code, second.listed) == (1, first.listed)
    assert "more than 5 tests would be flaky: none is run again" in second.out
