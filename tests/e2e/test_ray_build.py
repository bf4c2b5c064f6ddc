"""Builds that use Ray: when told to, when it pays, and never when nothing can be parallel."""

from __future__ import annotations

import os

import pytest

from tests.support.project import Project, await_true, kill

pytestmark = [pytest.mark.ray, pytest.mark.timing]


def ray_processes(project: Project) -> list[str]:
    return [command for command in project.processes().values() if "raylet" in command]


@pytest.mark.slow
def test_all_kinds_of_task_run_with_ray(small):
    """They leave what they leave without; and no process of Ray outlives the build."""
    everything = small.build("--executor=inline").having("ran")
    clean = small.contents(["data", "models", "results"])
    small.build("--executor=ray", "-j2", "--force").ran(*everything)
    assert small.contents(["data", "models", "results"]) == clean
    small.leaves_nobody()


def patient(project: Project) -> Project:
    """Make two tasks that wait for each other: both end only if they run at once."""
    return project.pipeline(
        """
        [tasks.left]
        command = "touch ../left; while ! test -e ../right; do sleep 0.1; done"

        [tasks.right]
        command = "touch ../right; while ! test -e ../left; do sleep 0.1; done"
        """
    )


@pytest.mark.slow
def test_long_tasks_that_could_run_at_once_do(project):
    """Ray is started while the first one runs."""
    patient(project).build("-j2").ran("left", "right")


@pytest.mark.slow
def test_a_task_may_want_nearly_all_memory_of_the_machine(project):
    """Also what somebody else occupies just now."""
    memory = int(0.98 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    project.pipeline(f'[tasks.large]\ncommand = "true"\nresources = {{ memory = "{memory}B" }}\n')
    project.build("--executor=ray").ran("large")


@pytest.mark.slow
def test_what_ray_refuses_is_an_end(project):
    """Here a label that only Ray can read, and cannot."""
    project.pipeline('[tasks.odd]\ncommand = "true"\nresources = { node = { disk = "in(a" } }\n')
    project.build("--executor=ray").ended(3, failed=["odd"])


@pytest.mark.slow
def test_with_one_job_ray_is_never_started(project):
    """Nothing could be parallel."""
    build = patient(project).start("build", "-j1")
    await_true((project.root.parent / "left").exists, 60, "the first task did not begin")
    with pytest.raises(AssertionError, match="no Ray"):
        await_true(lambda: ray_processes(project), 8, "no Ray")
    kill(build)


@pytest.mark.slow
def test_a_failing_and_an_interrupted_task_are_the_same_with_ray(project):
    """The notebook's failure is shown, and a kill of the driver leaves nothing of Ray."""
    project.pipeline('[tasks.bad]\nnotebook = "bad.py"\n\n[tasks.hang]\nnotebook = "hang.py"\nafter = ["bad"]\n')
    project.notebook("bad.py", "1 / 0")
    project.notebook("hang.py", "import pathlib, time\npathlib.Path('../begun').touch()\ntime.sleep(3600)")
    project.build("--executor=ray").ended(1, failed=["bad"], skipped=["hang"]).said("ZeroDivisionError")
    project.edit("bad.py", "1 / 0", "1 / 1")
    build = project.start("build", "--executor=ray")
    await_true((project.root.parent / "begun").exists, 120, "the notebook did not begin")
    kill(build)
    project.leaves_nobody()


@pytest.mark.slow
def test_where_ray_does_not_start_tasks_run_without(project):
    """With a warning, one at a time."""
    project.write("broken/ray/__init__.py", "raise ImportError('libray: cannot open shared object file')")
    project.pipeline('[tasks.slow]\ncommand = "sleep 5 && echo {n}"\nmatrix = { n = [1, 2, 3] }\n')
    build = project.build("-j2", env={"PYTHONPATH": str(project / "broken")})
    build.ran("slow[n=1]", "slow[n=2]", "slow[n=3]").said("Ray did not start: ImportError: libray")
