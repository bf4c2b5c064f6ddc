"""The page for every other CI system: its lines are run as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.project import Project

PAGE = Path(__file__).parents[2] / "nbmake_dag/docs/other-ci.md"


def script() -> str:
    (text,) = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return f"set -e\n{text}"


def run(project: Project, tools: Path) -> subprocess.CompletedProcess[str]:
    tools.mkdir(exist_ok=True)
    (tools / "python").write_text("#!/bin/sh\nexit 0\n")  # pip installs nothing here
    (tools / "python").chmod(0o755)
    path = os.pathsep.join([str(tools), os.path.dirname(sys.executable), "/usr/bin", "/bin"])
    environment = {"PATH": path, "HOME": str(tools), "CI": "true", "BASE": "main"}
    return subprocess.run(
        ["sh", "-c", script()], cwd=project.root, env=environment, capture_output=True, text=True, check=False
    )


def test_the_lines_of_the_page_build_and_tell(project, tmp_path):
    """What the table says is there, also after a failure, whose exit code is the script's."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.draw]\ncommand = 'echo 1 > x.svg'\noutputs = ['x.svg']\n")
    project.write(".gitignore", "/.nbdag/\n/reports/\n/x.svg\n").commit().git("branch", "-M", "main")
    first = run(project, tmp_path / "tools")
    assert first.returncode == 0, first.stderr
    project.git("checkout", "-q", "-b", "fix")
    project.edit("pipeline.toml", "echo 1", "echo 2").commit()
    assert run(project, tmp_path / "tools").returncode == 0
    reports = project / "reports"
    assert "| draw | x.svg |" in (reports / "comparison.md").read_text()
    assert (reports / "pictures.html").exists()
    assert (reports / "site/index.html").exists()
    assert json.loads((reports / "run.json").read_text())["nbdag_bundle"]
    project.edit("pipeline.toml", "echo 2", "exit 7; echo 2").commit()
    failed = run(project, tmp_path / "tools")
    assert failed.returncode == 1, failed.stderr
    assert [case.attrib["name"] for case in ET.parse(reports / "junit.xml").iter("testcase")] == ["draw"]


def test_the_page_names_what_the_lines_write():
    """Each file below `reports` has its row."""
    told = set(re.findall(r"^\| `(reports/[\w.]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert set(re.findall(r"reports/[\w.]+", script())) - {"reports/summary.json"} == told
