"""Runs the failed tests that are marked `timing` once more, each alone, and lists as FLAKY those that then pass.

Only `--flaky=FILE` asks for it: `.ci/run` does, and prints the file last. The run stays failed if another test
failed too, if a test fails again, or if the file would list more than five. What is marked `fault`, and what
hypothesis drives, never runs twice: it fails for reasons that a second run does not meet again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

MOST = 5
_FLAKY = "FLAKY "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--flaky", metavar="FILE", help="run failed `timing` tests again, and append FLAKY ones to FILE"
    )


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("flaky")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Reruns(config, Path(file)))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a property test as one that must not run twice."""
    if isinstance(item, pytest.Function) and hasattr(item.obj, "hypothesis"):
        item.add_marker("fault")


class _Reruns:
    """Collects failures where all reports arrive, and judges them when the workers have ended."""

    def __init__(self, config: pytest.Config, file: Path) -> None:
        self._root = config.rootpath
        self._file = file
        self._failures: dict[str, pytest.TestReport] = {}
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failures.setdefault(report.nodeid, report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        failures = self._failures.values()
        if exitstatus != pytest.ExitCode.TESTS_FAILED or not all(map(_may_run_again, failures)):
            return
        if len(failures) + self._listed() > MOST:
            self._lines.append(f"more than {MOST} tests would be flaky: none is run again")
            return
        passed = [report for report in failures if self._passes(report.nodeid)]
        with self._file.open("a") as file:
            for report in passed:
                file.write(f"{_FLAKY}{report.nodeid} failed, and passed alone; the failure:\n")
                file.write(indent(report.longreprtext, "    ") + "\n")
        if len(passed) == len(failures):
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            terminalreporter.write_line(line)

    def _listed(self) -> int:
        """Return how many tests earlier runs have listed."""
        if not self._file.exists():
            return 0
        return sum(line.startswith(_FLAKY) for line in self._file.read_text().splitlines())

    def _passes(self, test: str) -> bool:
        command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "timing", test]
        done = subprocess.run(command, cwd=self._root, capture_output=True, text=True, check=False)
        passes = done.returncode == pytest.ExitCode.OK
        self._lines.append(f"{_FLAKY}{test}" if passes else f"FAILED AGAIN {test}\n{done.stdout}{done.stderr}")
        return passes


def _may_run_again(report: pytest.TestReport) -> bool:
    return "timing" in report.keywords and "fault" not in report.keywords
