"""What a build with nothing to do does not import."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.project import Project, await_true

HEAVY = ["ray", "papermill", "nbclient", "nbformat", "opentelemetry.sdk", "rich", "jupyter_client"]
WITHOUT_STATE_FILE = ["click", "diskcache", "tomli"]
"""What only a build needs that has options, or cannot rest on the one file that says that nothing is to do."""
EXECUTES = [
    "asyncio",
    "IPython",
    "jupytext",
    "nbmake_dag.core.schedule",
    "nbmake_dag.engine.dispatch.dispatcher",
    "nbmake_dag.engine.dispatch.pool",
    "nbmake_dag.engine.dispatch.resuming",
    "nbmake_dag.engine.loop",
    "nbmake_dag.engine.shared_cache.client",
    "nbmake_dag.execute.collect",
    "nbmake_dag.execute.executor",
    "nbmake_dag.execute.notebook",
    "nbmake_dag.execute.processes.supervisor",
    "nbmake_dag.execute.processes.zygote_client",
    "yaml",
]
"""What only a build needs that restores or executes something."""
PROGRAM = """
import sys
from nbmake_dag.__main__ import run

code = run(["build", *sys.argv[2:]])
print(code, *[name for name in sys.argv[1].split() if name in sys.modules])
"""


def imported(project: Project, names: list[str], *arguments: str) -> str:
    command = [sys.executable, "-c", PROGRAM, " ".join(names), *arguments]
    done = subprocess.run(
        command, cwd=project.root, env=project.environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.timing
def test_an_up_to_date_build_imports_nothing_heavy(built_small):
    """Not even what reads the configuration and the indexes; building one target needs those."""
    built_small.build().ran()
    # what was just written is not at rest yet, nor a checkout of nbdag in which tests write
    await_true(lambda: imported(built_small, [*HEAVY, *WITHOUT_STATE_FILE]) == "0", 60, "too much was imported")
    assert imported(built_small, HEAVY, "results/count.txt") == "0"


def test_a_look_that_finds_nothing_to_do_imports_nothing_that_executes(built_small):
    """The first build after an edit of a comment reads the notebook anew, and no more."""
    path = next(path for path in built_small.root.rglob("*.py") if "# %%" in path.read_text())
    path.write_text(f"{path.read_text()}\n# a comment\n")
    assert imported(built_small, [*HEAVY, *EXECUTES]) == "0"


def test_a_build_says_the_same_with_options_and_without(built_small):
    """Of a pipeline that is up to date, that has a failure, that is wrong, and where there is none."""

    def said(*options: str) -> tuple[int, str]:
        done = built_small.nbdag("build", *options)
        return done.returncode, re.sub(r"[0-9.]+ m?s\b|[0-9]{8}-[-0-9a-f]+", "…", done.stdout + done.stderr)

    assert said() == said("--output=auto")
    built_small.pipeline('[tasks.wrong]\ncommand = "echo no; exit 3"\n')
    assert said()[1].startswith("moved away: "), "the first one moves what other tasks left"
    assert said() == said("--output=auto")
    built_small.pipeline("[tasks.wrong]\n")
    assert said() == said("--output=auto")
    built_small.remove("pipeline.toml")
    assert said() == said("--output=auto")


def test_what_reads_notebooks_is_light() -> None:
    """What it would import for a second, where Jupyter's server is installed, is not imported by us."""
    program = """
import sys
from nbmake_dag.execute.import_blocklist import stay_light

stay_light()
import jupytext
import nbformat
print([sys.modules.get(name) for name in ("rfc3987_syntax", "arrow", "jupyter_server", "tornado.web")])
print(jupytext.reads("x = 1", "py:percent").cells[0].source)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[None, None, None, None]\nx = 1\n"
