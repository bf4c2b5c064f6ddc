"""What all tests share: a project on disk that is driven as its user would."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.needs import pytest_collection_modifyitems, pytest_terminal_summary
from tests.project import Project

# the commands that tests start by the hundred need not be compiled by each
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# a test that plays a CI says which; the one that runs the tests is not its business
for name in [name for name in os.environ if name in {"CI", "GITLAB_CI"} or name.startswith(("GITHUB_", "CI_"))]:
    del os.environ[name]
# what a shell starts in the background ignores interrupts, and with it the programs that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# how long an example takes says something of the machine only
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

__all__ = ["project", "pytest_collection_modifyitems", "pytest_terminal_summary"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Make an empty folder in which `nbdag` is run as a command; no process of it outlives the test."""
    project = Project(tmp_path / "project")
    yield project
    project.leaves_nobody()
