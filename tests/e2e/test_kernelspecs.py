"""Kernelspecs as people have them: wrapped, damaged, and of another Python than they seem to be."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.project import Project

IPYKERNEL = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
PIPELINE = """
    [tasks.odd]
    notebook = "odd.py"
    kernel = "odd"
    outputs = ["odd.txt"]

    [tasks.above]
    command = "echo 1 > above.txt"
    outputs = ["above.txt"]

    [tasks.below]
    command = "cat odd.txt above.txt"
    inputs = ["odd.txt", "above.txt"]
"""


@pytest.fixture
def project(project: Project) -> Project:
    return project.pipeline(PIPELINE).notebook("odd.py", "open('odd.txt', 'w').write('1')")


def _env(project: Project, argv: object) -> dict[str, str]:
    """Install a kernelspec named ``odd``; return the variables with which it is found."""
    spec = {"display_name": "Odd", "language": "python", "argv": argv}
    project.write("jupyter/kernels/odd/kernel.json", json.dumps(spec))
    return {"JUPYTER_PATH": str(project / "jupyter")}


@pytest.mark.parametrize("is_known", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_wrapped_kernel_runs_and_is_cached(project: Project, is_known: bool) -> None:  # noqa: FBT001  # a parameter
    """Whether its Python is known or not; that it is not is said once, with its file."""
    command = " ".join([sys.executable, *IPYKERNEL])
    argv = ["/usr/bin/env", sys.executable, *IPYKERNEL] if is_known else ["sh", "-c", f"exec {command}"]
    env = _env(project, argv)
    project.edit(
        "pipeline.toml", "[tasks.above]", '[tasks.odd2]\nnotebook = "odd.py"\nkernel = "odd"\n\n[tasks.above]'
    )
    built = project.build(env=env).ran("above", "below", "odd", "odd2")
    assert built.err.count("kernel `odd`: which Python `sh` leads to is not known") == (0 if is_known else 1)
    project.build(env=env).ran()
    project.remove("odd.txt").build(env=env).restored("odd")


def test_a_kernel_of_another_python_than_planned_is_not_recorded(project: Project) -> None:
    """The key would name a Python that the result does not come from; it runs each time, with a warning."""
    pretending = (
        "import platform; platform.python_implementation = lambda: 'PyPy'; "
        "from ipykernel.kernelapp import IPKernelApp; IPKernelApp.launch_instance()"
    )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    env = _env(project, [sys.executable, "-c", pretending, "-f", "{connection_file}"])
    project.build("odd", env=env).ran("odd").said(
        f"not recorded: the kernel `odd` ran in pypy {version}, and its kernelspec leads to cpython {version}"
    )
    project.build("odd", env=env).ran("odd")


def test_a_kernel_that_cannot_be_used_concerns_only_its_tasks(project: Project) -> None:
    """One sentence with the file; others are built with `-k`, or by themselves."""
    env = _env(project, [])
    file = project / "jupyter/kernels/odd/kernel.json"
    refused = project.build(env=env)
    what = "pipeline.toml:3: task `odd`: the kernelspec of `odd` cannot be used: its `argv` names no program"
    hint = f"correct the file, or install the kernel again (its file: {file})"
    assert (refused.code, refused.err) == (2, f"error: {what}\n\nhint: {hint}\n")
    project.build("above", env=env).ran("above")
    kept_going = project.remove("above.txt").write("above.txt", "2\n").build("-k", env=env)
    kept_going.ended(1, failed=["odd"], restored=["above"], skipped=["below"])
    kept_going.said("task `odd`: the kernelspec of `odd` cannot be used")
    only_it = project.build("-k", "odd", env=env)
    assert (only_it.code, "task `odd`: the kernelspec of `odd`" in only_it.err) == (2, True)


def test_the_native_kernel_runs_by_its_other_name(project: Project) -> None:
    """Notebooks of the web name it `python`."""
    project.edit("pipeline.toml", 'kernel = "odd"', 'kernel = "python"').build("odd").ran("odd")
