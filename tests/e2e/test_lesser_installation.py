"""nbdag beside an ipykernel of before 7, and without Ray, as on platforms that have no wheels of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.project import Project

HAS_OTHERWISE = ("ray", "ipykernel")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an environment with ipykernel 6.29 and all packages of this one but Ray."""
    root = tmp_path_factory.mktemp("lesser")
    venv.create(root)
    (packages,) = root.glob("lib/python*/site-packages")
    (links := root / "links").mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.name.partition("-")[0].partition(".")[0] not in HAS_OTHERWISE:
            (links / entry.name).symlink_to(entry)
    (packages / "others.pth").write_text(f"import site; site.addsitedir({str(links)!r})\n")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    env = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    subprocess.run([*pip, "ipykernel==6.29.0"], env=env, check=True)
    return str(root / "bin/python")


def nbdag(python: str, project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "nbmake_dag", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_a_pipeline_builds(python: str, project: Project, start: str) -> None:
    """Parameters, logged values, a failure with its cell, exit handlers; tasks that could be parallel are not."""
    project.notebook(
        "a.py", "# parameters\nx = 1", "import ipykernel\nopen('v', 'w').write(ipykernel.__version__)"
    )
    project.notebook(
        "b.py",
        "import atexit, nbmake_dag as nbdag\nnbdag.log_metric('m', 2)",
        "atexit.register(lambda: open('late', 'w').write('1'))",
    )
    project.notebook("c.py", "x = 1", "1 / 0")
    project.pipeline(f"""
        [kernel]
        start = "{start}"

        [tasks.a]
        notebook = "a.py"
        outputs = ["v"]
        parameters = {{ x = 2 }}

        [tasks.b]
        notebook = "b.py"
        outputs = ["late"]

        [tasks.c]
        notebook = "c.py"
    """)
    built = nbdag(python, project, "build", "-k")
    assert "c.py, cell 2, line 1" in built.stderr
    assert "3 tasks: 2 ran, 0 restored, 0 up to date, 1 failed" in built.stderr
    assert project.read("v") == "6.29.0"
    assert "m  2" in nbdag(python, project, "show", "latest", "b").stdout
    again = nbdag(python, project, "build", "a", "b")
    assert (again.returncode, "2 up to date" in again.stderr) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--executor=ray"], ["--ray-address=there:1"]])
def test_ray_is_asked_for_in_vain(python: str, project: Project, arguments: list[str]) -> None:
    """One error that names it, and what to do."""
    project.pipeline('[tasks.a]\ncommand = "true"\n')
    built = nbdag(python, project, "build", *arguments)
    assert (built.returncode, "not installed" in built.stderr, "pip install ray" in built.stderr) == (
        2,
        True,
        True,
    )
    assert nbdag(python, project, "build").returncode == 0


@pytest.mark.slow
def test_snapshots_need_a_newer_kernel(python: str, project: Project) -> None:
    """That is said, and the notebook runs."""
    project.notebook("a.py", "import time; time.sleep(0.3)", "open('v', 'w').write('1')")
    project.pipeline('[tasks.a]\nnotebook = "a.py"\noutputs = ["v"]\n')
    command = [python, "-m", "nbmake_dag", "watch"]
    with subprocess.Popen(command, cwd=project.root, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stderr is not None
        said = []
        for line in watch.stderr:
            said.append(line)
            if "1 task: 1 ran" in line:
                watch.send_signal(signal.SIGINT)
    assert "its ipykernel is older than 7" in "".join(said)
    assert project.read("v") == "1"
