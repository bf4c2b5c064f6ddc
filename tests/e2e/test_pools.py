"""Tasks that share a pool take turns, and what waits for a pool is said to."""

from __future__ import annotations

import json

import pytest

from nbmake_dag_reporting.runs import find_run, read_run
from tests.support.project import Project, await_true

pytestmark = pytest.mark.timing


def test_what_waits_for_a_pool_is_said_to_and_pools_decide_no_result(project: Project) -> None:
    """In `status`, its JSON and `show` while the build runs, and in its record; the highest priority is first."""
    go = project.root.parent / "go"
    project.pipeline(
        f"""
        [pools]
        database = 1

        [defaults]
        pools = ["database"]

        [tasks.second]
        command = "echo 2 > second.txt"
        outputs = ["second.txt"]

        [tasks.first]
        command = "until test -e {go}; do sleep 0.05; done; echo 1 > first.txt"
        outputs = ["first.txt"]
        priority = 1
        """
    )
    build = project.start("build", "-j2")

    def says() -> bool:
        return "second  new: it has no result yet; waits for database\n" in project.nbdag("status").stdout

    await_true(says, 60, "it does not wait")
    tasks = json.loads(project.nbdag("status", "--json").stdout)["tasks"]
    assert {task["name"]: task["waits_for_pool"] for task in tasks} == {"first": None, "second": "database"}
    assert "waits for database  second" in project.nbdag("show").stdout
    tasks = json.loads(project.nbdag("show", "--json").stdout)["tasks"]
    assert {task["name"]: task["waits_for_pool"] for task in tasks} == {"first": None, "second": "database"}
    go.touch()
    assert build.wait(60) == 0
    attempts = {
        task.name: task.attempts[0]
        for task in read_run(find_run(str(project / ".nbdag/runs"), "latest")).tasks.values()
    }
    assert (attempts["first"].pool, attempts["second"].pool) == (None, "database")
    assert attempts["second"].started >= (attempts["first"].ended or 0)
    assert "waits for" not in project.nbdag("status").stdout
    project.edit("pipeline.toml", "priority = 1", "priority = -1").edit("pipeline.toml", "base = 1", "base = 2")
    project.build().ran()


@pytest.mark.ray
@pytest.mark.slow
def test_tasks_of_a_pool_never_overlap_where_others_run_beside_them(project: Project) -> None:
    """Each makes a folder that the one before must have removed; a failed attempt has given its place back."""
    held, beside, tried = (project.root.parent / name for name in ("held", "beside", "tried"))
    project.pipeline(
        f"""
        [pools]
        database = 1

        [tasks.load]
        command = "mkdir {held}; until test -e {beside}; do sleep 0.05; done; sleep 0.2; rmdir {held}; : {{n}}"
        matrix = {{ n = [1, 2, 3] }}
        pools = {{ database = 1 }}

        [tasks.flaky]
        command = "mkdir {held}; sleep 0.2; rmdir {held}; test -e {tried} || {{ touch {tried}; false; }}"
        pools = ["database"]
        retries = 1
        retry_delay = "500ms"

        [tasks.beside]
        command = "until test -e {held}; do sleep 0.05; done; touch {beside}"
        """
    )
    build = project.build("--executor=ray", "-j4")
    build.ran("beside", "flaky", "load[n=1]", "load[n=2]", "load[n=3]").said("flaky  attempt 1 failed")
