"""What all tests share: a project on disk that is driven as its user would."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nbmake_dag.execute.import_blocklist import stay_light

# before nbformat is imported: seconds for each process that runs tests
stay_light()

# the commands that tests start by the hundred need not be compiled by each
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from tests.support.examples import QUICK  # noqa: E402
from tests.support.project import Project  # noqa: E402

# a test that plays a CI says which; the one that runs the tests is not its business
for name in [name for name in os.environ if name in {"CI", "GITLAB_CI"} or name.startswith(("GITHUB_", "CI_"))]:
    del os.environ[name]
# what a shell starts in the background ignores interrupts, and with it the programs that tests interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.load_profile(QUICK)

pytest_plugins = ("tests.support.needs", "tests.support.flaky")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Make an empty folder in which `nbdag` is run as a command; no process of it outlives the test."""
    project = Project(tmp_path / "project")
    yield project
    project.leaves_nobody()


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Project], object]], Path]:
    """Return a function that makes a project once for all workers; a test that writes in it takes a copy first."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder_of(name: str, make: Callable[[Project], object]) -> Path:
        folder = shared / f"built-{name}"
        with (shared / f"built-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "whole").exists():
                shutil.rmtree(folder, ignore_errors=True)
                project = Project(folder / "project")
                make(project)
                project.leaves_nobody()
                (folder / "whole").touch()
        return folder / "project"

    return folder_of
