"""A build with nothing to do is recognised from one file, and only then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbmake_dag.build.request import Request
from nbmake_dag.build.run import build
from nbmake_dag.build.unchanged import Unchanged, recall, signature
from nbmake_dag.observe.project import find_project
from nbmake_dag_cache import stamps
from tests.project import Project

PIPELINE = """
    [pipeline]
    name = "rests"

    [environment]
    variables = ["FLAVOUR"]

    [tasks.count]
    command = "python scripts/count.py"
    inputs = ["data/*.txt"]
    outputs = ["results/count.txt"]
    max_age = "1h"

    [tasks.look]
    notebook = "notebooks/look.py"
    inputs = ["results/count.txt"]
    outputs = ["results/look.txt"]
"""
COUNT = """
    import glob, helper
    with open("results/count.txt", "w") as file:
        print(helper.SIZE, len(glob.glob("data/*.txt")), file=file)
"""
ADDED = ("data/b.txt", "scripts/glob.py")
HEAVY = (
    "asyncio",
    "diskcache",
    "jupyter_client",
    "nbclient",
    "nbformat",
    "nbmake_dag.core.model",
    "opentelemetry.sdk",
    "papermill",
    "ray",
    "rich",
    "tomli",
)
NO_OP = """
import sys
from nbmake_dag.commands.cli import run

code = run(["build", "--output=none"])
print(code, *[name for name in sys.argv[1:] if name in sys.modules])
"""


class Rests:
    """A built project in this process, and what the next build will believe."""

    def __init__(self, files: Project, kernels: Path) -> None:
        self.files = files
        self.kernels = kernels
        """A folder in which kernelspecs are looked for first, which does not exist."""
        self.project = find_project(str(files.root))

    def build(self) -> None:
        outcome = build(self.project, Request(), (), waiting=pytest.fail)
        assert outcome.result == "success"

    def recalled(self, *, after_s: float = 0) -> Unchanged | None:
        now = time.time_ns() + int(after_s * 1e9)
        return recall(self.project, self.name(), os.environ, now)

    def name(self) -> str:
        return signature(self.project, Request(), os.environ)

    @property
    def file(self) -> Path:
        return Path(self.project.state, "unchanged", self.name())


@pytest.fixture(scope="module")
def rests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rests]:
    """Build a project once, with file stamps that are believed at once, so that no test waits for them to age."""
    root = tmp_path_factory.mktemp("rests")
    files = Project(root / "project").pipeline(PIPELINE)
    files.write("data/a.txt", "a\n").write("scripts/count.py", COUNT).write("scripts/helper.py", "SIZE = 1\n")
    files.notebook("notebooks/look.py", "open('results/look.txt', 'w').write('seen')")
    (files / "results").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stamps, "_REST_NS", 0)
        patch.setenv("JUPYTER_PATH", str(root / "jupyter"))
        patch.setenv("FLAVOUR", "plain")
        built = Rests(files, root / "jupyter")
        built.build()
        yield built


@pytest.fixture
def rested(rests: Rests) -> Rests:
    """Undo what the test before did, and build; the file is there, and is believed."""
    shutil.rmtree(rests.kernels, ignore_errors=True)
    for path in ADDED:
        (rests.files / path).unlink(missing_ok=True)
    rests.files.write("data/a.txt", "a\n").write("scripts/helper.py", "SIZE = 1\n")
    rests.build()
    assert rests.recalled() is not None
    return rests


def edit_unseen(rests: Rests) -> None:
    """Change a byte of an input, and put its modification time back."""
    path = rests.files / "data" / "a.txt"
    before = path.stat()
    path.write_text("b\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def add_kernelspec(rests: Rests) -> None:
    folder = rests.kernels / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": ["other"], "display_name": "Other", "language": "other"}')


CHANGES: dict[str, Callable[[Rests], object]] = {
    "a deleted output": lambda rests: rests.files.remove("results/count.txt"),
    "an output edited by hand": lambda rests: rests.files.write("results/look.txt", "mine"),
    "an input of the same size and time": edit_unseen,
    "a file that joins a glob": lambda rests: rests.files.write(ADDED[0], "b\n"),
    "a module that is imported": lambda rests: rests.files.write("scripts/helper.py", "SIZE = 2\n"),
    "a new module that hides another": lambda rests: rests.files.write(ADDED[1], "glob = list\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_build_rests_on_is_looked_at(rested: Rests, change: Callable[[Rests], object]) -> None:
    """Each kind of change makes the next build look at everything."""
    change(rested)
    assert rested.recalled() is None


def test_a_variable_is_compared(rested: Rests, monkeypatch: pytest.MonkeyPatch) -> None:
    """A declared variable that has another value, or none, is a change."""
    monkeypatch.setenv("FLAVOUR", "")
    assert rested.recalled() is None
    monkeypatch.delenv("FLAVOUR")
    assert rested.recalled() is None


def test_a_folder_of_kernels_is_looked_at(rested: Rests) -> None:
    """A kernelspec that would be found first from now on is a change."""
    add_kernelspec(rested)
    assert rested.recalled() is None


def test_old_age_is_a_change(rested: Rests) -> None:
    """A record is believed until its task's `max_age` is over, and not from then on."""
    assert rested.recalled(after_s=3000) is not None
    assert rested.recalled(after_s=3601) is None


def test_a_touched_file_is_no_change(rested: Rests) -> None:
    """Files with new times and the same content are hashed, and then believed by their new times."""
    for path in ("data/a.txt", "results/count.txt", "scripts/helper.py", "pipeline.toml"):
        os.utime(rested.files / path)
    found = rested.recalled()
    assert found is not None
    again = rested.recalled()
    assert again is not None
    assert again.digests == found.digests


def test_a_damaged_file_is_not_believed(rested: Rests) -> None:
    """Whichever byte is flipped and wherever the file is cut, the build looks at everything."""
    whole = rested.file.read_bytes()
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        rested.file.write_bytes(flipped)
        assert rested.recalled() is None, position
    for length in range(0, len(whole), 97):
        rested.file.write_bytes(whole[:length])
        assert rested.recalled() is None, length
    rested.file.write_bytes(whole)
    assert rested.recalled() is not None


def test_nothing_to_do_imports_nothing_heavy(rested: Rests) -> None:
    """A build that has nothing to do imports no library that only other builds need."""
    done = subprocess.run(
        [sys.executable, "-c", NO_OP, *HEAVY], cwd=rested.files.root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"
