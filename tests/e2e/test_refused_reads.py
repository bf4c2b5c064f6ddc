"""Files and folders that this user may not read: one clear error, and nothing is taken for empty or gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.root

_AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Without what lets root read all: permissions hold as they do for every other user."""
LET_READ = "\n\nhint: let this user read it, or leave it out with `ignore` of [pipeline]\n"


class Restricted(Project):
    """A project whose commands obey permissions."""

    def command(self, *arguments: str) -> list[str]:
        return [*_AS_OTHERS, *super().command(*arguments)]


@pytest.fixture
def restricted(tmp_path: Path) -> Restricted:
    """Make a project with each kind of file that it reads."""
    project = Restricted(tmp_path / "project")
    for path in ("in.txt", "data/a.txt", "data/sub/b.txt", "more/x.txt", "apart/y.txt", "deep/er/z.txt"):
        project.write(path, path)
    (project / "linked").mkdir()
    (project / "linked/y.txt").symlink_to("../apart/y.txt")
    project.write("steps.py", "def step():\n    open('step.txt', 'w').write('x')\n")
    project.notebook("note.py", "open('note.txt', 'w').write('x')")
    project.pipeline("""
        [tasks.note]
        notebook = "note.py"
        inputs = ["in.txt", "data/", "more/*.txt", "linked/*.txt", "deep/er/z.txt"]
        outputs = ["note.txt"]

        [tasks.step]
        function = "steps:step"
        outputs = ["step.txt"]
    """)
    return project


def refusal(project: Restricted, closed: str, *arguments: str) -> str:
    """Return what a command says that is refused with exit code 2 while a path is closed; then open it again."""
    path = project / closed
    mode = path.stat().st_mode
    path.chmod(0)
    done = project.nbdag(*arguments)
    path.chmod(mode)
    assert done.returncode == 2, done.stderr
    return done.stderr.replace(str(project.root), "ROOT")


def of_input(name: str, which: str = "") -> str:
    return (
        f"error: pipeline.toml:3: input `{name}` of task `note` cannot be read: Permission denied{which}{LET_READ}"
    )


REFUSALS = {
    "in.txt": of_input("in.txt"),
    "data": of_input("data/"),
    "data/sub": of_input("data/", " (data/sub)"),
    "more": of_input("more/*.txt", " (more)"),
    "more/x.txt": of_input("more/*.txt", " (more/x.txt)"),
    "apart": of_input("linked/*.txt", " (linked/y.txt)"),
    "deep": of_input("deep/er/z.txt"),
    "note.py": (
        "error: pipeline.toml:2: notebook `note.py` cannot be read: Permission denied\n"
        "\nhint: paths are relative to the folder of pipeline.toml\n"
    ),
    "steps.py": "error: pipeline.toml:7: module `steps` cannot be read: Permission denied: ROOT/steps.py\n",
    "pipeline.toml": "error: ROOT/pipeline.toml cannot be read: Permission denied\n",
    ".": "error: ROOT cannot be searched for a pipeline.toml: Permission denied\n",
}


def test_what_cannot_be_read_is_named_and_counts_as_nothing_else(restricted: Restricted):
    """An unreadable folder is no empty one, an unreadable input is not missing; nothing is written."""
    assert {closed: refusal(restricted, closed, "status") for closed in REFUSALS} == REFUSALS


@pytest.mark.slow
def test_a_file_of_ours_that_cannot_be_read_ends_the_build_before_anything_runs(restricted: Restricted):
    """It says which; when it can be read again, the next build goes on."""
    restricted.build().ran("note", "step")
    hint = "\n\nhint: let this user read and write it\n"
    for closed, named in {
        ".nbdag": ".nbdag/state",
        ".nbdag/state": ".nbdag/state/lock",
        ".nbdag/state/lock": ".nbdag/state/lock",
        ".nbdag/state/last.json": ".nbdag/state/last.json",
        ".nbdag/state/aside": ".nbdag/state/aside",
        ".nbdag/cache/records": ".nbdag/cache/records",
        ".nbdag/runs": ".nbdag/runs/rescued.jsonl",
    }.items():
        restricted.write("in.txt", closed)
        said = refusal(restricted, closed, "build")
        assert said == f"error: Permission denied: ROOT/{named}{hint}", closed
    restricted.build().ran("note")
    restricted.build().ran()


@pytest.mark.parametrize("arguments", [("status",), ("build", "-n"), ("explain", "step"), ("graph",)])
def test_who_may_only_read_sees_what_a_build_would_do(restricted: Restricted, arguments: tuple[str, ...]):
    """A checkout where nothing was built has no folder for what a look remembers."""
    said = restricted.nbdag(*arguments)
    shutil.rmtree(restricted / ".nbdag")
    restricted.root.chmod(0o555)
    only_read = restricted.nbdag(*arguments)
    refused = restricted.nbdag("build")
    restricted.root.chmod(0o755)
    assert (only_read.returncode, only_read.stdout) == (said.returncode, said.stdout)
    assert (only_read.returncode, only_read.stderr) == (0, "")
    assert refused.returncode != 0
    assert "Permission denied" in refused.stderr
    assert not (restricted / ".nbdag").exists()
