"""Local scripts that Python code starts are noted as modules."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("call", "script"),
    [
        ("subprocess.run(['./plot.sh', \"Today's results\"])", "plot.sh"),
        ('subprocess.run(["./it\'s.sh"])', "it's.sh"),
        ("subprocess.run(['./my tools/run.sh'])", "my tools/run.sh"),
        ("subprocess.run(['sh', 'tools/a#b.sh'])", "tools/a#b.sh"),
        ("os.system('cd . # here\\nsh plot.sh')", "plot.sh"),
        ("subprocess.run(['sh', '-c', 'echo $#; ./plot.sh'])", "plot.sh"),
        ("os.utime('plot.sh'); subprocess.run('./plot.sh')", "plot.sh"),
    ],
)
def test_a_started_script_is_noted(project, call, script):
    """Whatever its name and its other arguments are, and also if it was edited after the work began."""
    project.write(script, "#!/bin/sh\n").chmod(0o755)
    project.python(f"import nbmake_dag.inside.start as s\ns.start()\nimport os, subprocess\n{call}\n")
    assert script in project.folded().modules
