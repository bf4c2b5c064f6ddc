"""What work does to its own environment hides nothing that it does."""

from __future__ import annotations

import pytest

_START = "import nbmake_dag.inside.start as s\ns.start()\nimport os, subprocess, sys\nimport nbmake_dag as nbdag\n"


@pytest.mark.parametrize("change", ["os.environ.clear()", "os.environ = {}", "del os.environ['NBDAG_ROOT']"])
def test_work_that_clears_its_environment_is_seen_all_the_same(project, change):
    """Its modules and scripts count, and what it logs and reads arrives, whatever its environment is."""
    project.write("late.py", "VALUE = 1")
    project.write("plot.sh", "#!/bin/sh\n").chmod(0o755)
    (project.scratch / "upstream.json").write_text('{"above": []}')
    project.python(
        f"""
{_START}{change}
__import__("".join(["la", "te"]))
subprocess.run(["./plot.sh"], env={{}})
nbdag.log_metric("auc", len(nbdag.upstream()))
nbdag.log_text("text", "note.txt")
""",
    )
    folded = project.folded()
    assert {"late.py", "plot.sh"} <= set(folded.modules)
    assert folded.logged.metrics == {"auc": 0.0}
    assert list(folded.logged.artifacts) == ["note.txt"]
    assert [(read.task, read.name) for read in folded.reads] == [("", None)]
