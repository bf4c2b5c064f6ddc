"""What a build with nothing to do does not import."""

from __future__ import annotations

import subprocess
import sys

from tests.project import Project

HEAVY = ["ray", "papermill", "nbclient", "nbformat", "opentelemetry.sdk", "rich", "jupyter_client"]
WITHOUT_STATE_FILE = ["diskcache", "tomli"]
"""What only a build needs that cannot rest on the one file that says that nothing is to do."""
PROGRAM = """
import sys
from nbmake_dag.commands.cli import run

code = run(["build", *sys.argv[2:]])
print(code, *[name for name in sys.argv[1].split() if name in sys.modules])
"""


def imported(project: Project, names: list[str], *arguments: str) -> str:
    command = [sys.executable, "-c", PROGRAM, " ".join(names), *arguments]
    done = subprocess.run(
        command, cwd=project.root, env=project.environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_an_up_to_date_build_imports_nothing_heavy(small):
    """Not even what reads the configuration and the indexes; building one target needs those."""
    small.build()
    small.build().ran()
    assert imported(small, [*HEAVY, *WITHOUT_STATE_FILE]) == "0"
    assert imported(small, HEAVY, "results/count.txt") == "0"


def test_the_grammar_of_iris_is_not_built() -> None:
    """What Jupyter's server has jsonschema import, for a second, is not imported by us, be it installed or not."""
    program = """
import sys
from nbmake_dag.execute.light import leave_out_grammar

leave_out_grammar()
import nbformat
print(sys.modules["rfc3987_syntax"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
